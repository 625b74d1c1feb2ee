import type { Commit, CommitOptions } from '../transactions/commit.ts';
import type { Transaction } from '../transactions/transaction.ts';
import type { PathLike } from '../tree/path.ts';
import type { Value } from '../tree/value.ts';

/** Writes that are one transaction each. */
export abstract class SingleWrites {
  abstract transact(callback: (tx: Transaction) => void, options?: CommitOptions): Commit;

  abstract put(path: PathLike, value: unknown, options?: CommitOptions): Commit;

  merge(path: PathLike, document: unknown, options?: CommitOptions): Commit {
    return this.transact(tx => tx.merge(path, document), options);
  }

  delete(path: PathLike, options?: CommitOptions): Commit {
    return this.transact(tx => tx.delete(path), options);
  }

  patch(path: PathLike, operations: readonly unknown[], options?: CommitOptions): Commit {
    return this.transact(tx => tx.patch(path, operations), options);
  }

  /** Lets `recipe` change a draft of the value at a path, or return another one. See Transaction.update. */
  update<T = Value>(path: PathLike, recipe: (draft: T) => T | void, options?: CommitOptions): Commit {
    return this.transact(tx => tx.update(path, recipe), options);
  }

  /** Makes the value at a path equal to `value`, as one transaction of the fewest operations. */
  replace(path: PathLike, value: unknown, options?: CommitOptions): Commit {
    return this.transact(tx => tx.replace(path, value), options);
  }
}
