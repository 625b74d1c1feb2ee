import { type Frame, isEvertreeError, RebuiltTree } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import { RandomHistory } from '../../../../test/support/random-history.ts';
import { framesOf, memoryStore } from '../../../../test/support/stores.ts';
import { decodeGathering, encodeColumns } from './frame-columns.ts';
import type { RevisionSpan } from './gathering.ts';

const SEEDS = Number(process.env['EVERTREE_SEEDS'] ?? 20);
const FIRST_SEED = Number(process.env['EVERTREE_SEED'] ?? Math.floor(Math.random() * 0x7fff_ffff));

type Store = Awaited<ReturnType<typeof memoryStore>>['store'];

async function framesAfter(write: (store: Store) => void): Promise<readonly Frame[]> {
  const { store } = await memoryStore({ encoding: 'binary' });
  write(store);
  await store.flush();
  return framesOf(store.journal);
}

/** Puts and deletes leaves and whole objects in a small tree, so that each is changed again and again. */
function changeLeaves(store: Store, history: RandomHistory): void {
  const path = Array.from({ length: 1 + history.below(4) }, () => `key ${history.below(3)}`);
  try {
    if (history.below(3) === 0) store.delete(path);
    else store.put(path, [history.below(1_000_000), -5, 'text', true, null, 0.5, 3][history.below(7)]!);
  } catch (error) {
    // The path leads through a leaf.
    if (!isEvertreeError(error, 'PATH_INVALID')) throw error;
  }
}

function gather(frames: readonly Frame[], span: RevisionSpan) {
  const plain = Buffer.concat(frames.map(({ bytes }) => bytes));
  const decoded = decodeGathering(encodeColumns(plain)!, plain.length, span);
  expect(decoded.frames.equals(plain)).toBe(true);
  return decoded.changes;
}

describe('changes that are gathered from columns', () => {
  const seeds = Array.from({ length: SEEDS }, (_, index) => FIRST_SEED + index);

  it.each(seeds)('give the tree that the frames of a span give one by one (seed %d)', async seed => {
    const history = new RandomHistory(seed);
    const frames = await framesAfter(store => {
      for (let left = 100 + history.below(400); left > 0; left--) {
        changeLeaves(store, history);
        if (history.below(8) === 0) store.cut();
        if (history.below(60) === 0) store.mark(`mark ${left}`);
      }
    });
    const from = history.below(frames.length - 1);
    const to = from + 1 + history.below(frames.length - from - 1);
    const [taken, before] = [frames.slice(from, to), frames.slice(0, from)];
    const span = { after: before.at(-1)?.header.last.revision ?? 0, upTo: taken.at(-1)!.header.last.revision };
    // Whatever else the object holds.
    const changes = gather(frames.slice(history.below(from + 1)), span);
    const tree = RebuiltTree.empty();
    for (const frame of before) tree.apply(frame);
    const operations = taken.filter(({ header }) => !header.beginsEpoch && !header.isMark).length;
    if (changes === undefined) return expect(operations).toBe(0);
    for (const frame of taken) tree.defer(frame);
    tree.make(changes);
    expect(changes.last).toBe(span.upTo);
    expect(tree.digest).toBe(taken.at(-1)!.header.digest);
    const one = RebuiltTree.empty();
    for (const frame of frames.slice(0, to)) one.apply(frame);
    expect(tree.header).toEqual(one.header);
    expect(tree.operations).toBe(one.operations);
    for (const frame of frames.slice(to)) tree.apply(frame);
  });

  it('are none where a value is an object, or the root is put', async () => {
    const span = { after: 0, upTo: Infinity };
    const leaves = await framesAfter(store => store.put(['a', 'b'], 1));
    expect(gather(leaves, span)).toMatchObject({ operations: 1 });
    expect(gather(await framesAfter(store => store.put(['a'], { b: 1 })), span)).toBeUndefined();
    expect(gather(await framesAfter(store => store.put(['a'], [1])), span)).toBeUndefined();
    expect(gather(await framesAfter(store => void (store.put(['a'], 1), store.delete([]))), span)).toBeUndefined();
  });

  it('are none where paths are very deep', async () => {
    const deep = Array.from({ length: 300 }, (_, level) => `${level}`);
    const frames = await framesAfter(store => store.put(deep, 1));
    expect(gather(frames, { after: 0, upTo: Infinity })).toBeUndefined();
  });
});
