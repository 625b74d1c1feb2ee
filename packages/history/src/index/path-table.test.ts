import type { Path } from '@evertree/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pathKey } from './path-key.ts';
import { PathTable } from './path-table.ts';

/** Few different characters: so segments come again, and begin alike. The first two are escaped in keys. */
const short = fc.string({ unit: fc.constantFrom('\u0000', '\u0001', '\u0002', 'a', 'b', 'é', '😀'), maxLength: 4 });
const long = fc.constantFrom('c'.repeat(5_000), '\u0000'.repeat(20_000));
const segment = fc.oneof({ weight: 50, arbitrary: short }, { weight: 1, arbitrary: long });
const paths = fc.array(fc.array(segment, { maxLength: 3 }), { maxLength: 200, size: 'max' });

function add(table: PathTable, path: Path): number {
  return path.reduce((parent, each) => {
    // Not at the beginning, as in the body of a frame.
    const bytes = Buffer.from(`#${each}#`);
    return table.child(parent, table.segments.number(bytes, 1, bytes.length - 1));
  }, 0);
}

describe('a table of paths', () => {
  it('gives each path one number', () => {
    fc.assert(
      fc.property(paths, added => {
        const table = new PathTable();
        const numbers = new Map<string, number>();
        for (const path of added) {
          const key = pathKey(path).toString('hex');
          const number = add(table, path);
          expect(numbers.get(key) ?? number).toBe(number);
          numbers.set(key, number);
        }
        expect(new Set(numbers.values()).size).toBe(numbers.size);
      }),
    );
  });

  it('visits the paths, and those above them, in the order of their keys', () => {
    fc.assert(
      fc.property(paths, added => {
        const table = new PathTable();
        for (const path of added) add(table, path);
        const visited: Buffer[] = [];
        table.forEachInOrder((_, key, length) => visited.push(Buffer.from(key.subarray(0, length))));
        const keys = added.flatMap(path => Array.from({ length: path.length + 1 }, (_, depth) => pathKey(path.slice(0, depth))));
        const expected = new Set([pathKey([]), ...keys].map(key => key.toString('hex')));
        expect(visited.map(key => key.toString('hex'))).toEqual([...expected].toSorted());
      }),
    );
  });
});
