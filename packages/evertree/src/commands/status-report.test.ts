import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { type SiteStatus, statusLines } from './status-report.ts';

const status: SiteStatus = {
  site: 'a',
  role: 'primary',
  state: 'open',
  stream: '0'.repeat(32),
  position: { epoch: 1, revision: 900 },
  digest: 'f'.repeat(16),
  durable: { epoch: 1, revision: 900 },
  peers: [],
};
const whole = { from: { position: { epoch: 0, revision: 0 }, time: 1_790_000_000_000 }, bytes: 12_345_678, maxBytes: 8_000_000_000 };

/** What is said of the history. */
function linesOf(history: SiteStatus['history']): string[] {
  const lines = statusLines({ ...status, ...(history === undefined ? {} : { history }) }, 'http://127.0.0.1:8181');
  return lines.map(line => stripVTControlCharacters(line)).slice(4);
}

describe('how far back the history reaches', () => {
  test('is told with its bytes and its limit, and with when it will be full if it grows', () => {
    const line = '  history   from 0-0, 2026-09-21T14:13:20.000Z; 12.3 MB of 8.00 GB';
    expect(linesOf({ ...whole, fullInMs: null, held: [] })).toEqual([line]);
    expect(linesOf({ ...whole, fullInMs: 7_200_000, held: [] })).toEqual([`${line}, full in 2 h at the present rate`]);
  });

  test('is told to be full where it is at its limit, or above', () => {
    const line = '  history   from 0-0, 2026-09-21T14:13:20.000Z; 37.8 MB of 8.39 MB, full: the oldest goes as new comes';
    expect(linesOf({ ...whole, bytes: 37_800_000, maxBytes: 8_390_000, fullInMs: 0, held: [] })).toEqual([line]);
  });

  test('is told without a limit and a time that are not known, and not at all by a site of before', () => {
    const memory = { from: { position: { epoch: 1, revision: 7 }, time: null }, bytes: 100, maxBytes: null, fullInMs: null, held: [] };
    expect(linesOf(memory)).toEqual(['  history   from 1-7; 100 B']);
    expect(linesOf(undefined)).toEqual([]);
  });

  test('is told with everybody who needs what is beyond the limits', () => {
    const held = [
      { kind: 'copy', name: 'rsync', position: { epoch: 1, revision: 12 }, bytes: 5_000_000 },
      { kind: 'peer', name: 'b', position: { epoch: 1, revision: 90 }, bytes: 4_000 },
    ];
    expect(linesOf({ ...whole, fullInMs: null, held }).slice(1)).toEqual([
      '    5.00 MB beyond its limits stay: the copy rsync needs what follows 1-12',
      '    4.00 kB beyond its limits stay: the peer b needs what follows 1-90',
    ]);
  });
});
