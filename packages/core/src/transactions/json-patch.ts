import { ArrayEditor, notFound } from './array-editor.ts';
import { sameValue } from '../tree/content.ts';
import { matchesValue } from './difference.ts';
import { EvertreeError, type ErrorCode } from '../errors.ts';
import { checkDepth, invalidPath, parsePath, PointerReader, type Path } from '../tree/path.ts';
import { PreparedValue, prepareValue, type PreparationHints } from '../tree/prepared-value.ts';
import type { TransactionTarget } from './transaction-target.ts';
import { finishSteps } from '../turn.ts';
import type { Value } from '../tree/value.ts';

/**
 * The pointers of so many operations may come again with the next patch; those of more are read once. A patch in steps
 * pauses after as many.
 */
const FEW_OPERATIONS = 256;

/** An operation of a patch, after the check of its form. */
interface PatchOperation {
  readonly op: 'add' | 'remove' | 'replace' | 'move' | 'copy' | 'test';
  /** From the root of the tree. */
  readonly path: Path;
  readonly from: Path | undefined;
  readonly value: unknown;
  /** The path as the document has it. */
  readonly pointer: string;
}

/** As patchSteps, without a pause. */
export function patchDocument(tx: TransactionTarget, path: Path, operations: readonly unknown[]): void {
  finishSteps(patchSteps(tx, path, operations, undefined));
}

/**
 * Applies a JSON Patch (RFC 6902) to the subtree at a path, to which its pointers are relative. Operations on objects
 * become puts and deletes. For operations inside an array a copy of the array is edited, and put whole once for each
 * run of operations on it. Pauses after each 256 operations.
 *
 * As the RFC demands, what is removed, replaced, copied or tested has to exist, and so does the parent of what is
 * added.
 * @param hints given: objects and arrays that are added or replace others are prepared in steps, too
 * @throws EvertreeError TEST_FAILED; NOT_FOUND; PATH_INVALID; VALUE_INVALID (a document that is no patch, a value that
 *   is no JSON). Each names the operation by its index, also in `details.operation`. The caller takes back the
 *   operations before it.
 */
export function* patchSteps(
  tx: TransactionTarget,
  path: Path,
  operations: readonly unknown[],
  hints: PreparationHints | undefined,
): Generator<void> {
  if (!Array.isArray(operations)) throw new EvertreeError('VALUE_INVALID', 'a JSON Patch is an array of operations');
  if (tx.kind(path) !== undefined && isInsideArray(tx, path)) {
    throw invalidPath(path, 'leads into an array, which is replaced whole; patch the array itself, with longer pointers');
  }
  const reader = new PointerReader();
  const toPath = operations.length > FEW_OPERATIONS ? (pointer: string) => reader.read(pointer) : (pointer: string) => parsePath(pointer);
  const parsed: PatchOperation[] = [];
  for (const [index, operation] of operations.entries()) {
    parsed.push(parseOperation(operation, index, path, toPath));
    if (index % FEW_OPERATIONS === FEW_OPERATIONS - 1) yield;
  }
  const patch = new Patch(tx, path);
  for (const [index, operation] of parsed.entries()) {
    const isPrepared = hints !== undefined && (operation.op === 'add' || operation.op === 'replace') && isContainer(operation.value);
    const value = isPrepared ? yield* prepareValue(operation.value, operation.path, hints) : operation.value;
    try {
      patch.apply(operation, value);
    } catch (error) {
      if (!(error instanceof EvertreeError)) throw error;
      throw atOperation(index, `${operation.op} ${JSON.stringify(operation.pointer)}`, error.code, error.message, operation.pointer, error);
    }
    if (index % FEW_OPERATIONS === FEW_OPERATIONS - 1) yield;
  }
  patch.closeArray();
}

