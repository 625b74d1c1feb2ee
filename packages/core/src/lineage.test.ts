import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { at, history, OTHER_PROMOTION, PROMOTED, RESTARTED, RESTORED } from '../test/histories.ts';
import {
  assertFollows,
  compareEpochs,
  covers,
  epochsAt,
  forkOf,
  heldBy,
  highestEpoch,
  lostPosition,
  positionAt,
  type Lineage,
} from './lineage.ts';
import { formatPosition, type Epoch } from './position.ts';

describe('covers', () => {
  const cases: readonly (readonly [what: string, entries: readonly string[], last: string, position: string, expected: boolean])[] = [
    ['everything covers the origin', PROMOTED, '2b-460', '0-0', true],
    ['an empty history covers the origin', [], '0-0', '0-0', true],
    ['an empty history covers nothing else', [], '0-0', '1a-1', false],
    ['the first position of an epoch', PROMOTED, '2b-460', '1a-1', true],
    ['its own end', PROMOTED, '2b-460', '2b-460', true],
    ['nothing beyond its end', PROMOTED, '2b-460', '2b-461', false],
    ['the base of a later epoch, as the epoch before it names it', PROMOTED, '2b-460', '1a-450', true],
    ['not the base of an epoch under its own id', PROMOTED, '2b-460', '2b-450', false],
    ['the first position of a later epoch', PROMOTED, '2b-460', '2b-451', true],
    ['nothing that an epoch wrote beyond the base of the next', PROMOTED, '2b-460', '1a-451', false],
    ['1-500 does not hold 2-452', PROMOTED, '1a-500', '2b-452', false],
    ['who went beyond the end of an epoch holds the history up to that end', PROMOTED, '1a-500', '1a-450', true],
    ['and no further', PROMOTED, '1a-500', '1a-451', false],
    ['who stopped within an epoch holds it up to there', PROMOTED, '1a-440', '1a-441', false],
    ['an epoch of the same number and another id is another history', PROMOTED, '2b-490', '2c-485', false],
    ['who is in an unknown epoch holds nothing', PROMOTED, '2c-485', '1a-1', false],
    ['but the origin', PROMOTED, '2c-485', '0-0', true],
    ['a position of an unknown epoch is in no history', PROMOTED, '2b-460', '3x-455', false],
    ['nor one of a known id under another number', PROMOTED, '2b-460', '3b-455', false],
    ['an origin with a revision is no position', PROMOTED, '2b-460', '0-5', false],
    ['entries that share a number are told apart by id', RESTARTED, '2b-460', '1d-150', true],
    ['each up to the next', RESTARTED, '2b-460', '1d-201', false],
    ['and after its own base', RESTARTED, '2b-460', '1e-200', false],
    ['a restart that the history did not go through', RESTARTED, '2b-460', '1f-160', false],
    ['who stands in an early restart does not hold a later one', RESTARTED, '1d-300', '1e-250', false],
    ['though it holds what is before it', RESTARTED, '1d-300', '1d-200', true],
    ['a table that is ahead of the last position', PROMOTED, '1a-430', '2b-451', false],
    ['counts up to that position only', PROMOTED, '1a-430', '1a-431', false],
    ['a table that was folded at its beginning', ['2b after 1a-450', '3x after 2b-470'], '3x-480', '2b-470', true],
    ['and a position before its beginning', ['2b after 1a-450', '3x after 2b-470'], '3x-480', '1a-400', false],
  ];
  it.each(cases)('%s', (_, entries, last, position, expected) => {
    expect(covers(history(entries, last), at(position))).toBe(expected);
  });
});

