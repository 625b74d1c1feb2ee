import type { Lineage, Store } from '@evertree/core';

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
