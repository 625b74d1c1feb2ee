import { importValue, measure } from '../tree/content.ts';
import { replaceByDifference } from './difference.ts';
import { updateDraft } from './draft.ts';
import { EvertreeError } from '../errors.ts';
import type { Guards } from './guards.ts';
import { patchDocument, patchSteps } from './json-patch.ts';
import { DEPTH_LIMIT } from '../tree/limits.ts';
import { mergeDocument, mergeSteps } from './merge.ts';
import { TreeNode, type Child } from '../tree/node.ts';
import { netOperations, netSteps, type NetOperation, type TreeWrite } from './net-operations.ts';
import { checkDepth, parsePath, PointerReader, ROOT, type Path, type PathLike } from '../tree/path.ts';
import { PreparedValue, prepareValue, type PreparationHints } from '../tree/prepared-value.ts';
import { keysOf, kindOf, objectOf, valueOf, type ComparedTarget, type TransactionTarget } from './transaction-target.ts';
import { UNCHANGED, type Tree } from '../tree/tree.ts';
import { invalidValue, type Value } from '../tree/value.ts';

/** Tells whether a change at a path concerns a listener, which then needs the trees before and after it. */
export interface ConcernedListeners {
  concerns(path: Path): boolean;
}

/** What a transaction changed, and the tree before it if that was pinned. */
export interface Changes {
  readonly operations: readonly NetOperation[];
  readonly before: TreeNode | undefined;
}

/** What a transaction that ran ahead changes. */
interface PreparedChanges {
  readonly operations: readonly NetOperation[];
  readonly bytes: number;
  /** The one operation on the tree that makes all of them. @throws what the transaction threw */
  take(): NetOperation;
}

/** What a transaction does, with pauses. It may be called again. */
export type TransactionSteps = (tx: Transaction) => Generator<void>;

/**
 * The tree as one transaction sees and changes it. Valid inside its callback only; every path may be a pointer or an
 * array of segments.
 *
 * A single operation is made in place, and taken back in place on an error. With the second operation, or if a listener
 * needs the tree before, the transaction pins the tree: on an error it goes back to the pinned root, and the change set
 * is what differs in the end.
 */
