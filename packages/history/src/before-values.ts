import { measure, type Path, Turn } from '@evertree/core';
import type { Before } from './changes.ts';
import type { PathChange } from './path-change.ts';
import type { HistoryView } from './history-view.ts';
import { readPart } from './past-part.ts';
import { lowerOf, setOfAll } from './paths.ts';

/** Changes whose values are looked for at once: by number, by operations, and by the bytes of what they put. */
const CHANGES_AT_ONCE = 1_000;
const OPERATIONS_AT_ONCE = 10_000;
const BYTES_AT_ONCE = 8 * 1024 * 1024;

/** Gathers changes until there are enough of them to look for what was there before. */
export class ChangeBatch {
  changes: PathChange[] = [];
  #operations = 0;
  #bytes = 0;

  get isFull(): boolean {
    return this.changes.length >= CHANGES_AT_ONCE || this.#operations >= OPERATIONS_AT_ONCE || this.#bytes >= BYTES_AT_ONCE;
  }

  add(change: PathChange): void {
    this.changes.push(change);
    for (const operation of change.changeSet.operations) {
      this.#operations++;
      if (operation.type === 'put') this.#bytes += measure(operation.value);
    }
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
 * What was there before the operations of some changes, by revision: the state before the oldest of them is read, and
 * then they are made one after the other.
 * @param changes all that concern the path from the oldest of them to the newest, newest first
 * @throws EvertreeError COMPACTED if the state before the oldest is not here
 */
export async function readBefore(view: HistoryView, changes: readonly PathChange[], asked: Path): Promise<ReadonlyMap<number, Before>> {
  const found = new Map<number, Before>();
  const inOrder = changes.filter(({ changeSet }) => changeSet.operations.length > 0).toReversed();
  const [oldest] = inOrder;
  if (oldest === undefined) return found;
  const set = setOfAll(inOrder.flatMap(({ changeSet }) => changeSet.operations.map(({ path }) => lowerOf(path, asked))));
  const tree = await readPart(view, view.exact(oldest.position.revision - 1), set);
  const turn = new Turn(view.clock);
  for (const { position, changeSet } of inOrder) {
    const before = changeSet.operations.map(({ path }) => tree.get(lowerOf(path, asked)));
    found.set(position.revision, before);
    for (const operation of changeSet.operations) tree.apply(operation);
    await turn.breathe();
  }
  return found;
}
