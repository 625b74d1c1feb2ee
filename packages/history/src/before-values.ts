import { measure, type Path, PathSet, readChangeSets, Turn } from '@evertree/core';
import type { Before, PathChange } from './changes.ts';
import { framesForward } from './frame-access.ts';
import type { HistoryView } from './history-view.ts';
import { readPastTree } from './past-reader.ts';
import { lowerOf } from './paths.ts';

/** Changes whose values are looked for at once: by number, by operations, and by the bytes of what they put. */
const CHANGES_AT_ONCE = 1_000;
const OPERATIONS_AT_ONCE = 10_000;
const BYTES_AT_ONCE = 8 * 1024 * 1024;

/** Gathers changes until there are enough of them to look for what was there before. */
export class ChangeBatch {
  changes: PathChange[] = [];
  #operations = 0;
  #bytes = 0;

  /** @returns whether it is full */
  add(change: PathChange): boolean {
    this.changes.push(change);
    for (const operation of change.changeSet.operations) {
      this.#operations++;
      if (operation.type === 'put') this.#bytes += measure(operation.value);
    }
    return this.changes.length >= CHANGES_AT_ONCE || this.#operations >= OPERATIONS_AT_ONCE || this.#bytes >= BYTES_AT_ONCE;
  }

  take(): PathChange[] {
    const { changes } = this;
    this.changes = [];
    this.#operations = 0;
    this.#bytes = 0;
    return changes;
  }
}

/**
 * What was there before the operations of some changes, by revision: one pass over the history from the snapshot before
 * the oldest of them to the newest.
 * @param changes of one path, in the order of the history or against it
 * @throws EvertreeError COMPACTED if the state before the oldest is not here
 */
export async function readBefore(view: HistoryView, changes: readonly PathChange[], asked: Path): Promise<ReadonlyMap<number, Before>> {
  const found = new Map<number, Before>();
  const wanted = new Map(
    changes.filter(({ changeSet }) => changeSet.operations.length > 0).map(change => [change.position.revision, change]),
  );
  if (wanted.size === 0) return found;
  const set = new PathSet();
  for (const { changeSet } of wanted.values()) for (const { path } of changeSet.operations) set.add(lowerOf(path, asked));
  const revisions = [...wanted.keys()];
  const [oldest, newest] = [Math.min(...revisions), Math.max(...revisions)];
  const tree = await readPastTree(view, view.exact(oldest - 1), set);
  const turn = new Turn(view.clock);
  for await (const frame of framesForward(view, oldest - 1, newest)) {
    for (const changeSet of readChangeSets(frame, set)) {
      await turn.breathe();
      if (changeSet === undefined || changeSet.revision < oldest || changeSet.revision > newest) continue;
      const change = wanted.get(changeSet.revision);
      if (change !== undefined) {
        found.set(
          changeSet.revision,
          change.changeSet.operations.map(({ path }) => tree.get(lowerOf(path, asked))),
        );
      }
      for (const operation of changeSet.operations) tree.apply(operation);
    }
  }
  return found;
}
