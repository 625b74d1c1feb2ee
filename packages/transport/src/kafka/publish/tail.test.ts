import { describe, expect, test } from 'vitest';
import { frameOf, POSITION, STREAM } from '../../../../../test/support/links.ts';
import type { ReceivedRecord } from '../records.ts';
import { splitValue } from '../parts.ts';
import { StreamClaims, TailSearch } from './tail.ts';

const bytesOf = (revision: number, size = 20) => Buffer.from(frameOf(revision, size).bytes);

/** A topic's records, at offsets from `first` on. */
function records(values: readonly (Buffer | null)[], first = 0n): ReceivedRecord[] {
  return values.map((value, index) => ({ key: null, value, headers: {}, timestamp: '0', offset: String(first + BigInt(index)) }));
}

function inParts(value: Buffer, first: bigint): ReceivedRecord[] {
  return [...splitValue(value, 160)].map(({ value: piece, part }, index) => ({
    key: null,
    value: piece,
    headers: part === undefined ? {} : { part },
    timestamp: '0',
    offset: String(first + BigInt(index)),
  }));
}

/** Searches a topic as a link does; counts the steps back. */
function search(topic: readonly ReceivedRecord[], low = 0n) {
  const tail = new TailSearch(low, low + BigInt(topic.length));
  let steps = 0;
  const read = () => tail.take(topic.slice(Number(tail.from - low)));
  read();
  while (tail.of(STREAM).last === undefined && tail.stepBack()) {
    steps += 1;
    read();
  }
  return { ...tail.of(STREAM), steps, any: tail.any };
}

describe('what a topic ends with', () => {
  test('is nothing in an empty one', () => {
    expect(search([])).toEqual({ last: undefined, strange: 0, torn: false, steps: 0, any: undefined });
  });

  test('is its last frame', () => {
    expect(search(records([bytesOf(1), bytesOf(2), bytesOf(3)]), 5n)).toMatchObject({ strange: 0, torn: false });
    expect(search(records([bytesOf(1), bytesOf(2), bytesOf(3)])).last?.last).toEqual({ ...POSITION, revision: 3 });
  });

  test('is its furthest frame: an older one that was written late does not count', () => {
    expect(search(records([bytesOf(1), bytesOf(2), bytesOf(3), bytesOf(2)])).last?.last.revision).toBe(3);
  });

  test('is a frame in parts, if all of them are there', () => {
    const whole = inParts(bytesOf(9, 300), 0n);
    expect(search(whole)).toMatchObject({ torn: false, last: { last: { revision: 9 } } });
    expect(search([...records([bytesOf(8)]), ...inParts(bytesOf(9, 300), 1n).slice(0, -1)])).toMatchObject({
      torn: true,
      strange: 0,
      last: { last: { revision: 8 } },
    });
  });

  test('is not a frame that was damaged, whole or in parts', () => {
    const damaged = bytesOf(9, 300);
    damaged[200]! ^= 1;
    expect(search(records([bytesOf(8), damaged]))).toMatchObject({ strange: 1, last: { last: { revision: 8 } } });
    expect(search([...records([bytesOf(8)]), ...inParts(damaged, 1n)])).toMatchObject({ strange: 1, last: { last: { revision: 8 } } });
  });

  test('is found before records that are not ours', () => {
    const foreign = frameOf(77, 10).bytes.slice();
    foreign.fill(0xaa, 8, 24);
    const others = [Buffer.from('hello'), null, Buffer.alloc(0), bytesOf(9).subarray(0, 100)];
    expect(search(records([bytesOf(8), ...others]))).toMatchObject({ strange: 4, last: { last: { revision: 8 } } });
    expect(search(records([Buffer.from(foreign)])).last).toBeUndefined();
  });

  test('is looked for in growing steps, each of which reads to the end', () => {
    const garbage = Array.from({ length: 3000 }, () => Buffer.from('x'));
    expect(search(records([bytesOf(1), ...garbage]))).toMatchObject({ steps: 3, last: { last: { revision: 1 } } });
  });

  test('is not searched for beyond a bound of records that are no frames', () => {
    const tail = new TailSearch(0n, 1_000_000n);
    let steps = 0;
    while (tail.stepBack()) steps += 1;
    expect(steps).toBe(4);
    expect(tail.from).toBe(1_000_000n - 32n * 8n ** 4n);
  });
});

test('what is known of a stream that is asked for outlives any number of others', () => {
  const claims = new StreamClaims();
  const own = claims.of(STREAM);
  for (let other = 0; other < 100; other++) {
    claims.of(other.toString(16).padStart(32, '0'));
    expect(claims.of(STREAM)).toBe(own);
  }
});
