import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { type CatchUpsView, catchUpLines } from './catch-up-report.ts';

const LAST: NonNullable<CatchUpsView['last']> = {
  source: 's3://backups/prices',
  state: 'done',
  from: { epoch: 1, revision: 2 },
  base: { epoch: 1, revision: 24 },
  frames: 11,
  bytes: 2_048,
  error: null,
};

describe('what status says of a catch-up from an archive', () => {
  test.each<[string, Partial<typeof LAST>, string]>([
    ['while it is under way', { state: 'running' }, '  catch-up  takes 1-2 to 1-24 from s3://backups/prices: 11 frames, 2.05 kB so far'],
    ['when it led on', {}, '  catch-up  took 1-2 to 1-24 from s3://backups/prices: 11 frames, 2.05 kB'],
    [
      'when it did not',
      { state: 'failed', error: 'nobody answers' },
      '  catch-up  could not take 1-2 to 1-24 from s3://backups/prices: nobody answers',
    ],
  ])('%s', (_name, change, line) => {
    expect(catchUpLines({ last: { ...LAST, ...change } }).map(stripVTControlCharacters)).toEqual([line]);
  });

  test('is nothing where there was none', () => {
    expect([catchUpLines(undefined), catchUpLines(null), catchUpLines({ last: null })]).toEqual([[], [], []]);
  });
});