describe('forkOf', () => {
  const cases: readonly (readonly [what: string, a: Lineage, b: Lineage, fork: string])[] = [
    ['two ends of one epoch: the lower', history(['1a'], '1a-9'), history(['1a'], '1a-7'), '1a-7'],
    ['the same history', history(PROMOTED, '2b-460'), history(PROMOTED, '2b-460'), '2b-460'],
    ['an old primary beyond the base of a promotion', history(PROMOTED, '2b-460'), history(['1a'], '1a-500'), '1a-450'],
    ['an old primary before that base', history(PROMOTED, '2b-460'), history(['1a'], '1a-440'), '1a-440'],
    ['two promotions of one number', history(PROMOTED, '2b-460'), history(OTHER_PROMOTION, '2c-490'), '1a-450'],
    ['a restart, and a directory that went back', history(RESTARTED, '2b-460'), history(RESTORED, '1f-170'), '1d-150'],
    ['nothing in common', history(['1a'], '1a-9'), history(['1z'], '1z-9'), '0-0'],
    ['nothing but an id under two numbers', history(['1a'], '1a-9'), history(['2a'], '2a-9'), '0-0'],
    ['an empty history', history([], '0-0'), history(PROMOTED, '2b-460'), '0-0'],
    ['a table that is ahead of its last position', history(PROMOTED, '1a-430'), history(PROMOTED, '2b-460'), '1a-430'],
    ['a table that was folded at its beginning', history(['2b after 1a-450'], '2b-455'), history(PROMOTED, '2b-460'), '2b-455'],
  ];
  it.each(cases)('%s', (_, a, b, fork) => {
    expect(forkOf(a, b)).toEqual(at(fork));
    expect(forkOf(b, a)).toEqual(at(fork));
  });

  it.each(cases)('%s: both cover the fork, and not both what comes after it', (_, a, b, fork) => {
    expect(covers(a, at(fork))).toBe(true);
    expect(covers(b, at(fork))).toBe(true);
    const after = [a, b].map(each => positionAt(each, at(fork).revision + 1));
    for (const position of after) if (position !== undefined) expect(covers(a, position) && covers(b, position)).toBe(false);
  });
});

describe('heldBy', () => {
  it.each([
    ['a site in the last epoch holds what it says', PROMOTED, '2b-460', '2b-455', '2b-455'],
    ['a site ahead in the last epoch holds all there is', PROMOTED, '2b-460', '2b-470', '2b-460'],
    ['a site at 1-440 holds that', PROMOTED, '2b-460', '1a-440', '1a-440'],
    ['a site at 1-500 holds the history up to the end of epoch 1', PROMOTED, '2b-460', '1a-500', '1a-450'],
    ['a site in another epoch of the same number holds nothing', PROMOTED, '2b-460', '2c-455', '0-0'],
    ['a site that says it is at the base of an epoch, under its id, holds nothing', PROMOTED, '2b-460', '2b-450', '0-0'],
    ['a site at the origin holds nothing', PROMOTED, '2b-460', '0-0', '0-0'],
    ['a site in an early restart holds it up to the next one', RESTARTED, '2b-460', '1d-300', '1d-200'],
    ['a site ahead of a table that is ahead of the last position', PROMOTED, '1a-430', '1a-500', '1a-430'],
    ['a site beyond all of it holds all of it', PROMOTED, '1a-430', '2b-455', '1a-430'],
  ])('%s', (_, entries, last, theirs, expected) => {
    const ours = history(entries, last);
    const held = heldBy(ours, at(theirs));
    expect(held).toEqual(at(expected));
    expect(covers(ours, held)).toBe(true);
    expect(covers({ epochs: ours.epochs, last: at(theirs) }, held)).toBe(true);
  });
});

describe('compareEpochs', () => {
  it.each([
    ['the higher number wins, whatever the ids', { number: 2, id: 'b' }, { number: 3, id: 'a' }],
    ['within a number the higher id wins', { number: 3, id: 'a' }, { number: 3, id: 'b' }],
  ])('%s', (_, lower, higher) => {
    expect(compareEpochs(lower, higher)).toBeLessThan(0);
    expect(compareEpochs(higher, lower)).toBeGreaterThan(0);
    expect(compareEpochs(lower, { ...lower })).toBe(0);
  });
});

