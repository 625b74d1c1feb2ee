import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemClock as clock } from '../../../../test/support/host.ts';
import { diskStore } from '../../../../test/support/stores.ts';
import { FaultDisk } from '../../../../test/support/fault-disk.ts';
import { exportValue, importValue } from '../tree/content.ts';
import { recoverAt } from './recovery.ts';
import type { Store } from './store.ts';
import { treeAtFork } from './tree-at-fork.ts';
import { Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

type Step = readonly (readonly [path: string, value: Value | undefined])[];

const KEYS = ['a', 'b', '', '/', 'wide'];
const path = fc.array(fc.constantFrom(...KEYS), { maxLength: 4 }).map(keys => keys.map(key => `/${key.replace('/', '~1')}`).join(''));
const wide = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`k${index}`, { n: index }]));
const value = fc.oneof(
  fc.constantFrom<Value>(null, true, -5, 7, 1e9, 0.5, 'text', [1, { a: 'x' }], {}, { a: { b: 1 } }, { a: 1, b: { a: [], b: 'y' } }, wide),
);
const steps = fc.array(fc.array(fc.tuple(path, fc.option(value, { nil: undefined })), { minLength: 1, maxLength: 3 }), {
  minLength: 1,
  maxLength: 8,
});

/** Commits what of the steps is possible, each as a frame of its own. */
async function commit(store: Store, list: readonly Step[]): Promise<void> {
  for (const step of list) {
    try {
      store.transact(tx => {
        for (const [at, put] of step) {
          if (put === undefined) tx.delete(at);
          else tx.put(at, put);
        }
      });
    } catch {
      // Through a leaf, or a leaf at the root: refused, and nothing changed.
    }
    store.cut();
  }
  await store.flush();
}

describe('the tree at a fork', () => {
  it.each(['binary', 'json'] as const)(
    'made of the present one is the one that the journal holds there, with %s frames',
    async encoding => {
      await fc.assert(
        fc.asyncProperty(steps, steps, steps, fc.boolean(), async (first, second, diverged, saves) => {
          const { store } = await diskStore(new FaultDisk(), { encoding });
          store.put('/seed', wide);
          await commit(store, first);
          if (saves) await store.saveSnapshot();
          await commit(store, second);
          const { position: fork, digest, epochs } = store;
          await commit(store, diverged);
          const tree = new Tree();
          using snapshot = store.snapshot();
          tree.put([], importValue(store.get(''), [], tree.generation));
          if (store.position.revision > fork.revision) {
            const made = await treeAtFork(store.journal, tree.pin(), fork, clock);
            const recovered = await recoverAt(store.journal, fork, clock);
            expect(made!.tree.digest()).toBe(digest);
            expect(exportValue(made!.tree.root)).toEqual(exportValue(recovered.tree.root));
            expect(made!.head).toEqual(recovered.head);
            expect(made!.head.epochs).toEqual(epochs);
            expect(exportValue(tree.root)).toEqual(snapshot.get(''));
          }
          await store.close();
        }),
        { numRuns: 100 },
      );
    },
  );
});
