import { checkCommitOptions, type CommitOptions } from '../transactions/commit.ts';
import { isValue } from '../tree/content.ts';
import type { Guards } from '../transactions/guards.ts';
import { TreeNode } from '../tree/node.ts';
import { parsePath, type PathLike } from '../tree/path.ts';
import type { ExactPosition } from '../position.ts';
import { SnapshotNode } from './snapshot.ts';
import { Transaction, type TransactionSteps } from '../transactions/transaction.ts';
import type { Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

interface RehearsalParts {
  readonly guards: Guards;
  /** The largest change set, as `measure` counts it. */
  readonly byteLimit: number;
  /** Where the tree stood. */
  readonly position: ExactPosition;
}

const NOBODY = { concerns: () => false };

/**
 * A store's tree as it was, on which transactions are tried: each sees what those before it did, and what the store would
 * refuse is refused. The store hears nothing of it, and a rehearsal nothing of what is committed meanwhile. It holds what
 * its transactions changed, and what the store has replaced since.
 */
export class Rehearsal {
  readonly #parts: RehearsalParts;
  #tree: Tree;
  #transaction: Transaction;

  /** @param fork of the store's tree */
  constructor(fork: Tree, parts: RehearsalParts) {
    this.#parts = parts;
    this.#tree = fork;
    this.#transaction = new Transaction(fork, NOBODY, parts.byteLimit);
  }

  has(path: PathLike): boolean {
    return this.#tree.get(parsePath(path)) !== undefined;
  }

  /** Whether a value stands at a path. Of a large object there no more is read than of the value. */
  holds(path: PathLike, value: Value): boolean {
    return isValue(this.#tree.get(parsePath(path)), value);
  }

  /** The content at a path, as that of a snapshot. It stays what it is when transactions follow. */
  at(path: PathLike): SnapshotNode | Value | undefined {
    this.#tree.pin();
    const child = this.#tree.get(parsePath(path));
    return child instanceof TreeNode ? new SnapshotNode(child) : child;
  }

  /**
   * As Store.transact, of a store that takes writes.
   * @returns whether it would be a commit: that it changes something
   */
  transact(callback: (tx: Transaction) => void, options?: CommitOptions): boolean {
    this.#check(options);
    const { operations } = this.#transaction.run(callback, this.#parts.guards);
    this.#transaction.release();
    // Of many transactions all at once it would take long.
    this.#tree.mixTouched();
    return operations.length > 0;
  }

  /** As `transact`, in steps. Nothing else may be asked of the rehearsal between them. */
  *transactInSteps(steps: TransactionSteps, options?: CommitOptions): Generator<void, boolean> {
    this.#check(options);
    const { guards, byteLimit } = this.#parts;
    const fork = this.#tree.fork();
    const { operations } = yield* new Transaction(fork, NOBODY, byteLimit).runSteps(steps);
    if (operations.length === 0) return false;
    if (guards.size > 0) guards.check(fork.root, operations);
    this.#tree = fork;
    this.#transaction = new Transaction(fork, NOBODY, byteLimit);
    return true;
  }

  #check(options: CommitOptions | undefined): void {
    if (options !== undefined) checkCommitOptions(options, this.#parts.position);
  }
}
