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
