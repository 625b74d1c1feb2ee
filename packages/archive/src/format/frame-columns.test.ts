import { type Frame, frameBody, sealFrame, type Value } from '@evertree/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameChain } from '../../../../test/support/frame-chain.ts';
import { RandomHistory } from '../../../../test/support/random-history.ts';
import { framesOf, memoryStore } from '../../../../test/support/stores.ts';
import { ColumnReaders } from './column-list.ts';
import { MalformedColumns } from './column-reader.ts';
import { columnsLimit, decodeColumns, encodeColumns } from './frame-columns.ts';

const SEEDS = Number(process.env['EVERTREE_SEEDS'] ?? 12);
const FIRST_SEED = Number(process.env['EVERTREE_SEED'] ?? Math.floor(Math.random() * 0x7fff_ffff));
const HAS_BODY_COLUMNS = 1;
const NEXT_WITH_COLUMNS = 15;

type Store = Awaited<ReturnType<typeof memoryStore>>['store'];

async function framesAfter(write: (store: Store) => void, encoding: 'binary' | 'json' = 'binary'): Promise<readonly Frame[]> {
  const { store } = await memoryStore({ encoding });
  write(store);
  await store.flush();
  return framesOf(store.journal);
}

function bytesOf(frames: readonly Frame[]): Buffer {
  return Buffer.concat(frames.map(({ bytes }) => bytes));
}

/** Encodes, decodes and compares. @returns the kinds of the frames, in columns */
function kindsOf(frames: readonly Frame[] | Buffer): number[] {
  const plain = Buffer.isBuffer(frames) ? frames : bytesOf(frames);
  const columns = encodeColumns(plain);
  if (columns === undefined) throw new Error('these frames were not written as columns');
  expect(decodeColumns(columns, plain.length).equals(plain)).toBe(true);
  const { kinds } = new ColumnReaders(columns);
  return Array.from({ length: kinds.length }, () => kinds.read());
}

/** A frame with another body, which is no sound one. */
function withBody({ header }: Frame, body: Uint8Array): Frame {
  return sealFrame({ ...header, bodyLength: body.length }, body);
}