describe('assertFollows', () => {
  const ours = history(PROMOTED, '2b-460');
  const stream = ours.stream!;
  const other = 'e'.repeat(32);

  it.each([
    ['a frame on the end of the history', { stream, base: at('2b-460') }, ours],
    ['the first frame of a stream', { stream, base: at('0-0') }, history([], '0-0')],
    ['the first frame of any stream, where there is none yet', { stream: other, base: at('0-0') }, { ...history([], '0-0'), stream: null }],
  ])('accepts %s', (_, frame, lineage) => {
    expect(() => assertFollows(frame, lineage)).not.toThrow();
  });

  it.each([
    ['a frame after the end', at('2b-461')],
    ['a frame before the end', at('2b-459')],
    ['a frame on that revision in another epoch', at('1a-460')],
  ])('refuses %s, and names both positions', (_, base) => {
    expect(() => assertFollows({ stream, base }, ours)).toThrow(
      expect.objectContaining({ code: 'HISTORY_MISMATCH', details: { expected: at('2b-460'), found: base } }),
    );
  });

  it('refuses another stream, whatever the position, and names both', () => {
    expect(() => assertFollows({ stream: other, base: at('2b-460') }, ours)).toThrow(
      expect.objectContaining({ code: 'STREAM_MISMATCH', details: { expected: stream, found: other } }),
    );
  });
});

describe('lostPosition', () => {
  it('is fenced, and names the position and the end of the history', () => {
    const error = lostPosition(at('1a-500'), history(PROMOTED, '2b-460'));
    expect(error).toMatchObject({ code: 'FENCED', details: { position: at('1a-500'), last: at('2b-460') } });
  });
});

describe('highestEpoch', () => {
  it.each([
    ['the only one', ['1a'], '1a-9', { number: 1, id: 'a' }],
    ['the last promotion', PROMOTED, '2b-460', { number: 2, id: 'b' }],
    [
      'of a writer that restarted, the one that began its number',
      ['1m', '1z after 1m-100', '1c after 1z-200'],
      '1c-300',
      { number: 1, id: 'm' },
    ],
    ['one that only the position names', ['1a'], '3c-9', { number: 3, id: 'c' }],
    ['none, before the first commit', [], '0-0', { number: 0, id: '0' }],
  ])('%s', (_, entries, position, { number, id }) => {
    expect(highestEpoch(history(entries, position).epochs, at(position))).toMatchObject({ number, id: id.repeat(16) });
  });
});

describe('positionAt', () => {
  it.each([
    [0, '0-0'],
    [1, '1a-1'],
    [100, '1a-100'],
    [101, '1d-101'],
    [450, '1e-450'],
    [451, '2b-451'],
    [460, '2b-460'],
  ])('revision %i', (revision, expected) => {
    const found = positionAt(history(RESTARTED, '2b-460'), revision);
    expect(found).toEqual(at(expected));
    expect(formatPosition(found!)).toBe(formatPosition(at(expected)));
  });

  it('names nothing beyond the end, nor before the beginning of a folded table', () => {
    expect(positionAt(history(RESTARTED, '2b-460'), 461)).toBeUndefined();
    expect(positionAt(history(['2b after 1a-450'], '2b-460'), 450)).toBeUndefined();
  });
});

/** The history after a restart of its writer, with an id above all others. */
function restarted(lineage: Lineage): Lineage {
  return { ...lineage, epochs: [...lineage.epochs, { ...lineage.epochs.at(-1)!, id: 'f'.repeat(16), base: lineage.last }] };
}

