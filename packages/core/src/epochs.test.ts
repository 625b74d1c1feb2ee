import { describe, expect, it } from 'vitest';
import { at, history, PROMOTED } from '../test/histories.ts';
import { assertSucceeds, EPOCHS_LIMIT, epochsAt, highestEpoch, withEpoch, type Lineage } from './lineage.ts';
import type { Epoch } from './position.ts';

/** As `history`, whose last entry a handover ended. */
function handedOver(entries: readonly string[], last: string): Lineage {
  const { epochs, ...lineage } = history(entries, last);
  return { ...lineage, epochs: [...epochs.slice(0, -1), { ...epochs.at(-1)!, end: { to: 'other', command: 'c' } }] };
}

function numbered(number: number, id: number): Epoch {
  return { number, id: id.toString(16).padStart(16, '0'), site: 's', base: at('0-0'), reason: '', time: 0 };
}

describe('assertSucceeds', () => {
  const RUNNING = history(PROMOTED, '2b-460');
  const ENDED = handedOver(PROMOTED, '2b-460');

  it.each<[what: string, epoch: number, ours: Lineage, site: string | undefined]>([
    ['a frame that goes on', 2, RUNNING, undefined],
    ['a restart of the site', 2, RUNNING, 'site'],
    ['a promotion of another site', 3, RUNNING, 'other'],
    ['a promotion of the site itself', 3, RUNNING, 'site'],
    ['a first epoch of whatever number', 7, history([], '0-0'), 'other'],
    ['after a handover, the epoch of the site that it names', 3, ENDED, 'other'],
    ['after a handover, a promotion of a third site', 3, ENDED, 'third'],
    ['after a handover, its withdrawal', 4, ENDED, 'site'],
  ])('accepts %s', (_, epoch, ours, site) => {
    expect(() => assertSucceeds(epoch, ours, site)).not.toThrow();
  });

  it.each<[what: string, epoch: number, ours: Lineage, site: string | undefined]>([
    ['a restart of another site', 2, RUNNING, 'other'],
    ['an epoch of a lower number', 1, RUNNING, 'site'],
    ['after a handover, a frame that goes on', 2, ENDED, undefined],
    ['after a handover, a restart', 2, ENDED, 'site'],
    ['after a handover, the number of the successor in the hands of the site that gave it away', 3, ENDED, 'site'],
    ['after a handover, an epoch of a lower number', 1, ENDED, 'other'],
  ])('refuses %s', (_, epoch, ours, site) => {
    expect(() => assertSucceeds(epoch, ours, site)).toThrow(
      expect.objectContaining({ code: 'HISTORY_MISMATCH', details: { expected: at('2b-460'), found: epoch } }),
    );
  });
});

describe('epochsAt', () => {
  it.each([
    ['the end', 460, ['1a', '2b']],
    ['the first position of an epoch', 451, ['1a', '2b']],
    ['its base', 450, ['1a']],
    ['the origin', 0, []],
  ])('is the table at %s', (_, revision, expected) => {
    expect(epochsAt(history(PROMOTED, '2b-460'), revision).map(({ number, id }) => `${number}${id[0]}`)).toEqual(expected);
  });

  it('tells of a handover from its frame on', () => {
    const ended = handedOver(['1a'], '1a-9');
    const [entry] = ended.epochs as [Epoch];
    const { end: _, ...unended } = entry;
    expect([9, 8].map(revision => epochsAt(ended, revision))).toEqual([[entry], [unended]]);
    const gone = { ...ended, epochs: [...ended.epochs, ...history(['2b after 1a-9'], '2b-12').epochs], last: at('2b-12') };
    expect([12, 9, 8].map(revision => epochsAt(gone, revision))).toEqual([gone.epochs, [entry], [unended]]);
  });
});

describe('withEpoch', () => {
  it('drops the oldest restart entry at the limit, never the first of its number', () => {
    const before = [
      numbered(1, 1),
      numbered(2, 2),
      numbered(2, 3),
      ...Array.from({ length: EPOCHS_LIMIT - 3 }, (_, n) => numbered(2, n + 4)),
    ];
    const table = withEpoch(before, numbered(2, EPOCHS_LIMIT + 1));
    expect(table.length).toBe(EPOCHS_LIMIT);
    expect(table.slice(0, 3)).toEqual([before[0], before[1], before[3]]);
    expect(table.at(-1)).toEqual(numbered(2, EPOCHS_LIMIT + 1));
    expect(highestEpoch(table, at('0-0'))).toEqual(numbered(2, 2));
  });

  it('drops the oldest entry if none is a restart', () => {
    const before = Array.from({ length: EPOCHS_LIMIT }, (_, n) => numbered(n + 1, n));
    expect(withEpoch(before, numbered(EPOCHS_LIMIT + 1, 0))).toEqual([...before.slice(1), numbered(EPOCHS_LIMIT + 1, 0)]);
  });

  it('drops none below the limit', () => {
    expect(withEpoch([numbered(1, 1)], numbered(1, 2))).toEqual([numbered(1, 1), numbered(1, 2)]);
  });
});
