import { replayFrame } from '../frames/frame-application.ts';
import { EvertreeError, isEvertreeError } from '../errors.ts';
import { frameHash, type Frame } from '../frames/frame.ts';
import { EMPTY_HEAD, headAfter, headAt, type HistoryHead } from './history.ts';
import type { Journal } from '../seams/journal.ts';
import { formatPosition } from '../position.ts';
import { SnapshotBuilder } from '../frames/snapshot-codec.ts';
import { Tree } from '../tree/tree.ts';

/**
 * Builds the tree that a journal holds: its newest snapshot, then every frame after it.
 * @throws EvertreeError DAMAGED if the digest of the tree is not the journal's
 */
export async function recover(journal: Journal): Promise<{ tree: Tree; head: HistoryHead }> {
  const { tree, head: beginning } = await recoverSnapshot(journal);
  let head = beginning;
  let last: Frame | undefined;
  const reader = journal.log.read(head.last);
  try {
    for (let stored = await reader.next(); stored !== undefined; stored = await reader.next()) {
      last = stored.frame;
      head = headAfter(head, last, replay(tree, last));
    }
  } finally {
    await reader.close();
  }
  tree.undo.clear();
  if (last === undefined) return { tree, head };
  const found = tree.digest();
  if (found !== last.header.digest) {
    throw damaged(`the tree has the digest ${found} after ${formatPosition(head.last)}, where its journal says ${last.header.digest}`);
  }
  return { tree, head: { ...head, chain: frameHash(last) } };
}

async function recoverSnapshot(journal: Journal): Promise<{ tree: Tree; head: HistoryHead }> {
  const snapshot = await journal.snapshots.newest();
  if (snapshot === undefined) return { tree: new Tree(), head: EMPTY_HEAD };
  const builder = new SnapshotBuilder();
  for await (const chunk of snapshot.chunks()) builder.add(chunk);
  return { tree: builder.finish(snapshot.header), head: headAt(snapshot.header) };
}

function replay(tree: Tree, frame: Frame): { readonly site: string; readonly reason: string } | undefined {
  try {
    return replayFrame(tree, frame);
  } catch (error) {
    if (!isEvertreeError(error)) throw error;
    throw damaged(`the frame that ends at ${formatPosition(frame.header.last)} can't be applied: ${error.message}`, error);
  }
}

function damaged(what: string, cause?: unknown): EvertreeError {
  return new EvertreeError('DAMAGED', `the journal is damaged: ${what}; start from a copy of another site's directory`, {}, cause);
}
