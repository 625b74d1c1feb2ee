import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { type ArchiveView, archiveLines, archiveWord } from './archive-report.ts';

const NOW = 1_790_000_000_000;

const archive: ArchiveView = {
  target: 's3://backups/north',
  state: 'archiving',
  encrypted: true,
  position: { epoch: 1, revision: 900 },
  lag: { revisions: 0, ms: 0 },
  lastSuccess: NOW - 500,
  spool: { bytes: 0, maxBytes: 1_000_000_000, isFull: false },
  gaps: [],
  lastError: null,
  drilled: { time: NOW - 3_600_000, passed: true, position: { epoch: 1, revision: 850 }, milliseconds: 1_234 },
};

function linesOf(changes: Partial<ArchiveView> = {}): string[] {
  return archiveLines({ ...archive, ...changes }, NOW).map(line => stripVTControlCharacters(line));
}

function gap(revision: number, reason: string): ArchiveView['gaps'][number] {
  return { from: { epoch: 1, revision }, to: { epoch: 1, revision: revision + 50 }, reason, time: NOW };
}

describe('the archive in status', () => {
  test('is not told where there is none, nor by a site of before', () => {
    expect([...archiveLines(null, NOW), ...archiveLines(undefined, NOW)]).toEqual([]);
    expect([archiveWord(null), archiveWord(undefined)]).toEqual([undefined, undefined]);
  });

  test('is a line while all is well, and one for its newest drill', () => {
    expect(linesOf()).toEqual([
      '  archive   s3://backups/north  archiving, at 1-900, lag 0 revisions, encrypted',
      '    last drill passed 2026-09-21T13:13:20.000Z, at 1-850 in 1.23 s',
    ]);
    expect(linesOf({ lag: { revisions: 1, ms: 250 }, encrypted: false })[0]).toBe(
      '  archive   s3://backups/north  archiving, at 1-900, lag 1 revision (250 ms), not encrypted',
    );
    expect(archiveWord(archive)).toBe('archive archiving');
  });

  test('says what is wrong with the target, since when, and how much waits for it', () => {
    const lastError = { code: 'UNREACHABLE', message: 's3.example refuses connections', since: NOW - 60_000, attempts: 7 };
    const spool = { bytes: 12_000_000, maxBytes: 1_000_000_000, isFull: false };
    const [line, problem, wait] = linesOf({ state: 'away', lag: { revisions: 4_200, ms: 60_000 }, lastError, spool });
    expect(line).toContain('away, at 1-900, lag 4,200 revisions (1 min)');
    expect(problem).toBe('    s3.example refuses connections');
    expect(wait).toBe(
      '    since 2026-09-21T14:12:20.000Z, 7 attempts, last success 2026-09-21T14:13:19.500Z; 12.0 MB of 1.00 GB wait for it',
    );
    expect(linesOf({ state: 'away', lastError, lastSuccess: null, spool: { ...spool, isFull: true } })[2]).toBe(
      '    since 2026-09-21T14:12:20.000Z, 7 attempts; 12.0 MB of 1.00 GB wait for it: the history is no longer kept for it, a gap may follow',
    );
    expect(archiveWord({ ...archive, state: 'away', spool: { ...spool, isFull: true } })).toBe('archive away, spool full');
  });

  test('names the newest gaps, and how many are before them', () => {
    const lines = linesOf({ gaps: [gap(100, 'spool-full'), gap(200, 'spool-full'), gap(300, 'history-gone'), gap(400, 'spool-full')] });
    expect(lines.slice(1, 5)).toEqual([
      '    gap  between 1-200 and 1-250: the target was away for too long, 2026-09-21T14:13:20.000Z',
      '    gap  between 1-300 and 1-350: the site no longer had it, 2026-09-21T14:13:20.000Z',
      '    gap  between 1-400 and 1-450: the target was away for too long, 2026-09-21T14:13:20.000Z',
      '    and 1 gap before',
    ]);
  });

  test('says that it was never drilled, that a drill failed, and how old a drill is', () => {
    expect(linesOf({ drilled: null }).at(-1)).toBe('    never drilled: evertree drill s3://backups/north');
    const drilled = { time: NOW - 40 * 86_400_000, passed: false, position: { epoch: 1, revision: 5 }, milliseconds: 90 };
    expect(linesOf({ drilled }).at(-1)).toBe('    last drill FAILED 2026-08-12T14:13:20.000Z, 40 d ago, at 1-5 in 90 ms');
  });

  test('says that nothing is archived yet', () => {
    expect(linesOf({ state: 'starting', position: null })[0]).toContain('starting, nothing archived yet');
  });
});
