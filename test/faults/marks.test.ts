import { ORIGIN, type Mark, type Store } from '@evertree/core';
import { describe, expect, test } from 'vitest';
import { dieAtEachStep } from '../support/deaths.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { diskStore, framesOf } from '../support/stores.ts';

const OPTIONS = { site: 'a', journalOptions: { segmentBytes: 1_500, retentionRewindMs: 0 } } as const;

interface Prepared {
  readonly disk: FaultDisk;
  readonly store: Store;
  /** The marks that were durable when they were made; a death can't take one of them. */
  readonly durable: Mark[][];
}

/** A store with some commits and two marks. */
async function prepare(): Promise<Prepared> {
  const disk = new FaultDisk();
  const { store } = await diskStore(disk, OPTIONS);
  for (let index = 0; index < 5; index++) store.put(`/k${index}`, 'x'.repeat(200));
  store.mark('empty', { at: ORIGIN, message: 'the beginning' });
  await store.mark('first').durable;
  return { disk, store, durable: [[...store.marks]] };
}

/** What a mark, a move and a removal leave, in this order. */
const STEPS: ((store: Store) => Promise<void>)[] = [
  store => store.mark('second', { at: { epoch: 1, revision: 3 } }).durable,
  store => store.mark('first', { move: true, author: 'ann' }).durable,
  store => store.unmark('empty').durable,
];

describe('a death at any step', () => {
  test('of marking, moving and unmarking loses nothing that was durable, and leaves each as a whole or not at all', async () => {
    await dieAtEachStep(
      prepare,
      async ({ store, durable }) => {
        for (const step of STEPS) {
          await step(store);
          durable.push([...store.marks]);
        }
      },
      async ({ prepared: { store: dead, durable }, found, where }) => {
        await using again = (await diskStore(found, OPTIONS)).store;
        // At most the step that was under way: its frame may have become stable, and nobody was told.
        const possible = [durable.at(-1)!, [...dead.marks]];
        expect(possible, where).toContainEqual([...again.marks]);
        again.mark('afterwards');
        await again.flush();
        expect(again.marks.at(-1), where).toMatchObject({ name: 'afterwards', position: again.position });
        await dead.close().catch(() => undefined);
      },
    );
  });

  test('of writing a snapshot and dropping what is before it leaves all marks', async () => {
    await dieAtEachStep(
      async () => {
        const prepared = await prepare();
        for (let index = 0; index < 12; index++) await prepared.store.put(`/k${index}`, 'y'.repeat(400)).durable;
        return prepared;
      },
      ({ store }) => store.saveSnapshot(),
      async ({ prepared: { store: dead }, found, died, where }) => {
        await using again = (await diskStore(found, OPTIONS)).store;
        expect(again.marks, where).toEqual(dead.marks);
        if (!died)
          expect(
            (await framesOf(again.journal)).some(({ header }) => header.isMark),
            where,
          ).toBe(false);
        await dead.close().catch(() => undefined);
      },
    );
  });
});