describe('columns of frames', () => {
  const seeds = Array.from({ length: SEEDS }, (_, index) => FIRST_SEED + index);

  it.each(seeds)('give back any history byte for byte (seed %d)', async seed => {
    const history = new RandomHistory(seed);
    const frames = await framesAfter(
      store => {
        for (let left = 20 + history.below(300); left > 0; left--) {
          history.commit(store);
          if (history.below(8) === 0) store.cut();
        }
      },
      history.below(4) === 0 ? 'json' : 'binary',
    );
    const from = history.below(frames.length);
    const taken = frames.slice(from, from + 1 + history.below(frames.length));
    const kinds = kindsOf(taken);
    for (const [index, { header }] of taken.entries()) {
      const isPlain = header.codec === 'json' || header.beginsEpoch || header.endsEpoch || header.isMark;
      expect(kinds[index]! & HAS_BODY_COLUMNS, `frame ${index}`).toBe(isPlain ? 0 : HAS_BODY_COLUMNS);
    }
  });

  it('give back every kind of value', () => {
    const value = fc.jsonValue({ maxDepth: 5 }) as fc.Arbitrary<Value>;
    const number = fc.oneof(
      fc.maxSafeInteger(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.constantFrom(0, 223, 224, 2 ** 30, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -(2 ** 53 - 1), 5e-324),
    );
    const key = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 8 }), fc.constantFrom('', '__proto__', '🌲', '\0', 'x'.repeat(300)));
    const change = fc.record({
      path: fc.array(key, { minLength: 1, maxLength: 3 }),
      value: fc.oneof(value, number, fc.string({ maxLength: 400 })),
    });
    return fc.assert(
      fc.asyncProperty(fc.array(fc.array(change, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 8 }), async groups => {
        const frames = await framesAfter(store => {
          for (const group of groups) {
            for (const { path, value: its } of group) {
              store.put(path.slice(0, 1), {});
              store.put(path.slice(0, 2), {});
              store.put(path, its, { author: JSON.stringify(its).slice(0, 20), message: '🌲' });
            }
            store.cut();
          }
        });
        kindsOf(frames);
      }),
      { numRuns: 40 },
    );
  });

  it('take what a frame says of its history from the frame before', async () => {
    const frames = await framesAfter(store => {
      for (let index = 0; index < 40; index++) {
        store.put(['a', `k${index % 5}`], index);
        if (index % 4 === 3) store.cut();
      }
    });
    // The first begins the epoch; the second has other flags.
    expect(kindsOf(frames).slice(2)).toEqual(Array.from({ length: frames.length - 2 }, () => NEXT_WITH_COLUMNS));
  });

  it('give back keys that a frame spells twice, and nodes that it defines twice', async () => {
    const many = await framesAfter(store => {
      store.transact(tx => {
        for (let index = 0; index < 30_000; index++) tx.put(['many', `key ${index}`], index);
        for (let index = 0; index < 30_000; index++) tx.put(['again', `key ${index}`], index);
      });
    });
    expect(new ColumnReaders(encodeColumns(bytesOf(many))!).respelled.length).toBeGreaterThan(0);
    expect(kindsOf(many).at(-1)! & HAS_BODY_COLUMNS).toBe(HAS_BODY_COLUMNS);

    const twice = await framesAfter(store => {
      for (let index = 0; index < 50; index++) {
        store.put(['a', 'b', 'c'], index);
        store.put(['a', 'b', 'c'], { d: index });
        store.put(['a', 'b', 'c', 'd'], 'text');
        if (index % 7 === 0) store.delete(['a', 'b']);
        if (index % 9 === 0) store.put([], { a: { b: { x: index } } });
      }
    });
    expect(new ColumnReaders(encodeColumns(bytesOf(twice))!).redefined.length).toBeGreaterThan(0);
    expect(kindsOf(twice).at(-1)! & HAS_BODY_COLUMNS).toBe(HAS_BODY_COLUMNS);
  });

  it('spell a key and a text of an object once', async () => {
    const frames = await framesAfter(store => {
      for (let index = 0; index < 100; index++) {
        store.put(['a key that is long', `k${index % 3}`], `a text that is long ${index % 4}`);
        store.cut();
      }
    });
    const columns = encodeColumns(bytesOf(frames))!;
    expect(columns.toString('latin1').split('a key that is long')).toHaveLength(2);
    expect(columns.toString('latin1').split('a text that is long')).toHaveLength(5);
    expect(columns.length).toBeLessThan(bytesOf(frames).length / 8);
  });

  it('keep bodies as they are that can be written in another way, or can’t be read', async () => {
    const frames = await framesAfter(store => {
      for (let index = 0; index < 8; index++) {
        store.put(['a', 'b'], 1_000 + index);
        store.cut();
      }
    });
    const sound = frameBody(frames.at(-1)!);
    const at = sound.indexOf(Buffer.from([4, 0xef, 0x07]));
    const bodies = {
      'a longer varint': Buffer.concat([sound.subarray(0, at), Buffer.from([4, 0xef, 0x87, 0x00])]),
      'a varint above 2^53': Buffer.concat([sound.subarray(0, at), Buffer.from([4, 255, 255, 255, 255, 255, 255, 255, 127])]),
      'an unknown kind of value': Buffer.concat([sound.subarray(0, at), Buffer.from([31])]),
      'bytes behind it': Buffer.concat([sound, Buffer.from([0])]),
      'an end in the middle': sound.subarray(0, -1),
      'an undefined node': Buffer.from([1, 9, 0, 1, 97, 33]),
      'an undefined key': Buffer.from([1, 1, 9, 33]),
      'unknown flags': Buffer.from([17, 1, 0, 1, 97, 33]),
      'arrays without an end': Buffer.concat([Buffer.from([1, 1, 0, 1, 97]), ...Array.from({ length: 3_000 }, () => Buffer.from([8, 1]))]),
      nothing: Buffer.alloc(0),
    };
    for (const [what, body] of Object.entries(bodies)) {
      const odd = [...frames.slice(0, -1), withBody(frames.at(-1)!, body)];
      const kinds = kindsOf(odd);
      expect(kinds.at(-1)! & HAS_BODY_COLUMNS, what).toBe(0);
      expect(kinds.at(-2)! & HAS_BODY_COLUMNS, what).toBe(HAS_BODY_COLUMNS);
    }
  });

  it('keep sums and hashes that are not right, and headers that follow from nothing', async () => {
    const frames = await framesAfter(store => {
      for (let index = 0; index < 12; index++) {
        store.put(['a', 'b'], index);
        store.cut();
      }
    });
    const plain = bytesOf(frames);
    for (const kind of kindsOf(frames).slice(2)) expect(kind).toBe(NEXT_WITH_COLUMNS);
    let from = 0;
    for (const { bytes } of frames) {
      for (const offset of [4, 6, 9, 25, 30, 37, 44, 50, 55, 60, 63, 66, 74, 79, 82, 87, 89, 100, bytes.length - 1]) {
        const changed = Buffer.from(plain);
        changed[from + offset]! ^= 0x41;
        const columns = encodeColumns(changed);
        if (columns !== undefined) expect(decodeColumns(columns, changed.length).equals(changed)).toBe(true);
        else expect(offset).toBe(89);
      }
      from += bytes.length;
    }
    const [a, b] = [frames.slice(3, 6), frames.slice(6)];
    expect(kindsOf([...b, ...a])[b.length]).toBe(HAS_BODY_COLUMNS | 8);
  });

  it('are not made of what is no run of frames, of many odd bodies, or of too many bytes', () => {
    const chain = new FrameChain();
    for (let index = 0; index < 20; index++) chain.next();
    expect(encodeColumns(bytesOf(chain.frames))).toBeUndefined();
    expect(encodeColumns(Buffer.from('abc'))).toBeUndefined();
    expect(encodeColumns(Buffer.concat([bytesOf(chain.frames.slice(0, 2)), Buffer.alloc(200)]))).toBeUndefined();
    expect(encodeColumns(bytesOf(chain.frames).subarray(0, -1))).toBeUndefined();
    expect(encodeColumns(bytesOf([chain.next({ bytes: 9 * 1024 * 1024 })]))).toBeUndefined();
    expect(kindsOf(bytesOf(chain.frames.slice(1, 3)))).toEqual([8, 14]);
  });

  it('hold few large values', async () => {
    const large = 'large 🌲 '.repeat(200_000);
    const frames = await framesAfter(store => {
      store.put(['a'], large);
      store.put(['b'], [large, { [large.slice(0, 900)]: large.slice(1) }]);
    });
    expect(kindsOf(frames).at(-1)! & HAS_BODY_COLUMNS).toBe(HAS_BODY_COLUMNS);
  });
});