describe('any two histories of a stream', () => {
  /** A history by its epochs: each with a letter of its own, whether it is a restart, and how many commits it has. */
  type Reign = readonly [letter: string, restarts: boolean, commits: number];
  const commits = fc.integer({ min: 1, max: 4 });
  const reigns = (letters: string) =>
    fc
      .array(fc.tuple(fc.boolean(), commits), { maxLength: 3 })
      .map(list => list.map(([restarts, count], index): Reign => [letters[index]!, restarts, count]));

  /** The table of a history, and each of its positions: the model that `covers` and `forkOf` have to agree with. */
  function build(list: readonly Reign[]): { readonly lineage: Lineage; readonly positions: readonly string[] } {
    const entries: string[] = [];
    const positions = ['0-0'];
    let number = 0;
    for (const [letter, restarts, count] of list) {
      if (!restarts || number === 0) number++;
      const base = positions.at(-1)!;
      entries.push(base === '0-0' ? `${number}${letter}` : `${number}${letter} after ${base}`);
      for (let n = 0; n < count; n++) positions.push(`${number}${letter}-${positions.length}`);
    }
    return { lineage: history(entries, positions.at(-1)!), positions };
  }

  /** The reigns that a history had when it ended at a revision. */
  function reignsUpTo(list: readonly Reign[], revision: number): readonly Reign[] {
    let base = 0;
    return list.filter(([, , count]) => (base += count) - count < revision);
  }

  it('have one precedence: the first entry of the highest number decides, whatever was restarted since', () => {
    fc.assert(
      fc.property(reigns('abc'), reigns('def'), reigns('xyz'), (shared, ours, theirs) => {
        const [a, b] = [build([...shared, ...ours]).lineage, build([...shared, ...theirs]).lineage];
        const [first, second] = [a, b].map(({ epochs, last }) => highestEpoch(epochs, last)) as [Epoch, Epoch];
        for (const [{ epochs }, found] of [
          [a, first],
          [b, second],
        ] as const) {
          const number = Math.max(0, ...epochs.map(epoch => epoch.number));
          expect(found).toMatchObject(number === 0 ? { number } : epochs.find(epoch => epoch.number === number)!);
        }
        if (a.epochs.length > 0) expect(highestEpoch(restarted(a).epochs, a.last)).toEqual(first);
        expect(Math.sign(compareEpochs(first, second))).toBe(-Math.sign(compareEpochs(second, first)) + 0);
      }),
      { numRuns: 300 },
    );
  });

  it('cover the positions that they went through, fork after the last common one, and hold of each other what is before the fork', () => {
    fc.assert(
      fc.property(reigns('abc'), reigns('def'), reigns('xyz'), fc.nat(), (shared, ours, theirs, cut) => {
        const a = build([...shared, ...ours]);
        // Their history may leave ours within an epoch.
        const left = shared.map((reign, index): Reign =>
          index === shared.length - 1 ? [reign[0], reign[1], 1 + (cut % reign[2])] : reign,
        );
        const b = build([...left, ...theirs]);
        const common = a.positions.filter(position => b.positions.includes(position));
        const fork = at(common.at(-1)!);
        expect(forkOf(a.lineage, b.lineage)).toEqual(fork);
        expect(forkOf(b.lineage, a.lineage)).toEqual(fork);
        expect(heldBy(a.lineage, b.lineage.last).revision).toBeLessThanOrEqual(fork.revision);
        for (const position of new Set([...a.positions, ...b.positions])) {
          expect(covers(a.lineage, at(position))).toBe(a.positions.includes(position));
          if (covers({ epochs: a.lineage.epochs, last: b.lineage.last }, at(position))) expect(common).toContain(position);
        }
        for (const [revision, position] of a.positions.entries()) {
          expect(positionAt(a.lineage, revision)).toEqual(at(position));
          const past = { ...a.lineage, epochs: epochsAt(a.lineage, revision), last: at(position) };
          expect(past.epochs).toEqual(build(reignsUpTo([...shared, ...ours], revision)).lineage.epochs);
          expect(forkOf(a.lineage, past)).toEqual(at(position));
        }
      }),
      { numRuns: 500 },
    );
  });
});
