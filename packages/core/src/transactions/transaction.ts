import { digestSteps } from '../tree/array-digest.ts';
import { importValue, measure } from '../tree/content.ts';
import { replaceByDifference } from './difference.ts';
import { updateDraft } from './draft.ts';
import { dropKept, isLong, keepLeaving, lanes } from '../tree/digest.ts';
import { EvertreeError } from '../errors.ts';
import type { Guards } from './guards.ts';
import { patchDocument, patchSteps } from './json-patch.ts';
import { DEPTH_LIMIT } from '../tree/limits.ts';
import { mergeDocument, mergeSteps } from './merge.ts';
import { TreeNode, type Child } from '../tree/node.ts';
import type { NetOperation } from './net-operations.ts';
import { checkDepth, parsePath, PathReader, PointerReader, type Path, type PathLike } from '../tree/path.ts';
import { PreparedValue, prepareValue, type PreparationHints } from '../tree/prepared-value.ts';
import { keysOf, kindOf, objectOf, valueOf, type ComparedTarget, type TransactionTarget } from './transaction-target.ts';
import { NO_CHANGES, TransactionWrites, type Changes, type ConcernedListeners } from './transaction-writes.ts';
import type { Tree } from '../tree/tree.ts';
import { invalidValue, type Value } from '../tree/value.ts';

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
 */