export class Transaction implements TransactionTarget {
  readonly #tree: Tree;
  readonly #listeners: ConcernedListeners;
  /** The largest change set, as `measure` counts it. */
  readonly #byteLimit: number;
  #active = false;
  #bytes = 0;
  /** Path and child of the only operation so far; undefined before it, and once the tree is pinned. */
  #path: Path | undefined;
  #child: Child | undefined;
  /** For the pointers of a long transaction: they would push those of short ones out of the cache. */
  readonly #pointers = new PointerReader();
  /** The pinned root that an error leads back to. */
  #before: TreeNode | undefined;
  /** What was written since the tree was pinned, in that order. */
  #written: TreeWrite[] = [];
  #changeCount = 0;
  /**
   * The error of a merge, patch, update or replace that failed after it had changed something. The transaction fails
   * with it.
   */
  #torn: { readonly error: unknown } | undefined;
  /**
   * The transaction for merges, patches, drafts and differences. Their paths are arrays of their own making, which they
   * never change once they wrote to them: these are neither copied nor checked for their segments' types.
   */
  readonly #target: ComparedTarget = {
    get: path => valueOf(this.#tree.get(path)),
    has: path => this.#tree.get(path) !== undefined,
    kind: path => kindOf(this.#tree.get(path)),
    keys: path => keysOf(this.#tree.get(path)),
    put: (path, value) => this.#put(checkDepth(path), value),
    delete: path => this.#delete(checkDepth(path)),
    object: path => objectOf(this.#tree.get(path)),
    // A pin counts, too: it takes the first operation back in the node that was read, and makes it in a copy.
    changes: () => this.#changeCount + (this.#before === undefined ? 0 : 1),
  };
  /**
   * The result of a transaction of one operation. It is reused: its reader is done before the next transaction begins.
   */
  readonly #one: { path: Path; child: Child | undefined } = { path: ROOT, child: undefined };
  readonly #oneChange: Changes = { operations: [this.#one], before: undefined };

  constructor(tree: Tree, listeners: ConcernedListeners, byteLimit: number) {
    this.#tree = tree;
    this.#listeners = listeners;
    this.#byteLimit = byteLimit;
  }

  /**
   * The value at a path, or undefined; its type is taken from the caller, unchecked.
   * @throws EvertreeError PATH_INVALID
   */
  get<T = Value>(path: PathLike): T | undefined {
    return valueOf(this.#get(path)) as T | undefined;
  }

  has(path: PathLike): boolean {
    return this.#get(path) !== undefined;
  }

  kind(path: PathLike): 'object' | 'array' | 'leaf' | undefined {
    return kindOf(this.#get(path));
  }

  keys(path: PathLike): string[] | undefined {
    return keysOf(this.#get(path));
  }

  /**
   * Replaces the subtree at a path; missing parents are made.
   * @param value a JSON value, or a PreparedValue of one
   * @throws EvertreeError PATH_INVALID (through a leaf or an array), VALUE_INVALID (not JSON), TOO_LARGE,
   *   TRANSACTION_INVALID (a PreparedValue that was put already, or prepared for another path)
   */
  put(path: PathLike, value: unknown): void {
    this.#assertActive();
    this.#put(this.#toPath(path), value);
  }

  #put(segments: Path, value: unknown): void {
    const prepared = typeof value === 'object' && value instanceof PreparedValue ? value : undefined;
    const child = prepared === undefined ? importValue(value, segments, this.#tree.generation) : prepared.take(segments);
    const bytes = typeof child === 'object' || typeof child === 'string' ? (prepared?.bytes ?? measure(child)) : 0;
    this.#account(segments, bytes);
    if (segments.length >= DEPTH_LIMIT && typeof child === 'object')
      throw invalidValue(segments.slice(0, 8), `nests deeper than ${DEPTH_LIMIT} levels`);
    this.#change(segments, child);
  }

  /** Removes the subtree at a path, if there is one. Deleting the root empties it. */
  delete(path: PathLike): void {
    this.#assertActive();
    this.#delete(this.#toPath(path));
  }

  #delete(segments: Path): void {
    this.#account(segments, 0);
    this.#change(segments, segments.length === 0 ? new TreeNode(this.#tree.generation) : undefined);
  }

  /** Merges a document into the subtree at a path (RFC 7396: null deletes). */
  merge(path: PathLike, document: unknown): void {
    this.#assertActive();
    this.#resolve(() => mergeDocument(this.#target, parsePath(path), document));
  }

  /**
   * Applies a JSON Patch (RFC 6902), its pointers relative to a path.
   * @throws EvertreeError TEST_FAILED, NOT_FOUND, PATH_INVALID, VALUE_INVALID
   */
  patch(path: PathLike, operations: readonly unknown[]): void {
    this.#assertActive();
    this.#resolve(() => patchDocument(this.#target, parsePath(path), operations));
  }

  /**
   * Lets `recipe` change a draft of the subtree at a path (immer), or return what replaces it.
   * @throws EvertreeError NOT_FOUND, PATH_INVALID when it changes a draft of nothing, or of a leaf;
   *   TRANSACTION_INVALID; VALUE_INVALID
   */
  update<T = Value>(path: PathLike, recipe: (draft: T) => T | void): void {
    this.#assertActive();
    this.#resolve(() => updateDraft(this.#target, parsePath(path), recipe as (draft: unknown) => unknown));
  }

  /** Makes the subtree at a path equal to a value with the fewest changes. */
  replace(path: PathLike, value: unknown): void {
    this.#assertActive();
    this.#resolve(() => replaceByDifference(this.#target, parsePath(path), value));
  }

  /** As `put`, in steps: for a transaction that is prepared. */
  *putSteps(path: PathLike, value: unknown, hints: PreparationHints = {}): Generator<void> {
    const segments = this.#toPath(path);
    const options = { ...hints, standing: () => this.#tree.get(segments) };
    this.put(segments, isPlain(value) ? value : yield* prepareValue(value, segments, options));
  }

  /** As `merge`, in steps. */
  *mergeSteps(path: PathLike, document: unknown, hints: PreparationHints = {}): Generator<void> {
    yield* this.#resolveSteps(mergeSteps(this.#target, parsePath(path), document, hints));
  }

  /** As `patch`, in steps. */
  *patchSteps(path: PathLike, operations: readonly unknown[], hints: PreparationHints = {}): Generator<void> {
    yield* this.#resolveSteps(patchSteps(this.#target, parsePath(path), operations, hints));
  }

  /** For the store: whether a callback is being run. */
  get active(): boolean {
    return this.#active;
  }

  /**
   * For the store: runs a callback on the tree. The store calls `release` once it has recorded the changes. On an
   * error, and if nothing changed in the end, the tree is as it was.
   */
  run(callback: (tx: Transaction) => void, guards: Guards): Changes {
    this.#active = true;
    this.#tree.undo.clear();
    try {
      assertSynchronous(callback(this));
      if (this.#torn !== undefined) throw this.#torn.error;
      const changes = this.#changes();
      if (changes.operations.length === 0) this.#giveUp();
      else if (guards.size > 0) guards.check(this.#tree.root, changes.operations);
      return changes;
    } catch (error) {
      this.#giveUp();
      throw error;
    } finally {
      this.#active = false;
    }
  }

  /** For a fork of the tree, which is thrown away on an error: runs a callback in steps. */
  *runSteps(steps: TransactionSteps): Generator<void, Changes & { readonly before: TreeNode }> {
    this.#active = true;
    try {
      const before = (this.#before = this.#tree.pin());
      yield* steps(this);
      if (this.#torn !== undefined) throw this.#torn.error;
      yield* this.#tree.mixSteps();
      return { operations: yield* netSteps(this.#written, before, this.#tree.root), before };
    } finally {
      this.#active = false;
    }
  }

  /** For the store: makes what a prepared transaction changed, which has to be current. As `run` otherwise. */
  runPrepared(prepared: PreparedChanges, guards: Guards): Changes {
    // A guard is the caller's code: it must not commit, or cut a frame, while what it judges is in the tree.
    this.#active = true;
    this.#tree.undo.clear();
    this.#bytes = prepared.bytes;
    try {
      const { operations } = prepared;
      if (operations.some(({ path }) => this.#listeners.concerns(path))) this.#before = this.#tree.pin();
      const { path, child } = prepared.take();
      if (operations.length === 0) {
        this.#giveUp();
        return NO_CHANGES;
      }
      this.#path = path;
      this.#apply(path, child);
      if (guards.size > 0) guards.check(this.#tree.root, operations);
      return { operations, before: this.#before };
    } catch (error) {
      this.#giveUp();
      throw error;
    } finally {
      this.#active = false;
    }
  }

  /** For the store: bytes of the operations, approximately. */
  get bytes(): number {
    return this.#bytes;
  }

  /** For the store: forgets what it holds. */
  release(): void {
    this.#path = undefined;
    this.#child = undefined;
    this.#one.child = undefined;
    this.#bytes = 0;
    this.#changeCount = 0;
    this.#torn = undefined;
    if (this.#before !== undefined) {
      this.#before = undefined;
      this.#written = [];
    }
  }

  /**
   * Makes the operations of one call, all or none: if it fails after the first of them the transaction fails, even if
   * the callback catches the error.
   */
  #resolve(makeOperations: () => void): void {
    const changes = this.#changeCount;
    try {
      makeOperations();
    } catch (error) {
      if (this.#changeCount > changes) this.#torn ??= { error };
      throw error;
    }
  }

  *#resolveSteps(steps: Generator<void>): Generator<void> {
    this.#assertActive();
    const changes = this.#changeCount;
    try {
      yield* steps;
    } catch (error) {
      if (this.#changeCount > changes) this.#torn ??= { error };
      throw error;
    }
  }

  #changes(): Changes {
    const before = this.#before;
    if (before !== undefined) return { operations: netOperations(this.#written, before, this.#tree.root), before };
    if (this.#path === undefined) return NO_CHANGES;
    this.#one.path = this.#path;
    this.#one.child = this.#child;
    return this.#oneChange;
  }

  #giveUp(): void {
    if (this.#before !== undefined) this.#tree.restore(this.#before);
    else if (this.#path !== undefined) this.#tree.takeBackLast(this.#path);
    this.release();
  }

  #change(path: Path, child: Child | undefined): void {
    if (this.#before === undefined && (this.#path !== undefined || this.#listeners.concerns(path))) this.#pin();
    // A pinned tree goes back to its root: nothing needs to be taken back singly.
    if (this.#before !== undefined) this.#tree.undo.clear();
    const changedAt = this.#apply(path, child);
    if (changedAt === UNCHANGED) return;
    this.#changeCount++;
    if (this.#before !== undefined) {
      this.#written.push(writeOf(path, child, changedAt));
    } else {
      this.#path = path;
      this.#child = child;
    }
  }

  #apply(path: Path, child: Child | undefined): number {
    return child === undefined ? this.#tree.delete(path) : this.#tree.put(path, child);
  }

  /** Pins the tree as it was before the only operation so far, which is taken back and made again. */
  #pin(): void {
    const path = this.#path;
    if (path !== undefined) this.#tree.takeBackLast(path);
    this.#before = this.#tree.pin();
    if (path === undefined) return;
    const changedAt = this.#apply(path, this.#child);
    this.#written.push(writeOf(path, this.#child, changedAt));
    this.#path = undefined;
    this.#child = undefined;
  }

  #get(path: PathLike): Child | Value | undefined {
    this.#assertActive();
    return this.#tree.get(this.#toPath(path));
  }

  #toPath(path: PathLike): Path {
    return typeof path === 'string' && this.#written.length > FEW_WRITES ? this.#pointers.read(path) : parsePath(path);
  }

  #account(path: Path, bytes: number): void {
    // One short path is not counted: a frame has room for it, and most transactions have no more.
    const pathBytes = this.#bytes === 0 && path.length <= UNCOUNTED_SEGMENTS ? 0 : lengthOf(path);
    this.#bytes += OPERATION_BYTES + pathBytes + bytes;
    const limitBytes = this.#byteLimit;
    if (this.#bytes <= limitBytes) return;
    throw new EvertreeError('TOO_LARGE', `this transaction has more than ${limitBytes} bytes; split it`, { limitBytes });
  }

  #assertActive(): void {
    if (!this.#active)
      throw new EvertreeError('TRANSACTION_INVALID', 'this transaction is over: use it inside its callback only, and not after an await');
  }
}

function isPlain(value: unknown): boolean {
  return typeof value !== 'object' || value === null;
}

const NO_CHANGES: Changes = Object.freeze({ operations: [], before: undefined });

/** The pointers of so many writes may come again with the next transaction; those of more are read once. */
const FEW_WRITES = 256;

/** Bytes that an operation counts, without its path and its value. */
const OPERATION_BYTES = 16;

/**
 * A transaction's first path is not counted up to so many segments: at most 6 MiB of a frame, if JSON escapes every
 * character.
 */
const UNCOUNTED_SEGMENTS = 16;

/** @param changedAt length of the path at which the tree changed: shorter than `path` if parents were made */
function writeOf(path: Path, child: Child | undefined, changedAt: number): TreeWrite {
  const exact = changedAt === path.length;
  return { path: exact ? path : path.slice(0, changedAt), child: exact ? child : undefined, exact };
}

/** Characters of a path, which a frame may have to spell. */
function lengthOf(path: Path): number {
  let length = 0;
  for (let level = 0; level < path.length; level++) length += path[level]!.length;
  return length;
}

/** Refuses a callback that returned a promise. */
function assertSynchronous(result: unknown): void {
  if (typeof result !== 'object' || result === null || !('then' in result)) return;
  // The transaction is taken back: a later rejection of the promise is a consequence, and must not end the process.
  void Promise.resolve(result).catch(() => undefined);
  throw new EvertreeError(
    'TRANSACTION_INVALID',
    'the callback of a transaction returned a promise; transactions are synchronous: await first, then transact',
  );
}
