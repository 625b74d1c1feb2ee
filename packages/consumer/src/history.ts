import { samePosition } from '@evertree/core';
import type { ExactPosition, Journal, Lineage, ResumeHint, Store } from '@evertree/core';

/**
 * This secondary's history, as a view that moves on with its store: made once, so that judging a frame allocates
 * nothing for it.
 */
export function historyOf(store: Store): Lineage {
  return {
    get stream() {
      return store.stream;
    },
    get epochs() {
      return store.epochs;
    },
    get last() {
      return store.position;
    },
  };
}

/** What the journal has beside the frame that ends at this stable position, or of the snapshot that stands there. */
export async function resumeHint(journal: Journal, position: ExactPosition): Promise<ResumeHint> {
  const frame = await journal.log.find(position);
  if (frame !== undefined) {
    const reader = journal.log.read(frame.base);
    try {
      const stored = await reader.next();
      return { trailer: stored?.trailer, time: frame.lastTime };
    } finally {
      await reader.close();
    }
  }
  const snapshot = journal.snapshots.list.find(listed => samePosition(listed.position, position));
  return { trailer: undefined, time: snapshot?.time };
}