function isContainer(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

class Patch {
  readonly #tx: TransactionTarget;
  readonly #base: Path;
  /** The array that the last operation edited. Its changes are not in the tree yet. */
  #array: ArrayEditor | undefined;
  /** The path that was entered last, if all its parents are objects. Nothing but this path was written since. */
  #entered: Path | undefined;

  constructor(tx: TransactionTarget, base: Path) {
    this.#tx = tx;
    this.#base = base;
  }

  /** @param value the operation's; it may be prepared for its path */
  apply(operation: PatchOperation, value: unknown): void {
    const { op, path } = operation;
    switch (op) {
      case 'add':
        return this.#add(path, value);
      case 'remove':
        return this.#remove(path);
      case 'replace':
        return this.#replace(path, value);
      case 'test':
        return this.#test(path, value);
      case 'copy':
        return this.#add(path, this.#read(operation.from!));
      case 'move':
        return this.#move(operation.from!, path);
    }
  }

  /** Puts the array that is being edited into the tree. */
  closeArray(): void {
    if (this.#array === undefined) return;
    this.#tx.put(this.#array.path, this.#array.items);
    this.#array = undefined;
  }

  #add(path: Path, value: unknown): void {
    const array = this.#enter(path);
    if (array !== undefined) {
      array.add(path, plain(value));
      return;
    }
    // The root of the document has no parent in it. Parents above it are made by put.
    if (path.length > this.#base.length && this.#entered !== path) {
      const parent = path.slice(0, -1);
      if (this.#tx.kind(parent) === undefined) throw notFound(parent);
    }
    this.#tx.put(path, value);
  }

  #remove(path: Path): void {
    const array = this.#enter(path);
    if (array !== undefined) {
      array.remove(path);
      return;
    }
    if (!this.#tx.has(path)) throw notFound(path);
    this.#tx.delete(path);
  }

  #replace(path: Path, value: unknown): void {
    const array = this.#enter(path);
    if (array !== undefined) {
      array.replace(path, plain(value));
      return;
    }
    if (!this.#tx.has(path)) throw notFound(path);
    this.#tx.put(path, value);
  }

  #move(from: Path, path: Path): void {
    if (from.length < path.length && from.every((segment, level) => segment === path[level])) {
      throw invalidPath(path, 'is inside what is to be moved there');
    }
    const value = this.#read(from);
    this.#remove(from);
    this.#add(path, value);
  }

  #test(path: Path, value: unknown): void {
    const array = this.#enter(path);
    const same = array === undefined ? matchesValue(this.#tx, path, value) : sameValue(array.read(path), value as Value);
    if (!same) throw new EvertreeError('TEST_FAILED', 'what stands there is not the value that the test expects');
  }

  #read(path: Path): Value {
    const array = this.#enter(path);
    const value = array === undefined ? this.#tx.get(path) : array.read(path);
    if (value === undefined) throw notFound(path);
    return value;
  }

  /** The array that a path leads into, opened for editing; undefined if only objects are on the way. */
  #enter(path: Path): ArrayEditor | undefined {
    if (this.#array?.holds(path)) return this.#array;
    this.closeArray();
    if (this.#entered !== undefined && haveSameParents(path, this.#entered)) {
      this.#entered = path;
      return undefined;
    }
    this.#entered = undefined;
    for (let length = this.#base.length; length < path.length; length++) {
      const above = path.slice(0, length);
      const kind = this.#tx.kind(above);
      if (kind === 'array') return (this.#array = new ArrayEditor(above, this.#tx.get(above)!));
      if (kind !== 'object') return undefined;
    }
    if (path.length > this.#base.length) this.#entered = path;
    return undefined;
  }
}

/** Compared from the lowest one: as a rule that one differs. */
function haveSameParents(path: Path, other: Path): boolean {
  if (path.length !== other.length) return false;
  for (let level = path.length - 2; level >= 0; level--) if (path[level] !== other[level]) return false;
  return true;
}

/** Arrays are edited as plain values. */
function plain(value: unknown): unknown {
  return value instanceof PreparedValue ? value.source : value;
}

const OPS: readonly string[] = ['add', 'remove', 'replace', 'move', 'copy', 'test'] satisfies PatchOperation['op'][];

function parseOperation(operation: unknown, index: number, base: Path, toPath: (pointer: string) => Path): PatchOperation {
  const refuse = (problem: string): EvertreeError => atOperation(index, undefined, 'VALUE_INVALID', problem);
  if (typeof operation !== 'object' || operation === null || Array.isArray(operation)) throw refuse('is no object');
  const { op, path, from, value } = operation as { readonly [name: string]: unknown };
  if (typeof op !== 'string' || !OPS.includes(op)) throw refuse(`has no "op" of ${OPS.join(', ')}`);
  if (typeof path !== 'string') throw refuse('has no "path", a JSON Pointer');
  const needsFrom = op === 'move' || op === 'copy';
  if (needsFrom && typeof from !== 'string') throw refuse(`is a ${op} without "from", a JSON Pointer`);
  if (!needsFrom && op !== 'remove' && value === undefined) throw refuse(`is a ${op} without "value"`);
  return {
    op: op as PatchOperation['op'],
    path: parsePointer(path, index, base, toPath),
    from: needsFrom ? parsePointer(from as string, index, base, toPath) : undefined,
    value,
    pointer: path,
  };
}

function parsePointer(pointer: string, index: number, base: Path, toPath: (pointer: string) => Path): Path {
  try {
    const path = toPath(pointer);
    return base.length === 0 ? path : checkDepth([...base, ...path]);
  } catch (error) {
    if (!(error instanceof EvertreeError)) throw error;
    throw atOperation(index, undefined, error.code, error.message, pointer, error);
  }
}

function atOperation(
  index: number,
  what: string | undefined,
  code: ErrorCode,
  problem: string,
  pointer?: string,
  cause?: EvertreeError,
): EvertreeError {
  const name = what === undefined ? `operations[${index}]` : `operations[${index}] (${what})`;
  const place = pointer === undefined ? {} : { pointer };
  return new EvertreeError(code, `${name} of the patch: ${problem}`, { ...cause?.details, operation: index, ...place }, cause);
}

/** Whether something on the way to a path is an array. */
function isInsideArray(tx: TransactionTarget, path: Path): boolean {
  return path.some((_, length) => tx.kind(path.slice(0, length)) === 'array');
}
