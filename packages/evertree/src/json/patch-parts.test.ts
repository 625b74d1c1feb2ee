import type { Store } from '@evertree/core';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openStore } from '../site/opening.ts';
import { differenceOf } from './difference.ts';
import { patchParts } from './patch-parts.ts';

const LIMIT_BYTES = 256;

async function applied(before: object, parts: Iterable<string>): Promise<unknown> {
  await using store: Store = await openStore({ data: 'memory' });
  store.transact(tx => tx.put([], before));
  for (const part of parts) store.transact(tx => tx.patch([], JSON.parse(part)));
  return store.get([]);
}

describe('the parts of a patch', () => {
  test('have together the effect of the whole patch, and none is too long', async () => {
    const leaf = fc.oneof(fc.integer(), fc.boolean(), fc.constant(null), fc.string({ maxLength: 20 }));
    const { tree } = fc.letrec(tie => ({
      tree: fc.dictionary(fc.string({ maxLength: 4 }), fc.oneof({ depthSize: 'small' }, leaf, tie('tree')), {
        maxKeys: 6,
        noNullPrototype: true,
      }),
    }));
    await fc.assert(
      fc.asyncProperty(tree, tree, async (before, after) => {
        const parts = [...patchParts(differenceOf(before, after).operations, LIMIT_BYTES)];
        for (const part of parts) expect(Buffer.byteLength(part)).toBeLessThanOrEqual(LIMIT_BYTES);
        expect(await applied(before as object, parts)).toEqual(after);
      }),
      { numRuns: 50 },
    );
  });

  test('keys with slashes and tildes keep their names', async () => {
    const after = { 'a/b~c': { one: 'x'.repeat(30), two: 'y'.repeat(30) } };
    const parts = [...patchParts(differenceOf({}, after).operations, 80)];
    expect(parts.length).toBeGreaterThan(1);
    expect(await applied({}, parts)).toEqual(after);
  });

  test('a value that can not be cut is named', () => {
    const { operations } = differenceOf({}, { a: { long: Array.from({ length: 200 }, () => 1) } });
    let failure: unknown;
    try {
      Array.from(patchParts(operations, LIMIT_BYTES));
    } catch (error) {
      failure = error;
    }
    const message = expect.stringMatching(/the value at "\/a\/long" takes \d+ bytes and can't be cut/) as unknown;
    expect(failure).toMatchObject({ code: 'TOO_LARGE', message });
  });
});
