import { type ExactPosition, type ListedSnapshot, type PathSet, PastTree, samePosition, type StoredSnapshot, Turn } from '@evertree/core';
import type { HistoryView } from './history-view.ts';

/**
 * The tree as it was at a position, or those parts of it that are in a set: from the newest snapshot before it and the
 * frames after that. It may lie in the middle of a frame.
 * @throws EvertreeError COMPACTED, HISTORY_MISMATCH if the history was cut back meanwhile, DAMAGED
 */
export async function readPastTree(view: HistoryView, position: ExactPosition, set?: PathSet): Promise<PastTree> {
  const turn = new Turn(view.clock);
  const tree = new PastTree(set);
  const snapshot = await view.journal.snapshots.newest(position);
  const { base } = view.journal.log;
  const isReached = (snapshot?.header.position.revision ?? 0) >= base.revision || snapshot?.header.position.revision === position.revision;
  if (!isReached) throw view.compacted(position, oldestSnapshot(view)?.position);
  if (snapshot !== undefined) await addSnapshot(tree, snapshot, turn);
  if (tree.position.revision < position.revision) await addFrames(view, tree, position, turn);
  if (!samePosition(tree.position, position)) throw view.moved();
  return tree;
}

async function addSnapshot(tree: PastTree, snapshot: StoredSnapshot, turn: Turn): Promise<void> {
  tree.begin(snapshot.header);
  for await (const chunk of snapshot.chunks()) {
    for (const _ of tree.addChunk(chunk)) await turn.breathe();
    await turn.breathe();
  }
  tree.assertDigest(snapshot.header.digest);
}

async function addFrames(view: HistoryView, tree: PastTree, position: ExactPosition, turn: Turn): Promise<void> {
  const reader = view.journal.log.read(tree.position);
  let digest: string | undefined;
  try {
    while (tree.position.revision < position.revision) {
      const stored = await reader.next();
      if (stored === undefined) throw view.moved();
      const { header } = stored.frame;
      const isWhole = header.last.revision <= position.revision;
      // The digest is that of a whole frame's end: behind it only a part of a frame follows.
      if (!isWhole && digest !== undefined) tree.assertDigest(digest);
      digest = header.digest;
      for (const _ of tree.addFrame(stored.frame, position.revision)) await turn.breathe();
      await turn.breathe();
      if (isWhole && header.last.revision === position.revision) tree.assertDigest(digest);
    }
  } finally {
    await reader.close();
  }
}

/** The oldest snapshot that frames follow. One that they no longer follow is about to be removed. */
export function oldestSnapshot({ journal }: HistoryView): ListedSnapshot | undefined {
  return journal.snapshots.list.find(({ position }) => position.revision >= journal.log.base.revision);
}
