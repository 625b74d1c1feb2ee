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
