import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parsePath, PointerReader } from './path.ts';

const segment = fc.oneof(fc.constantFrom('', 'a', 'b', 'dev-1', 'ключ', '~0', '~1', '~', '0'), fc.string({ maxLength: 3 }));
const parents = fc.constantFrom('', '/a', '/a/b', '/a/~1', '/b', 'a');
const pointer = fc.oneof(
  fc.tuple(parents, segment).map(([above, last]) => `${above}/${last}`),
  fc.constantFrom('', 'a', '/', '//', '/a/'),
);

function outcome(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    return (error as Error).message;
  }
}

it('a reader of many pointers makes of each what parsePath makes, or fails as it does', () => {
  fc.assert(
    fc.property(fc.array(pointer, { maxLength: 20 }), pointers => {
      const reader = new PointerReader();
      for (const each of pointers) expect(outcome(() => reader.read(each))).toEqual(outcome(() => parsePath(each)));
    }),
    { numRuns: 1_000 },
  );
});

it('what a reader remembers keeps no long pointers in memory', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const above = `/${'x'.repeat(60_000)}`;
  const reader = new PointerReader();
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let n = 0; n < 1_000; n++) reader.read(`${above}/the-last-segment-${n}`);
  collect();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(20e6);
  expect(reader.read('/a')).toEqual(['a']);
});
