import { BinaryBodyWriter } from '../frames/binary-writer.ts';
import { EvertreeError } from '../errors.ts';
import { type BodyRest, FRAME_CHECKSUM_BYTES, ROOM_BYTES } from '../frames/frame.ts';
import type { SortedOperations } from '../listeners/listeners.ts';
import { lookup, TreeNode, type Child } from '../tree/node.ts';
import { isLong } from '../tree/digest.ts';
import type { NetOperation } from './net-operations.ts';
import { formatPath, ROOT, type Path } from '../tree/path.ts';
import { Transaction, type TransactionSteps } from './transaction.ts';
import type { Tree } from '../tree/tree.ts';
import { finishSteps } from '../turn.ts';

/** Operations that are looked at, or encoded, between two pauses: a tenth of a millisecond of work. */
const STEP_OPERATIONS = 512;

/** What a transaction that ran on a fork of the tree made of it. */
interface ForkedChanges {
  readonly operations: readonly NetOperation[];
  /** As the transaction counts them. */
  readonly bytes: number;
  /** The operations, encoded as the only change set of a frame. Undefined: the commit encodes them. */
  readonly encoded: BodyRest | undefined;
  /** The operations, sorted for the listeners. */
  readonly sorted: SortedOperations;
}

const NOTHING: ForkedChanges = Object.freeze({ operations: [], bytes: 0, encoded: undefined, sorted: { concerned: new Map(), added: 0 } });

interface PreparationParts {
  /** Whether the operations are encoded ahead, too, in the binary form. */
  readonly encodes: boolean;
  /** The largest change set, as `measure` counts it. */
  readonly byteLimit: number;
  /** Sorts the operations for the listeners. */
  readonly sort: (operations: readonly NetOperation[]) => Generator<void, SortedOperations>;
}

/**
 * Runs a transaction ahead, in steps, on a fork of the tree. What it reads and writes has to be at or below a path. Then
 * the commit only puts what the fork has at the lowest object on the way to that path.
 *
 * Others may commit meanwhile. If something changed at or below that object, the result is not current any more, and
 * the transaction has to run again. An error of the transaction is part of the result.
 */
export function* prepareTransaction(
  tree: Tree,
  path: Path,
  steps: TransactionSteps,
  { encodes, byteLimit, sort }: PreparationParts,
): Generator<void, PreparedTransaction> {
  const fork = tree.fork();
  const at = lowestObject(fork.root, path);
  const base = fork.get(at) as TreeNode;
  const transaction = new Transaction(fork, NOBODY, byteLimit);
  const parts = { tree, at, base, steps };
  try {
    const { operations } = yield* transaction.runSteps(steps);
    for (const [index, operation] of operations.entries()) {
      assertBelow(at, operation);
      if (index % STEP_OPERATIONS === STEP_OPERATIONS - 1) yield;
    }
    const encoded = encodes ? yield* encode(operations, fork) : undefined;
    const { bytes } = transaction;
    // Last, so that it is for nearly all listeners that there will be at the commit.
    const sorted = yield* sort(operations);
    return new PreparedTransaction(parts, { operations, bytes, encoded, sorted }, fork.get(at) as Child | undefined);
  } catch (error) {
    return new PreparedTransaction(parts, NOTHING, undefined, { error });
  }
}

const NOBODY = { concerns: () => false };

/** Path of the lowest object on the way to a path. */
function lowestObject(root: TreeNode, path: Path): Path {
  let node = root;
  for (let level = 0; level < path.length; level++) {
    const child = lookup(node, path[level]!);
    if (!(child instanceof TreeNode)) return path.slice(0, level);
    node = child;
  }
  return path.length === 0 ? ROOT : path;
}

function* encode(operations: readonly NetOperation[], fork: Tree): Generator<void, BodyRest> {
  const writer = new BinaryBodyWriter(ROOM_BYTES);
  let previous = ROOT;
  for (const [index, { path, child }] of operations.entries()) {
    fork.follow(path, previous);
    if (typeof child === 'object' && child !== null) yield* writer.operationInSteps(fork.trail, path, child);
    else writer.operation(fork.trail, path, child);
    previous = path;
    // A long text is written in one step, which takes long enough.
    if (index % STEP_OPERATIONS === STEP_OPERATIONS - 1 || isLong(child)) yield;
  }
  return writer.takeRest(FRAME_CHECKSUM_BYTES);
}

/** @throws EvertreeError TRANSACTION_INVALID for an operation that others could have disturbed without being noticed */
function assertBelow(at: Path, { path }: NetOperation): void {
  if (path.length >= at.length && at.every((segment, level) => segment === path[level])) return;
  const [found, wanted] = [path, at].map(each => JSON.stringify(formatPath(each)));
  throw new EvertreeError('TRANSACTION_INVALID', `a transaction that was prepared for what is at ${wanted} wrote to ${found}`);
}

/** A transaction that ran ahead. It is committed once. */
export class PreparedTransaction {
  readonly operations: readonly NetOperation[];
  readonly bytes: number;
  readonly encoded: BodyRest | undefined;
  readonly sorted: SortedOperations;
  readonly #steps: TransactionSteps;
  readonly #tree: Tree;
  readonly #path: Path;
  /** What was at the path. The tree copies it before it changes it, or anything below it. */
  readonly #base: TreeNode;
  /** What the transaction left there. */
  readonly #child: Child | undefined;
  readonly #failure: { readonly error: unknown } | undefined;
  /** It was committed, or refused. */
  #taken = false;

  constructor(
    { tree, at, base, steps }: { readonly tree: Tree; readonly at: Path; readonly base: TreeNode; readonly steps: TransactionSteps },
    { operations, bytes, encoded, sorted }: ForkedChanges,
    child: Child | undefined,
    failure?: { readonly error: unknown },
  ) {
    this.#steps = steps;
    this.operations = operations;
    this.bytes = bytes;
    this.encoded = encoded;
    this.sorted = sorted;
    this.#tree = tree;
    this.#path = at;
    this.#base = base;
    this.#child = child;
    this.#failure = failure;
  }

  /** Whether nothing changed in a tree that the transaction may have read or written. */
  isCurrent(tree: Tree): boolean {
    return tree === this.#tree && tree.get(this.#path) === this.#base;
  }

  /** Does what was prepared in another transaction, in one go. Throws as `take`. */
  runAgain(tx: Transaction): void {
    this.#takeOnce();
    finishSteps(this.#steps(tx));
  }

  /**
   * For the transaction: what to put, or to delete, to make all that it changed.
   * @throws the transaction's own error; EvertreeError TRANSACTION_INVALID if it was taken before
   */
  take(): NetOperation {
    this.#takeOnce();
    if (this.#failure !== undefined) throw this.#failure.error;
    return { path: this.#path, child: this.#child };
  }

  /** Its nodes may be in one tree only, and what was committed must not be done a second time. */
  #takeOnce(): void {
    if (this.#taken) throw new EvertreeError('TRANSACTION_INVALID', 'this prepared transaction was used already; prepare it again');
    this.#taken = true;
  }
}
