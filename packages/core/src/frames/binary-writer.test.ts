import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BinaryBodyWriter } from './binary-writer.ts';
import { importValue } from '../tree/content.ts';
import { ROOT, type Path } from '../tree/path.ts';
import { Tree } from '../tree/tree.ts';

const wide = Object.fromEntries(Array.from({ length: 3_000 }, (_, n) => [`k${n}`, n % 3 === 0 ? { n } : n % 3 === 1 ? [n, { n }] : n]));

test('an operation that is written in steps has the bytes of one that is written in one', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.jsonValue(),
        fc.constantFrom<unknown>(
          wide,
          { wide, list: [wide] },
          Array.from({ length: 5_000 }, (_, n) => n),
        ),
      ),
      fc.constantFrom<Path>(ROOT, ['a'], ['a', 'b']),
      (value, at) => {
        const tree = new Tree();
        const path = at.length === 0 && (typeof value !== 'object' || value === null || Array.isArray(value)) ? ['a'] : at;
        tree.put(path, importValue(value, path, tree.generation));
        const child = path.length === 0 ? tree.root : tree.get(path)!;
        const writers = [new BinaryBodyWriter(), new BinaryBodyWriter()] as const;
        for (const writer of writers) {
          writer.changeSet(1, undefined, undefined, 1);
          tree.follow(path, ROOT);
          if (writer === writers[0]) writer.operation(tree.trail, path, child as never);
          else for (const _ of writer.operationInSteps(tree.trail, path, child as never));
        }
        expect(Buffer.from(writers[1].take()).equals(writers[0].take())).toBe(true);
      },
    ),
  );
});

test('a large child is written in many steps', () => {
  const tree = new Tree();
  tree.put(['a'], importValue({ wide, list: Array.from({ length: 20_000 }, (_, n) => n) }, ['a'], tree.generation));
  tree.follow(['a'], ROOT);
  const writer = new BinaryBodyWriter();
  writer.changeSet(1, undefined, undefined, 1);
  expect([...writer.operationInSteps(tree.trail, ['a'], tree.get(['a']) as never)].length).toBeGreaterThan(20);
});
