import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { at } from '../test/histories.ts';
import { formatExactPosition, formatPosition, isBefore, ORIGIN, parsePosition, samePosition } from './position.ts';

describe('the text of a position', () => {
  it('names the epoch and the revision, and for errors about two histories also the id of the epoch', () => {
    expect(formatPosition(at('4b-1201'))).toBe('4-1201');
    expect(formatExactPosition(at('4b-1201'))).toBe('4-1201 (epoch id bbbbbbbbbbbbbbbb)');
    expect(formatExactPosition(ORIGIN)).toBe('0-0 (epoch id 0000000000000000)');
  });

  it('reads back as the position, up to the highest of both numbers', () => {
    const epoch = fc.integer({ min: 0, max: 0xffff_ffff });
    fc.assert(
      fc.property(epoch, fc.maxSafeNat(), (number, revision) => {
        const position = { epoch: number, revision };
        expect(parsePosition(formatPosition(position))).toEqual(position);
      }),
      { examples: [[0xffff_ffff, Number.MAX_SAFE_INTEGER]] },
    );
  });

  it.each([
    ['nothing', ''],
    ['a number alone', '4'],
    ['no epoch', '-4'],
    ['no revision', '4-'],
    ['a minus', '4--1'],
    ['something before it', ' 4-1'],
    ['something after it', '4-1 '],
    ['a third number', '4-1-1'],
    ['a fraction', '4-1.5'],
    ['an epoch above 32 bits', '4294967296-1'],
    ['an epoch with more digits than 32 bits take', '00000000004-1'],
    ['a revision above 2^53', '4-9007199254740992'],
    ['a revision with more digits than 2^53 takes', '4-00000000000000001'],
  ])('is refused with %s', (_, text) => {
    expect(parsePosition(text)).toBeUndefined();
  });
});

describe('two positions', () => {
  it.each([
    ['the same twice', '2b-7', '2b-7', 'same'],
    ['a higher revision', '2b-7', '2b-8', 'before'],
    ['a higher epoch, whatever the revision', '2b-7', '3a-6', 'before'],
    ['a higher epoch at the same revision', '2b-7', '3b-7', 'before'],
    ['a higher revision within a number, whatever the id', '2c-6', '2b-7', 'before'],
    ['another id within a number at the same revision', '2b-7', '2c-7', 'neither'],
    ['the origin and the first commit', '0-0', '1a-1', 'before'],
  ])('%s', (_, a, b, expected) => {
    const [first, second] = [at(a), at(b)];
    const isSame = expected === 'same';
    expect(samePosition(first, second)).toBe(isSame);
    expect(samePosition(second, first)).toBe(isSame);
    expect(isBefore(first, second)).toBe(expected === 'before');
    expect(isBefore(second, first)).toBe(false);
  });
});
