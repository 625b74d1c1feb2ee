import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { jsonLine, openLog, prettyLine } from './logger.ts';

const time = new Date('2026-11-21T01:02:03.456Z');

test('a closed log ignores further lines, and does not throw', async () => {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  onTestFinished(() => write.mockRestore());
  const log = openLog({ level: 'error', format: 'json' });
  log.report({ level: 'error', event: 'early', message: 'an ordinary word' });
  await log.close();
  const lines = () => write.mock.calls.map(([line]) => String(line));
  expect(lines()).toEqual([expect.stringContaining('an ordinary word')]);
  log.report({ level: 'error', event: 'late', message: 'a last word' });
  await new Promise(resolve => setImmediate(resolve));
  expect(lines()).toHaveLength(1);
});

test('lines that come while winston is loaded are written in their order, before those that come later', async () => {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  onTestFinished(() => write.mockRestore());
  const log = openLog({ level: 'info', format: 'json' });
  const tell = (event: string) => log.report({ level: 'info', event, message: event });
  for (const event of ['1', '2', '3']) tell(event);
  await vi.waitUntil(() => write.mock.calls.length === 3);
  tell('4');
  await log.close();
  expect(write.mock.calls.map(([line]) => (JSON.parse(String(line)) as { event: string }).event)).toEqual(['1', '2', '3', '4']);
});

describe('a line of the log', () => {
  test('as JSON', () => {
    const report = {
      level: 'warn',
      event: 'peer-lost',
      message: 'the link ended',
      details: { site: 'b', error: new Error('cut'), bytes: 12n },
    } as const;
    expect(JSON.parse(jsonLine(report, time))).toEqual({
      time: '2026-11-21T01:02:03.456Z',
      level: 'warn',
      event: 'peer-lost',
      message: 'the link ended',
      details: { site: 'b', error: { name: 'Error', message: 'cut' }, bytes: '12' },
    });
  });

  test('for people', () => {
    const report = {
      level: 'info',
      event: 'started',
      message: 'b is a secondary',
      details: { data: 'b', position: { epoch: 1, revision: 2 } },
    } as const;
    expect(prettyLine(report, time)).toMatch(
      /01:02:03\.456.*info .*b is a secondary.*\(started data=b position=\{"epoch":1,"revision":2\}\)/,
    );
  });

  test("a peer's name can't begin a line or move the cursor", () => {
    const message = 'evil\n01:02:03.456 error all is lost\u001b[2J\u202f';
    const line = prettyLine({ level: 'info', event: 'x', message, details: { site: 'a\u009b2J\nb' } }, time);
    for (const sequence of ['\n', '\u009b', '\u001b[2J']) expect(line).not.toContain(sequence);
    expect(jsonLine({ level: 'info', event: 'x', message }, time)).not.toContain('\n');
  });
});
