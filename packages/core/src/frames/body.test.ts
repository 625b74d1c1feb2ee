import { describe, expect, it } from 'vitest';
import { ORIGIN } from '../position.ts';
import { exportValue, importValue } from '../tree/content.ts';
import type { Path } from '../tree/path.ts';
import { Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';
import { decodeChangeSets } from './collect-sink.ts';
import { applyFrame } from './frame-application.ts';
import { FrameWriter } from './frame-writer.ts';
import { frameBody, NO_CHAIN, sealFrame, type BodyCodec, type Frame } from './frame.ts';

interface Said {
  readonly time: number;
  readonly author?: string;
  readonly message?: string;
  readonly puts: readonly (readonly [path: Path, value: Value])[];
}

/** A frame of these change sets, on the empty tree. */
function frameOf(codec: BodyCodec, changeSets: readonly Said[]): Frame {
  const tree = new Tree();
  const writer = new FrameWriter(codec, 0);
  for (const { time, author, message, puts } of changeSets) {
    writer.changeSet(time, author, message, puts.length);
    for (const [path, value] of puts) {
      const child = importValue(value, path, tree.generation);
      tree.put(path, child);
      writer.body.operation(tree.trail, path, child);
    }
  }
  return writer.seal({ stream: 'f'.repeat(32), last: ORIGIN, chain: NO_CHAIN }, tree.digest());
}

/** The arrays and objects in a value, itself included, that can be changed. */
function unfrozen(value: unknown): unknown[] {
  if (typeof value !== 'object' || value === null) return [];
  return [...(Object.isFrozen(value) ? [] : [value]), ...Object.values(value).flatMap(unfrozen)];
}

/** Bytes as they are written here: hex digits, with the words of FORMAT.md beside them. */
function golden(...lines: string[]): string {
  return lines.map(line => line.replace(/ \|.*/, '').replaceAll(' ', '')).join('');
}

const COUNTED = [1, 2, 3, 4, 5].map(count => [['a'], ['b', 'c']].map(path => [path, { count }] as const));

describe.each<BodyCodec>(['binary', 'json'])('a %s body', codec => {
  it('tells who made each change set, why and when, as far as that was said', () => {
    const changeSets: readonly Said[] = [
      { time: 100, author: 'me', message: 'because', puts: COUNTED[0]! },
      { time: 100, message: 'again', puts: COUNTED[1]! },
      { time: 160, author: 'you', puts: COUNTED[2]! },
      { time: 2 ** 41, puts: COUNTED[3]! },
      { time: 2 ** 41, puts: COUNTED[4]! },
    ];
    expect(decodeChangeSets(frameOf(codec, changeSets))).toEqual(
      changeSets.map(({ puts, ...head }, index) => ({
        ...head,
        revision: index + 1,
        operations: puts.map(([path, value]) => ({ type: 'put', path, value })),
      })),
    );
  });

  it('gives the tree arrays that nobody can change, objects inside them included', () => {
    const tree = new Tree();
    applyFrame(tree, frameOf(codec, [{ time: 1, puts: [[['list'], [1, [2], { a: { b: [3] } }]]] }]), undefined);
    expect(exportValue(tree.root)).toEqual({ list: [1, [2], { a: { b: [3] } }] });
    expect(unfrozen(tree.get(['list']))).toEqual([]);
  });
});

describe('the bytes of a binary body', () => {
  it('are those of FORMAT.md', () => {
    const list: Value = [null, false, true, 0, 223, 224, -1, 0.5, 'é', { k: 1 }];
    const frame = frameOf('binary', [
      { time: 100, author: 'me', message: 'why', puts: [[['n'], list]] },
      {
        time: 105,
        puts: [
          [['p', 'm'], {}],
          [['p', 'n'], 2 ** 31],
        ],
      },
      { time: 105, puts: [[[], { k: -(2 ** 40) }]] },
    ]);
    expect(Buffer.from(frameBody(frame)).toString('hex')).toBe(
      golden(
        '0d | one operation, author, message',
        '026d65 | author',
        '03776879 | message',
        '01 00016e | root, the new key n',
        '080a | array of 10 items',
        '01 02 03 | null, false, true',
        '20 ff | the least and the highest number of one byte',
        '04e001 | whole number',
        '0501 | its negative',
        '06000000000000e03f | double',
        '0702c3a9 | string',
        '0901 00016b 21 | object of one member, its new key k, 1',
        '02 05 02 | time; 5 ms later, two operations',
        '00 01 000170 | defines node 2: below the root, under the new key p',
        '02 00016d | node 2, the new key m',
        '0900 | empty object',
        '02 01 | node 2, key 1',
        '04 8080808008 | whole number',
        '01 | one operation',
        '00 00 | the root',
        '0901 02 | object of one member, key 2',
        '05 808080808020 | negative number',
      ),
    );
    const tree = new Tree();
    applyFrame(tree, frame, undefined);
    expect(exportValue(tree.root)).toEqual({ k: -(2 ** 40) });
  });

  it('are those of FORMAT.md for a frame that begins an epoch', () => {
    const epoch = { number: 1, id: 'a'.repeat(16), site: 'here', base: ORIGIN, reason: 'start', time: 7 };
    const writer = new FrameWriter('binary', 0);
    const frame = writer.sealEpoch({ stream: 'f'.repeat(32), last: ORIGIN, chain: NO_CHAIN }, new Tree().digest(), epoch);
    expect(Buffer.from(frameBody(frame)).toString('hex')).toBe(
      golden('0468657265 | site', '057374617274 | reason', '00 00 | no time, no operation'),
    );
  });
});

it('a binary body reads back the keys that share a slot of the dictionary of its writer', () => {
  const many = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`key ${index}`, index]));
  const [first, second] = [['a'], ['b']].map(path => [path, many] as const);
  const tree = new Tree();
  applyFrame(tree, frameOf('binary', [{ time: 1, puts: [first!, second!] }]), undefined);
  expect(exportValue(tree.root)).toEqual({ a: many, b: many });
});

it('a binary body that is cut off is refused wherever that is, and the tree stays', () => {
  const value = { text: 'x'.repeat(50), list: [1, -1, 0.5, 'é', { deep: [null, true] }], large: 2 ** 40, ['k'.repeat(50)]: {} };
  const frame = frameOf('binary', [{ time: 1, puts: [['a', 'b'], ['a', 'c', 'd'], ['e']].map(path => [path, value]) }]);
  const body = frameBody(frame);
  const tree = new Tree();
  for (let length = 0; length < body.length; length++) {
    const cut = sealFrame(frame.header, body.subarray(0, length));
    expect(() => applyFrame(tree, cut, undefined), `cut to ${length} bytes`).toThrow(expect.objectContaining({ code: 'FORMAT_INVALID' }));
    expect(exportValue(tree.root)).toEqual({});
  }
  applyFrame(tree, frame, undefined);
  expect(tree.digest()).toBe(frame.header.digest);
});