async function written(seed: number): Promise<{ readonly columns: Buffer; readonly plainBytes: number }> {
  const history = new RandomHistory(seed);
  const frames = await framesAfter(store => {
    for (let left = 60; left > 0; left--) {
      history.commit(store);
      if (history.below(6) === 0) store.cut();
    }
  });
  const plain = bytesOf(frames);
  return { columns: encodeColumns(plain)!, plainBytes: plain.length };
}

/** Decodes what may be anything: it gives so many bytes, or says that it can't. */
function tried(columns: Buffer, plainBytes: number): boolean {
  try {
    expect(decodeColumns(columns, plainBytes)).toHaveLength(plainBytes);
    return true;
  } catch (error) {
    if (error instanceof MalformedColumns) return false;
    throw error;
  }
}

describe('columns that nobody wrote', () => {
  it.each(Array.from({ length: 4 }, (_, index) => FIRST_SEED + index))('are told, or give as many bytes (seed %d)', async seed => {
    const history = new RandomHistory(seed);
    const { columns, plainBytes } = await written(seed);
    expect(tried(columns, plainBytes)).toBe(true);
    for (let round = 0; round < 1_500; round++) {
      const changed = Buffer.from(columns);
      for (let flips = 1 + history.below(3); flips > 0; flips--) changed[history.below(changed.length)] = history.below(256);
      tried(changed, plainBytes);
    }
    for (let round = 0; round < 200; round++) {
      expect(tried(columns.subarray(0, history.below(columns.length)), plainBytes)).toBe(false);
      expect(tried(columns, plainBytes - 1 - history.below(plainBytes - 1))).toBe(false);
      expect(tried(columns, plainBytes + 1 + history.below(1_000))).toBe(false);
      tried(Buffer.from(Array.from({ length: 60 + history.below(200) }, () => history.below(256))), plainBytes);
    }
  });

  it('can’t ask for more than the frames they stand for', () => {
    expect(tried(Buffer.alloc(0), 132)).toBe(false);
    expect(tried(Buffer.alloc(30), 132)).toBe(false);
    expect(tried(Buffer.alloc(30), 512 * 1024 * 1024)).toBe(false);
    expect(tried(Buffer.alloc(400, 0xff), 1_000)).toBe(false);
    expect(tried(Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0x7f]), Buffer.alloc(30)]), 1_000)).toBe(false);
    expect(columnsLimit(512 * 1024 * 1024)).toBe(0);
  });
});
