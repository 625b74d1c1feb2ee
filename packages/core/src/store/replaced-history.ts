import { isEvertreeError } from '../errors.ts';
import type { ExactPosition } from '../position.ts';
import { recoverAt, type Recovered } from './recovery.ts';
import type { Keep } from '../seams/divergences.ts';
import type { Clock } from '../seams/host.ts';
import { headAt } from './history.ts';
import type { Journal, SnapshotHeader } from '../seams/journal.ts';
import { SnapshotReceiver } from './snapshot-receiver.ts';
import { treeAtFork } from './tree-at-fork.ts';
import type { TreeNode } from '../tree/node.ts';

/** Keeps a divergence in its journal, as of now. `named` is told its name. */
function keepDivergence(journal: Journal, clock: Clock, named?: (name: string) => void): Keep {
  return async divergence => {
    const { name } = await journal.divergences.keep(divergence, clock.now());
    named?.(name);
  };
}

/**
 * Takes a journal back to a position of its history; Store.rewind says what is kept.
 * @param root of the present tree, pinned
 * @param moved called in the very step in which the journal goes back, with the tree as it was there
 * @returns the name of the divergence; undefined if there was none
 */
export async function goBack(
  journal: Journal,
  position: ExactPosition,
  clock: Clock,
  root: TreeNode,
  moved: (recovered: Recovered) => void,
): Promise<string | undefined> {
  const recovered = (await takeBack(journal, position, clock, root)) ?? (await recoverAt(journal, position, clock));
  let kept: string | undefined;
  const keep = keepDivergence(journal, clock, name => (kept = name));
  await journal.log.rewind(position, keep, () => moved(recovered));
  return kept;
}

/** The tree at a position by what changed since; undefined if it takes the whole tree, or if it is not there. */
async function takeBack(journal: Journal, position: ExactPosition, clock: Clock, root: TreeNode): Promise<Recovered | undefined> {
  try {
    return await treeAtFork(journal, root, position, clock);
  } catch (error) {
    if (isEvertreeError(error)) return undefined;
    throw error;
  }
}

/**
 * Begins to receive a snapshot that replaces a journal's history; Store.receiveSnapshot says what `fork` is.
 * @param moved called in the very step in which the journal takes it, with its tree
 */
export async function receiveSnapshot(
  journal: Journal,
  clock: Clock,
  header: SnapshotHeader,
  fork: ExactPosition | undefined,
  moved: (received: Recovered) => void,
): Promise<SnapshotReceiver> {
  const diverged = fork === undefined ? {} : { diverged: { fork, keep: keepDivergence(journal, clock) } };
  const writer = await journal.snapshots.create(header, { replace: true, ...diverged });
  return new SnapshotReceiver(header, writer, tree => moved({ tree, head: headAt(header) }));
}
