import { checkCommitOptions, Commit, type CommitOptions } from '../transactions/commit.ts';
import type { CommitOutcomes } from './commit-outcomes.ts';
import { EvertreeError } from '../errors.ts';
import type { FrameSchedule } from './frame-schedule.ts';
import { Guards } from '../transactions/guards.ts';
import type { History } from './history.ts';
import type { Listeners, Step } from '../listeners/listeners.ts';
import type { TreeNode } from '../tree/node.ts';
import { toOperations } from '../transactions/net-operations.ts';
import type { Path, PathLike } from '../tree/path.ts';
import type { ExactPosition } from '../position.ts';
import { type PreparedTransaction, prepareTransaction } from '../transactions/prepared-transaction.ts';
import { Rehearsal } from './rehearsal.ts';
import { Transaction, type TransactionSteps } from '../transactions/transaction.ts';
import type { Changes } from '../transactions/transaction-writes.ts';
import type { Tree } from '../tree/tree.ts';
import type { WriteGate } from './write-gate.ts';

interface CommittingParts {
  readonly history: History;
  readonly gate: WriteGate;
  readonly outcomes: CommitOutcomes;
  readonly listeners: Listeners;
  readonly schedule: FrameSchedule;
  /** The largest change set, as `measure` counts it. */
  readonly byteLimit: number;
  /** Cuts a frame, and tells of it. */
  readonly cut: () => void;
}

/** The way of a commit: the transaction, its guards, the record in the history, and its listeners. */
export class Committing {
  readonly guards = new Guards();
  readonly #parts: CommittingParts;
  #tree: Tree;
  #transaction: Transaction;

  constructor(tree: Tree, parts: CommittingParts) {
    this.#parts = parts;
    this.#tree = tree;
    this.#transaction = new Transaction(tree, parts.listeners, parts.byteLimit);
  }

  /** Whether a transaction's callback is being run. */
  get active(): boolean {
    return this.#transaction.active;
  }

  /** Commits go to another tree from now on. */
  replaceTree(tree: Tree): void {
    this.#tree = tree;
    this.#transaction = new Transaction(tree, this.#parts.listeners, this.#parts.byteLimit);
  }

  /** See Store.transact. */
  transact(callback: (tx: Transaction) => void, options: CommitOptions | undefined): Commit {
    this.#assertMay(options);
    return this.#record(this.#transaction.run(callback, this.guards), options);
  }

  /** See Store.put: a transaction with that put alone. The most frequent one needs neither a callback nor a copied path. */
  put(path: PathLike, value: unknown, options: CommitOptions | undefined): Commit {
    this.#assertMay(options);
    return this.#record(this.#transaction.runPut(path, value, this.guards), options);
  }

  /** See Store.prepare. */
  *prepare(path: Path, steps: TransactionSteps): Generator<void, PreparedTransaction> {
    this.assertNone();
    const { history, listeners, byteLimit } = this.#parts;
    return yield* prepareTransaction(this.#tree, path, steps, {
      encodes: history.codec === 'binary',
      byteLimit,
      sort: operations => listeners.sortSteps(operations),
    });
  }

  /** See Store.rehearse. */
  rehearse(): Rehearsal {
    this.assertNone();
    const { byteLimit, history } = this.#parts;
    return new Rehearsal(this.#tree.fork(), { guards: this.guards, byteLimit, position: history.last });
  }

  /** See Store.isCurrent. */
  isCurrent(prepared: PreparedTransaction): boolean {
    return prepared.isCurrent(this.#tree);
  }

  /** See Store.commitPrepared. */
  commitPrepared(prepared: PreparedTransaction, options: CommitOptions | undefined): Commit {
    const { history, listeners, schedule, gate, cut } = this.#parts;
    gate.assertWritable();
    // It gets a frame of its own: what its encoding names was named by nothing before it.
    cut();
    if (!this.isCurrent(prepared)) return this.transact(tx => prepared.runAgain(tx), options);
    this.#assertMay(options);
    const sorted = listeners.sorted(prepared.sorted, prepared.operations);
    const { operations, before } = this.#transaction.runPrepared(prepared, this.guards, sorted.concerned.size > 0);
    if (operations.length === 0) return this.commit(false);
    const from = history.last;
    const time = history.recordPrepared(prepared, this.#tree, options);
    if (before !== undefined) listeners.notifySorted(sorted, this.#step(before, from, time));
    this.#transaction.release();
    const commit = this.commit(true);
    schedule.committed();
    cut();
    schedule.appended();
    return commit;
  }

  #record({ operations, before }: Changes, options: CommitOptions | undefined): Commit {
    if (operations.length === 0) return this.commit(false);
    const { history, schedule } = this.#parts;
    const from = before === undefined ? undefined : history.last;
    const time = history.record(operations, this.#tree, before === undefined, options);
    if (before !== undefined) this.#notify({ operations, before }, from, time);
    this.#transaction.release();
    // Made before the frame may be cut: a listener of that event may commit.
    const commit = this.commit(true);
    schedule.committed();
    return commit;
  }

  commit(changed: boolean): Commit {
    const { history, outcomes } = this.#parts;
    return new Commit(outcomes, history.withinEpoch, history.revision, changed);
  }

  /** @throws EvertreeError TRANSACTION_INVALID while a transaction's callback is being run */
  assertNone(): void {
    if (!this.active) return;
    throw new EvertreeError('TRANSACTION_INVALID', 'a transaction is under way; use its own tx, and nothing else of the store');
  }

  #assertMay(options: CommitOptions | undefined): void {
    this.#parts.gate.assertWritable();
    this.assertNone();
    if (options !== undefined) checkCommitOptions(options, this.#parts.history.last);
  }

  #notify({ operations, before }: Changes, from: ExactPosition | undefined, time: number): void {
    const { listeners } = this.#parts;
    if (before === undefined || from === undefined || !operations.some(({ path }) => listeners.concerns(path))) return;
    listeners.notify(toOperations(operations), this.#step(before, from, time));
  }

  #step(before: TreeNode, from: ExactPosition, time: number): Step {
    return { before, after: this.#tree.pin(), from, position: this.#parts.history.last, time, bytes: this.#transaction.bytes };
  }
}
