import type { ExactPosition, Store } from '@evertree/core';
import { covers, decodeChangeSets } from '@evertree/core';
import { expect, test } from 'vitest';
import { dieAtEachStep } from '../support/deaths.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { diskStore } from '../support/stores.ts';

const COMMON = 12;
const DIVERGED = 9;
const REIGN = { number: 2, id: 'bb'.repeat(8) };

interface Fallen {
  readonly disk: FaultDisk;
  readonly store: Store;
  readonly fork: ExactPosition;
}

async function open(disk: FaultDisk): Promise<Store> {
  const options = { segmentBytes: 1_500, retentionRewindMs: 0 };
  return (await diskStore(disk, { site: 'a', journalOptions: options })).store;
}

async function commit(store: Store, from: number, count: number): Promise<void> {
  for (let number = from; number < from + count; number++) {
    store.put(`/commits/n${number}`, number, { author: `author ${number}` });
    store.cut();
    await store.flush();
  }
}

/** A former primary: another site reigns, and these commits are known only here. */
async function fallen(savesAfterFork: boolean): Promise<Fallen> {
  const disk = new FaultDisk();
  const store = await open(disk);
  await commit(store, 0, COMMON / 2);
  if (!savesAfterFork) await store.saveSnapshot();
  await commit(store, COMMON / 2, COMMON / 2);
  const fork = store.position;
  await commit(store, COMMON, DIVERGED);
  if (savesAfterFork) await store.saveSnapshot();
  await store.fence(REIGN, true);
  await store.follow();
  return { disk, store, fork };
}

/** Takes over a whole tree of the history that goes on, as a site does whose journal does not reach back to the fork. */
async function takeCopy({ store, fork }: Fallen): Promise<void> {
  const { store: winner } = await diskStore(new FaultDisk(), { site: 'b' });
  await commit(winner, 100, 3);
  using snapshot = winner.snapshot();
  const header = { ...snapshot.header, stream: store.stream! };
  const receiver = await store.receiveSnapshot(header, fork);
  for (const chunk of snapshot.chunks()) await receiver.add(chunk);
  await receiver.finish();
  await winner.close();
}

/** The numbers of the commits that a divergence keeps, by content. */
async function numbersIn({ journal }: Store): Promise<number[]> {
  const numbers: number[] = [];
  for (const { name } of journal.divergences.list()) {
    for await (const { frame } of journal.divergences.read(name)) {
      for (const { author, operations } of decodeChangeSets(frame)) {
        for (const operation of operations) {
          const number = operation.type === 'put' ? Number(operation.value) : NaN;
          expect(author).toBe(`author ${number}`);
          numbers.push(number);
        }
      }
    }
  }
  return numbers;
}

function range(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => from + index);
}

test('a death at any step of going back leaves each commit in the tree, or once in what was kept; and going back can be repeated', async () => {
  const seen = new Set<string>();
  await dieAtEachStep(
    () => fallen(false),
    ({ store, fork }) => store.rewind(fork),
    async ({ prepared: { fork }, found, died, where }) => {
      const store = await open(found);
      const isBack = store.position.revision === fork.revision;
      const inTree = Object.values(store.get<Record<string, number>>('/commits')!).toSorted((a, b) => a - b);
      const kept = await numbersIn(store);
      expect(inTree, where).toEqual(range(0, isBack ? COMMON : COMMON + DIVERGED));
      if (isBack || !died || kept.length > 0) expect(kept, where).toEqual(range(COMMON, DIVERGED));
      if (!died) expect(isBack, where).toBe(true);
      seen.add(`back ${isBack}, kept ${kept.length > 0}`);
      expect([store.standing, covers(store.lineage, fork)], where).toEqual(['secondary', true]);
      await store.rewind(fork);
      expect([store.position, await numbersIn(store)], where).toEqual([fork, range(COMMON, DIVERGED)]);
      await store.close();
    },
  );
  expect([...seen].toSorted()).toEqual(['back false, kept false', 'back false, kept true', 'back true, kept true']);
});

test('a death at any step of taking over a whole tree leaves the old one, or the new one and every commit that only this site held', async () => {
  const seen = new Set<string>();
  await dieAtEachStep(
    () => fallen(true),
    takeCopy,
    async ({ found, died, where }) => {
      const store = await open(found);
      const isTaken = store.has('/commits/n100');
      const kept = await numbersIn(store);
      if (!isTaken) expect(store.has(`/commits/n${COMMON + DIVERGED - 1}`), where).toBe(true);
      const [divergence] = store.journal.divergences.list();
      const first = divergence?.missing === undefined ? COMMON : divergence.missing.last.revision - 1;
      if (isTaken || !died) expect([isTaken, kept], where).toEqual([true, range(first, COMMON + DIVERGED - first)]);
      seen.add(`taken ${isTaken}, kept ${kept.length > 0}`);
      await store.close();
    },
  );
  expect([...seen].toSorted()).toEqual(['taken false, kept false', 'taken false, kept true', 'taken true, kept true']);
});
