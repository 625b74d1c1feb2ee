import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RevisionSet } from './revision-set.ts';

test('a set of revisions has those that were added, and no others', () => {
  const revision = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }));
  fc.assert(
    fc.property(fc.array(revision, { maxLength: 200 }), fc.array(revision), (added, others) => {
      const set = new RevisionSet();
      for (const each of added) set.add(each);
      for (const each of [...added, ...others]) expect(set.has(each)).toBe(added.includes(each));
    }),
  );
});
