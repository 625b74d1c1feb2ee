import {
  covers,
  epochsAt,
  type ExactPosition,
  NO_CHAIN,
  type PastTree,
  type Path,
  PathSet,
  readChangeSets,
  samePosition,
  type Snapshot,
  type SnapshotHeader,
  type Store,
  type TreeChange,
  Turn,
} from '@evertree/core';
import { framesForward, headerHolding } from './frame-access.ts';
import type { HistoryView } from './history-view.ts';
import { readPart } from './past-part.ts';
import { pathsIn, setOf } from './paths.ts';
import type { Moment } from './when.ts';

/** With more commits since, or more changed paths, building the whole tree anew costs less. */
const MOST_COMMITS = 20_000;
const MOST_PATHS = 500;

/** Setting a larger value back would take one long step; building the whole tree anew goes in short ones. */
const MOST_FRAME_BYTES = 1024 * 1024;

/** What happened since a position. */
interface ChangesSince {
  readonly set: PathSet;
  /** Hash of the frame that ends at the position, if one does. */
  readonly chain: string | undefined;
}

/**
 * The whole tree at a moment that is not long ago: the present one with the changes since taken back, so that it shares
 * all else with it.
 * @param newView the history as it stands when it is called
 * @returns undefined if this can't be done, or costs more than building the tree anew
 */
export async function takeBack(store: Store, newView: () => HistoryView, { position, time }: Moment): Promise<Snapshot | undefined> {
  const { revision } = position;
  const { log } = store.journal;
  if (store.position.revision - revision > MOST_COMMITS || revision <= log.base.revision || log.state !== 'open') return undefined;
  using present = store.snapshot();
  await log.flush();
  const view = newView();
  if (!covers(view, present.position) || !covers(view, position)) return undefined;
  const since = await changesSince(view, position, present.position.revision);
  if (since === undefined) return undefined;
  const changes = changesBack(await readPart(view, position, since.set), since.set);
  const { digest: expected, last } = await headerHolding(view, revision);
  const { stream, marks } = present.header;
  const chain = since.chain ?? NO_CHAIN;
  const header: SnapshotHeader = { stream, marks, position, time, chain, digest: expected, epochs: epochsAt(view, revision) };
  const then = await changed(view, present, changes, header);
  const digest = then.digestAt('')!;
  if (last.revision === revision) return digest === expected ? then : undefined;
  // In the middle of a frame: nobody recorded the digest there.
  using whole = then;
  return changed(view, whole, [], { ...header, digest });
}

/** Undefined if there is too much of it, or marks changed: a header tells the marks as they were. */
async function changesSince(view: HistoryView, position: ExactPosition, upTo: number): Promise<ChangesSince | undefined> {
  const set = new PathSet();
  const root = setOf([]);
  const turn = new Turn(view.clock);
  const paths = new Set<string>();
  let chain: string | undefined;
  for await (const frame of framesForward(view, position.revision, upTo)) {
    const { base, previous, isMark } = frame.header;
    if (isMark || frame.bytes.length > MOST_FRAME_BYTES) return undefined;
    if (samePosition(base, position)) chain = previous;
    for (const changeSet of readChangeSets(frame, root, { values: false })) {
      await turn.breathe();
      if (changeSet === undefined || changeSet.revision <= position.revision) continue;
      for (const { path } of changeSet.operations) {
        set.add(path);
        paths.add(JSON.stringify(path));
      }
      if (paths.size > MOST_PATHS || set.root.isWhole) return undefined;
    }
  }
  return { set, chain };
}

/** What makes the state of the paths, and of the objects above them, what it was. */
function changesBack(then: PastTree, set: PathSet): TreeChange[] {
  return Array.from(pathsIn(set), (path): TreeChange => {
    const value = then.get(path);
    return value === undefined ? { path: topmostMissing(then, path) } : { path, value };
  });
}

function topmostMissing(then: PastTree, path: Path): Path {
  for (let length = 1; length < path.length; length++) {
    const above = path.slice(0, length);
    if (!then.hasObject(above)) return above;
  }
  return path;
}

function changed(view: HistoryView, from: Snapshot, changes: readonly TreeChange[], header: SnapshotHeader): Promise<Snapshot> {
  return new Turn(view.clock).run(from.changed(changes, header));
}
