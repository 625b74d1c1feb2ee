import { decodeChangeSets, decodeFrame } from '../frames/collect-sink.ts';
import { PartialTree } from '../frames/partial-tree.ts';
import { PathSet, type PathSetNode } from '../frames/path-set.ts';
import { EMPTY_HEAD, headAfter, headAt, type HistoryHead } from './history-head.ts';
import type { Recovered } from './recovery.ts';
import type { FrameNote } from '../frames/body.ts';
import type { Frame } from '../frames/frame.ts';
import { samePosition, type ExactPosition } from '../position.ts';
import type { Clock } from '../seams/host.ts';
import type { Journal } from '../seams/journal.ts';
import { Turn } from '../turn.ts';
import { lookup, TreeNode } from '../tree/node.ts';
import { ROOT, type Path } from '../tree/path.ts';
import { Tree } from '../tree/tree.ts';

/** With more changes than this the whole tree is built anew: looking for each of them would cost more. */
const MOST_CHANGES = 200_000;

/** Changes between two pauses. */
const CHANGES_A_STEP = 256;

/**
 * The tree as it was at a fork, made of the present one: only what changed since is taken back. Its earlier values are
 * looked for in the newest snapshot before the fork and in the frames after that, where everything else is skipped.
 * @param root the present tree, pinned
 * @returns undefined if this can't be done; `recoverAt` can then, or tells why not
 */
export async function treeAtFork(journal: Journal, root: TreeNode, fork: ExactPosition, clock: Clock): Promise<Recovered | undefined> {
  const turn = new Turn(clock);
  const changes = await readChanges(journal, fork, turn);
  if (changes === undefined) return undefined;
  const { changed, chain } = changes;
  const before = await readPart(journal, changed, fork, turn);
  if (before === undefined) return undefined;
  const head: HistoryHead = { ...before.head, chain };
  const tree = new Tree(root);
  let left = CHANGES_A_STEP;
  for (const { path, child } of differences(changed.root, before.part, ROOT)) {
    if (child === undefined) tree.delete(path);
    else tree.put(path, child);
    if (--left > 0) continue;
    left = CHANGES_A_STEP;
    tree.undo.clear();
    await turn.breathe();
  }
  tree.undo.clear();
  return tree.digest() === before.digest ? { tree, head } : undefined;
}

/** The paths that the frames after a position change, and the hash of the frame before them; undefined if they are many or none. */
async function readChanges(journal: Journal, after: ExactPosition, turn: Turn): Promise<{ changed: PathSet; chain: string } | undefined> {
  const changed = new PathSet();
  let chain: string | undefined;
  let count = 0;
  const reader = journal.log.read(after);
  try {
    for (let stored = await reader.next(); stored !== undefined; stored = await reader.next()) {
      chain ??= stored.frame.header.previous;
      for (const { operations } of decodeChangeSets(stored.frame)) for (const { path } of operations) changed.add(path);
      count += stored.frame.header.count;
      if (count > MOST_CHANGES) return undefined;
      await turn.breathe();
    }
  } finally {
    await reader.close();
  }
  return chain === undefined ? undefined : { changed, chain };
}

/** What stood at some paths at a position, with the digest and the head there; undefined if the position is not found. */
async function readPart(
  journal: Journal,
  paths: PathSet,
  position: ExactPosition,
  turn: Turn,
): Promise<{ part: TreeNode; digest: string; head: HistoryHead } | undefined> {
  const partial = new PartialTree(paths);
  const snapshot = await journal.snapshots.newest(position);
  if (snapshot === undefined && journal.log.base.revision > 0) return undefined;
  let at: { readonly head: HistoryHead; readonly digest: string } | undefined;
  if (snapshot !== undefined) {
    for await (const chunk of snapshot.chunks()) {
      for (const _ of partial.chunkSteps(chunk)) await turn.breathe();
      await turn.breathe();
    }
    at = { head: headAt(snapshot.header), digest: snapshot.header.digest };
  }
  const reader = journal.log.read(at?.head.last ?? journal.log.base);
  try {
    while ((at?.head.last.revision ?? 0) < position.revision) {
      const stored = await reader.next();
      if (stored === undefined) return undefined;
      const { frame } = stored;
      for (const _ of partial.frameSteps(frame)) await turn.breathe();
      at = { head: headAfter(at?.head ?? EMPTY_HEAD, frame, noteOf(frame)), digest: frame.header.digest };
      await turn.breathe();
    }
  } finally {
    await reader.close();
  }
  return at !== undefined && samePosition(at.head.last, position) ? { part: partial.take(), ...at } : undefined;
}

function noteOf(frame: Frame): FrameNote | undefined {
  const { beginsEpoch, endsEpoch } = frame.header;
  return beginsEpoch || endsEpoch ? decodeFrame(frame).note : undefined;
}

interface TakenBack {
  readonly path: Path;
  readonly child: ReturnType<typeof lookup>;
}

/** What has to be put or deleted at the paths of a set, and where objects above them are missing, to have `before` there. */
function* differences(set: PathSetNode, before: TreeNode, path: Path): Generator<TakenBack> {
  if (set.isWhole) {
    yield { path, child: before };
    return;
  }
  for (const [key, below] of set.children) {
    const child = lookup(before, key);
    const here = [...path, key];
    if (below.isWhole || !(child instanceof TreeNode)) yield { path: here, child };
    else yield* differences(below, child, here);
  }
}
