import fc from 'fast-check';
import { importValue } from '../src/tree/content.ts';
import { emptyDigest } from '../src/tree/digest.ts';
import { FrameWriter } from '../src/frames/frame-writer.ts';
import { frameHash, NO_CHAIN, type BodyCodec, type Frame } from '../src/frames/frame.ts';
import type { Path } from '../src/tree/path.ts';
import { ORIGIN } from '../src/position.ts';
import { type Tree, UNCHANGED } from '../src/tree/tree.ts';
import type { Value } from '../src/tree/value.ts';

export const STREAM = '0123456789abcdef0123456789abcdef';
const key = fc.oneof(
  fc.constantFrom('a', 'b', '', '/', '~', '__proto__', 'constructor', '0', 'ключ', '🌲', 'x'.repeat(200)),
  fc.integer({ min: 0, max: 50 }).map(n => `k${n}`),
);
const number = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(223, 224, 127, 128, 2 ** 31, 2 ** 53 - 1, -(2 ** 53 - 1), 2 ** 53, 1e21, 5e-324),
);
const { value } = fc.letrec<{ value: Value }>(tie => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(fc.constant(null), fc.boolean(), number, fc.string({ unit: 'grapheme' }), fc.string({ minLength: 30, maxLength: 60 })),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 5 }).map(entries => Object.fromEntries(entries) as Value),
    fc.constant(Object.fromEntries(Array.from({ length: 45 }, (_, n) => [`k${n}`, { n }])) as Value),
  ),
}));
/** A put, or a delete without a value; the tree is pinned before it or not. */
export interface Step {
  readonly path: Path;
  readonly value: Value | undefined;
  readonly pin: boolean;
}
export const step: fc.Arbitrary<Step> = fc.record({
  path: fc.array(key, { minLength: 1, maxLength: 4 }),
  value: fc.option(value, { nil: undefined }),
  pin: fc.boolean(),
});

/** Makes single-operation change sets of steps on a tree, and frames of runs of them. */
export function frames(tree: Tree, runs: readonly (readonly Step[])[], codec: BodyCodec): Frame[] {
  const writer = new FrameWriter(codec, 0);
  const epoch = { number: 1, id: '00000000000000aa', site: 's', base: ORIGIN, reason: 'test', time: 5 };
  const made = [writer.sealEpoch({ stream: STREAM, last: ORIGIN, chain: NO_CHAIN }, emptyDigest(), epoch)];
  for (const [index, run] of runs.entries()) {
    for (const { path, value: item, pin } of run) {
      if (pin) tree.pin();
      tree.undo.clear();
      const child = item === undefined ? undefined : importValue(item, path, tree.generation);
      if (!change(tree, path, child)) continue;
      writer.changeSet(100 + index, index % 2 === 0 ? 'me' : undefined, undefined, 1);
      writer.body.operation(tree.trail, path, child);
    }
    if (writer.count === 0) continue;
    const before = made.at(-1)!;
    made.push(writer.seal({ stream: STREAM, last: before.header.last, chain: frameHash(before) }, tree.digest()));
  }
  return made;
}

/** @returns whether the tree changed */
export function change(tree: Tree, path: Path, child: ReturnType<typeof importValue> | undefined): boolean {
  try {
    return (child === undefined ? tree.delete(path) : tree.put(path, child)) !== UNCHANGED;
  } catch {
    return false; // Through a leaf: refused, and nothing changed.
  }
}