export class Transaction implements TransactionTarget {
  readonly #tree: Tree;
  readonly #listeners: ConcernedListeners;
  readonly #writes: TransactionWrites;
  /** The largest change set, as `measure` counts it. */
  readonly #byteLimit: number;
  /** A callback is being run, or steps are, with their pauses. */
  #active = false;
  /** Of the operations so far, as `#account` counts them. */
  #bytes = 0;
  /** For the pointers of a long transaction: they would push those of short ones out of the cache. */
  readonly #pointers = new PointerReader();
  readonly #paths = new PathReader();
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
    changes: () => this.#writes.version,
  };

  constructor(tree: Tree, listeners: ConcernedListeners, byteLimit: number) {
    this.#tree = tree;
    this.#listeners = listeners;
    this.#byteLimit = byteLimit;
    this.#writes = new TransactionWrites(tree, listeners);
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

  /** @param isThere a prepared value is known to equal what stands there: it is judged, and not put */
  #put(segments: Path, value: unknown, isThere = false): void {
    const prepared = typeof value === 'object' && value instanceof PreparedValue ? value : undefined;
    const child = prepared === undefined ? importValue(value, segments, this.#tree.generation) : prepared.take(segments);
    const bytes = typeof child === 'object' || typeof child === 'string' ? (prepared?.bytes ?? measure(child)) : 0;
    this.#account(segments, bytes);
    if (segments.length >= DEPTH_LIMIT && typeof child === 'object')
      throw invalidValue(segments.slice(0, 8), `nests deeper than ${DEPTH_LIMIT} levels`);
    if (isThere) return;
    if (prepared === undefined) this.#writes.change(segments, child);
    else prepared.withDigest(child, () => this.#writes.change(segments, child));
  }

  /** Removes the subtree at a path, if there is one. Deleting the root empties it. */
  delete(path: PathLike): void {
    this.#assertActive();
    this.#delete(this.#toPath(path));
  }

  #delete(segments: Path): void {
    this.#account(segments, 0);
    this.#writes.change(segments, segments.length === 0 ? new TreeNode(this.#tree.generation) : undefined);
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
    const standing = (): Child | Value | undefined => this.#tree.get(segments);
    const put = isPlain(value) ? value : yield* prepareValue(value, segments, { ...hints, standing });
    const leaving = standing();
    const isThere = put instanceof PreparedValue && leaving instanceof TreeNode && (yield* put.equals(leaving));
    if (isLong(leaving)) {
      yield* digestSteps(leaving);
      keepLeaving(leaving, lanes.lo, lanes.hi);
    }
    this.#assertActive();
    try {
      this.#put(segments, put, isThere);
    } finally {
      dropKept();
    }
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
      return this.#judged(guards);
    } catch (error) {
      this.#giveUp();
      throw error;
    } finally {
      this.#active = false;
    }
  }

  /**
   * For the store: as `run` with a callback that puts one value. The path in the result may be overwritten by the next
   * `runPut`, unless a listener is concerned, which keeps it.
   */
  runPut(path: PathLike, value: unknown, guards: Guards): Changes {
    this.#active = true;
    this.#tree.undo.clear();
    try {
      const segments = this.#paths.read(path);
      this.#put(this.#listeners.concerns(segments) ? segments.slice() : segments, value);
      return this.#judged(guards);
    } catch (error) {
      this.#giveUp();
      throw error;
    } finally {
      this.#active = false;
    }
  }

  /** What changed, if the guards agree. @throws EvertreeError GUARD_FAILED */
  #judged(guards: Guards): Changes {
    const changes = this.#writes.changes();
    if (changes.operations.length === 0) this.#giveUp();
    else if (guards.size > 0) guards.check(this.#tree.root, changes.operations);
    return changes;
  }

  /** For a fork of the tree, which is thrown away on an error: runs a callback in steps. */
  *runSteps(steps: TransactionSteps): Generator<void, Changes & { readonly before: TreeNode }> {
    this.#active = true;
    try {
      const before = this.#writes.pin();
      yield* steps(this);
      if (this.#torn !== undefined) throw this.#torn.error;
      yield* this.#tree.mixSteps();
      return { operations: yield* this.#writes.operationSteps(before), before };
    } finally {
      this.#active = false;
    }
  }

  /**
   * For the store: makes what a prepared transaction changed, which has to be current. As `run` otherwise.
   * @param concerns whether it concerns a listener
   */
  runPrepared(prepared: PreparedChanges, guards: Guards, concerns: boolean): Changes {
    // A guard is the caller's code: it must not commit, or cut a frame, while what it judges is in the tree.
    this.#active = true;
    this.#tree.undo.clear();
    this.#bytes = prepared.bytes;
    try {
      const { operations } = prepared;
      if (concerns) this.#writes.pin();
      const operation = prepared.take();
      if (operations.length === 0) {
        this.#giveUp();
        return NO_CHANGES;
      }
      const changes = this.#writes.make(operation, operations);
      if (guards.size > 0) guards.check(this.#tree.root, operations);
      return changes;
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
    this.#writes.forget();
    this.#bytes = 0;
    this.#torn = undefined;
  }

  /**
   * Makes the operations of one call, all or none: if it fails after the first of them the transaction fails, even if
   * the callback catches the error.
   */
  #resolve(makeOperations: () => void): void {
    const { count } = this.#writes;
    try {
      makeOperations();
    } catch (error) {
      if (this.#writes.count > count) this.#torn ??= { error };
      throw error;
    }
  }

  *#resolveSteps(steps: Generator<void>): Generator<void> {
    this.#assertActive();
    const { count } = this.#writes;
    try {
      yield* steps;
    } catch (error) {
      if (this.#writes.count > count) this.#torn ??= { error };
      throw error;
    }
  }

  #giveUp(): void {
    this.#writes.takeBack();
    this.release();
  }

  #get(path: PathLike): Child | Value | undefined {
    this.#assertActive();
    return this.#tree.get(this.#toPath(path));
  }

  #toPath(path: PathLike): Path {
    return typeof path === 'string' && this.#writes.areMany ? this.#pointers.read(path) : parsePath(path);
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

/** Whether a value takes no steps. */
function isPlain(value: unknown): boolean {
  return (typeof value !== 'object' || value === null) && !isLong(value);
}

/** Bytes that an operation counts, without its path and its value. */
const OPERATION_BYTES = 16;

/**
 * A transaction's first path is not counted up to so many segments: at most 6 MiB of a frame, if JSON escapes every
 * character.
 */
const UNCOUNTED_SEGMENTS = 16;

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
