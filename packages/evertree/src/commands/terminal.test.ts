import { afterEach, expect, test, vi } from 'vitest';
import { MovingLines, WorkProgress } from './terminal.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

test('moving lines are erased from the first column on, wherever an echoed key has left the cursor', () => {
  const written: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation(text => {
    written.push(String(text));
    return true;
  });
  const lines = new MovingLines();
  lines.draw(['one', 'two']);
  lines.clear();
  lines.clear();
  expect(written.slice(1)).toEqual(['\r\u001b[2A\u001b[0J', '']);
});

test.each([
  ['Bytes', { doneBytes: 500, totalBytes: 1_500, bytesPerSecond: 250, leftMs: 4_000 }],
  ['Commits', { doneCommits: 500, totalCommits: 1_500, commitsPerSecond: 250, leftMs: 4_000 }],
] as const)(
  'progress in %s is a line of JSON a second at most, with rate and time left, and none while nothing is done',
  (unit, expected) => {
    const written: string[] = [];
    vi.spyOn(process.stdout, 'write').mockImplementation(text => {
      written.push(String(text));
      return true;
    });
    let now = 10_000;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    const progress = new WorkProgress('archived', true, unit);
    progress.tell(0, 1_000);
    now += 1_500;
    progress.tell(0, 1_000);
    now += 500;
    progress.tell(500, 1_500);
    now += 900;
    progress.tell(900, 1_500);
    progress.end();
    expect(written.map(line => JSON.parse(line) as unknown)).toEqual([{ progress: expected }]);
  },
);
