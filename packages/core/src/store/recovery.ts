import { replayFrame } from '../frames/frame-application.ts';
import { EvertreeError, isEvertreeError } from '../errors.ts';
import { frameHash, NO_CHAIN, type Frame } from '../frames/frame.ts';
import type { Journal } from '../seams/journal.ts';
import { formatPosition, ORIGIN, type Epoch, type ExactPosition } from '../position.ts';
import { SnapshotBuilder } from '../frames/snapshot-codec.ts';
import { Tree } from '../tree/tree.ts';

/** A site's place in its stream's history. */
export interface Place {
  readonly stream: string | null;
  readonly position: ExactPosition;
  readonly epochs: readonly Epoch[];
  /** Hash of the last frame. */
  readonly chain: string;
  /** Commit time of the last change set, milliseconds since 1970. */
  readonly time: number;
}

const NOWHERE: Place = { stream: null, position: ORIGIN, epochs: [], chain: NO_CHAIN, time: 0 };

/** Where a site stands after a frame. `note`: what an epoch's first frame says of it. */
export function placeAfter(place: Place, frame: Frame, note: { readonly site: string; readonly reason: string } | undefined): Place {
  const { header } = frame;
  const epochs = note === undefined ? place.epochs : [...place.epochs, epochOf(frame, note)];
  return { stream: header.stream, position: header.last, epochs, chain: '', time: header.lastTime };
}

function epochOf({ header }: Frame, note: { readonly site: string; readonly reason: string }): Epoch {
  return { number: header.epoch, id: header.epochId, site: note.site, base: header.base, reason: note.reason, time: header.firstTime };
}

/**
 * Builds the tree that a journal holds: its newest snapshot, then every frame after it.
 * @throws EvertreeError DAMAGED when the tree is not the one that the journal tells of
 */
export async function recover(journal: Journal): Promise<{ tree: Tree; place: Place }> {
  const { tree, place: beginning } = await recoverSnapshot(journal);
  let place = beginning;
  let last: Frame | undefined;
  const reader = journal.log.read(place.position);
  try {
    for (let stored = await reader.next(); stored !== undefined; stored = await reader.next()) {
      last = stored.frame;
      place = placeAfter(place, last, replay(tree, last));
    }
  } finally {
    await reader.close();
  }
  tree.undo.clear();
  if (last === undefined) return { tree, place };
  const found = tree.digest();
  if (found !== last.header.digest) {
    throw damaged(`the tree has the digest ${found} after ${formatPosition(place.position)}, where its journal says ${last.header.digest}`);
  }
  return { tree, place: { ...place, chain: frameHash(last) } };
}

async function recoverSnapshot(journal: Journal): Promise<{ tree: Tree; place: Place }> {
  const snapshot = await journal.snapshots.newest();
  if (snapshot === undefined) return { tree: new Tree(), place: NOWHERE };
  const builder = new SnapshotBuilder();
  for await (const chunk of snapshot.chunks()) builder.add(chunk);
  const { stream, position, epochs, chain, time } = snapshot.header;
  return { tree: builder.finish(snapshot.header), place: { stream, position, epochs, chain, time } };
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
