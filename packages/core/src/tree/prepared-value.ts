import { digestSteps } from './array-digest.ts';
import { closeSum, dropKept, hashLeaf, isLong, keepEntering, lanes } from './digest.ts';
import { EvertreeError } from '../errors.ts';
import { DEPTH_LIMIT } from './limits.ts';
import { measure, sameObjectSteps, sameSteps } from './content.ts';
import { MadeArray, MadeObject } from './made-array.ts';
import { insert, TreeNode, type Child } from './node.ts';
import { formatPath, type Path } from './path.ts';
import { checkContainer, checkKey, checkLeaf, type PlainObject, type Value } from './value.ts';

/** A preparation pauses after so many members of objects and arrays, or so much text: some tenths of a millisecond of work. */
export const STEP_MEMBERS = 512;
/** Text of so many UTF-16 units counts as one more member. */
const TEXT_UNITS = 64;

/** Trees count their generations from 1. So a tree copies a prepared node, as any older one, before it changes it. */
const NO_GENERATION = 0;

/** What a caller knows about the value that is prepared. */
export interface PreparationHints {
  /**
   * The keys of an object, each once, if the caller knows that it is plain JSON. Undefined: the object is checked, and
   * its keys are listed in one step, which takes half a second for a million of them.
   */
  keysOf?(object: object): readonly string[] | undefined;
}

/** How a value is prepared. */
interface PreparationOptions extends PreparationHints {
  /** Leaves out members that are null, but in arrays: for a merge where nothing can be deleted. */
  readonly withoutNulls?: boolean;
  /** What stands at the path. An equal array is put as that very one, so that the tree knows it by its identity. */
  standing?(): Child | Value | undefined;
}

/**
 * Does ahead, in steps, what a put does with a value: it checks the value, makes its nodes and computes their digests.
 * The generator pauses after each step. A text inside an object or an array is one step.
 *
 * The result carries the error of an invalid value, and `put` throws it. So an error comes in the same order as if the
 * value had been put unprepared. The value must not change until it is prepared.
 * @param path at which it will be put
 */
export function* prepareValue(value: unknown, path: Path, options: PreparationOptions = {}): Generator<void, PreparedValue, void> {
  const preparation = new Preparation(path, options);
  try {
    const made = yield* preparation.run(value);
    const digest = isLong(made) ? { lo: lanes.lo, hi: lanes.hi } : undefined;
    const child = Array.isArray(made) ? yield* standingIfEqual(made, options.standing?.()) : made;
    return new PreparedValue(value, path, child, preparation.bytes, digest);
  } catch (error) {
    if (!(error instanceof EvertreeError)) throw error;
    return new PreparedValue(value, path, error, 0);
  }
}

/**
 * The array that stands, if it equals the one that was made. It is frozen: whatever is committed meanwhile, it stays a
 * value that may be put. Objects are not treated so: the tree changes its nodes in place.
 */
function* standingIfEqual(made: Value & readonly Value[], standing: Child | Value | undefined): Generator<void, Child> {
  return Array.isArray(standing) && (yield* sameSteps(made, standing)) ? standing : made;
}

/**
 * A value in the form that the tree takes, for one put at one path. No tree holds its nodes before, and one at most
 * after: it can be taken once.
 */
export class PreparedValue {
  /** The value that was prepared. */
  readonly source: unknown;
  /** Its size as `measure` counts it. */
  readonly bytes: number;
  readonly #path: Path;
  /** Undefined once it is taken. */
  #result: Child | EvertreeError | undefined;
  /** Of an array or a long text. */
  readonly #digest: { readonly lo: number; readonly hi: number } | undefined;

  constructor(
    source: unknown,
    path: Path,
    result: Child | EvertreeError,
    bytes: number,
    digest?: { readonly lo: number; readonly hi: number },
  ) {
    this.source = source;
    this.#path = path;
    this.#result = result;
    this.bytes = bytes;
    this.#digest = digest;
  }

  /** Whether it is an object that equals one of a tree, in steps. Those whose sums differ are not walked. */
  *equals(standing: TreeNode): Generator<undefined, boolean> {
    const made = this.#result;
    if (!(made instanceof TreeNode) || made.sumLo !== standing.sumLo || made.sumHi !== standing.sumHi) return false;
    return yield* sameObjectSteps(made, standing);
  }

  /** Puts what was taken, whose digest is known. */
  withDigest(taken: Child, put: () => void): void {
    if (this.#digest === undefined || !isLong(taken)) return put();
    keepEntering(taken, this.#digest.lo, this.#digest.hi);
    try {
      put();
    } finally {
      dropKept();
    }
  }

  /**
   * For the transaction: what is put.
   * @throws EvertreeError VALUE_INVALID, as `importValue`; TRANSACTION_INVALID if it was taken before, or prepared for
   *   another path
   */
  take(path: Path): Child {
    const result = this.#result;
    if (result === undefined) {
      throw new EvertreeError('TRANSACTION_INVALID', 'this prepared value was put already; prepare the value again');
    }
    if (path.length !== this.#path.length || !path.every((segment, level) => segment === this.#path[level])) {
      const [wanted, found] = [this.#path, path].map(each => JSON.stringify(formatPath(each)));
      throw new EvertreeError('TRANSACTION_INVALID', `this value was prepared for ${wanted}, and can't be put at ${found}`);
    }
    this.#result = undefined;
    if (result instanceof EvertreeError) throw result;
    return result;
  }
}

/** A container that is being prepared. */
interface Level {
  readonly source: object;
  /** Undefined: an array. */
  readonly keys: readonly string[] | undefined;
  readonly made: PreparedPiece;
  readonly size: number;
  /** Index of the next member. Those before it are in `made`, but for one that is a level of its own. */
  next: number;
}

/** What becomes of a container. */
interface PreparedPiece {
  /** @param lo, hi digest of the child */
  add(key: string, child: Child | Value, lo: number, hi: number): void;
  /** The container, with all its members. Its digest is left in `lanes`. */
  close(): Child | Value;
}

class Preparation {
  /** As `measure` counts them; of what was read so far. */
  bytes = 0;
  /** Path of the innermost level. */
  readonly #path: string[];
  readonly #options: PreparationOptions;
  /** Open containers, the outermost first, and what each is made from. */
  readonly #levels: Level[] = [];
  readonly #ancestors: object[] = [];
  /** Work of the present step, in members. */
  #work = 0;

  constructor(path: Path, options: PreparationOptions) {
    this.#path = [...path];
    this.#options = options;
  }

  *run(value: unknown): Generator<void, Child, void> {
    if (typeof value !== 'object' || value === null) {
      const leaf = checkLeaf(value, this.#path);
      this.#count(leaf);
      yield* digestSteps(leaf);
      return leaf;
    }
    this.#enter(value);
    for (;;) {
      const level = this.#levels.at(-1)!;
      this.#fill(level);
      if (this.#work >= STEP_MEMBERS) {
        this.#work = 0;
        yield;
      } else if (level === this.#levels.at(-1)) {
        const child = this.#leave(level);
        if (child !== undefined) return child;
      }
    }
  }

  /** Adds members until one is a container, which is entered, until the step is over, or until none is left. */
  #fill(level: Level): void {
    const { keys, made, size, source } = level;
    while (level.next < size && this.#work < STEP_MEMBERS) {
      const index = level.next++;
      const key = keys?.[index] ?? '';
      if (keys !== undefined) checkKey(key, this.#path);
      this.#work++;
      const item = keys === undefined ? (source as readonly unknown[])[index] : (source as PlainObject)[key];
      if (item === null && this.#options.withoutNulls === true && made instanceof MadeNode) continue;
      this.bytes += key.length;
      if (typeof item === 'object' && item !== null) {
        this.#path.push(keys === undefined ? String(index) : key);
        this.#enter(item);
        return;
      }
      const leaf = isPlainLeaf(item) ? item : checkLeaf(item, [...this.#path, keys === undefined ? String(index) : key]);
      this.#count(leaf);
      hashLeaf(leaf);
      made.add(key, leaf, lanes.lo, lanes.hi);
    }
  }

  #enter(source: object): void {
    const known = this.#options.keysOf?.(source);
    // An object with known keys is plain JSON. A look for symbols among a million keys takes a tenth of a second.
    if (known === undefined || this.#path.length >= DEPTH_LIMIT) checkContainer(source, this.#path, this.#path.length, this.#ancestors);
    const keys = Array.isArray(source) ? undefined : (known ?? Object.keys(source));
    const size = keys?.length ?? (source as readonly unknown[]).length;
    const above = this.#levels.at(-1);
    const inArray = above !== undefined && !(above.made instanceof MadeNode);
    const made = keys === undefined ? new MadeArray(size) : inArray ? new MadeObject() : new MadeNode();
    this.#ancestors.push(source);
    this.#levels.push({ source, keys, made, size, next: 0 });
    this.bytes += 8;
  }

  /** Ends the innermost level, which has all its members, and adds it to the one above. @returns the outermost one */
  #leave(level: Level): Child | undefined {
    const child = level.made.close();
    this.#levels.pop();
    this.#ancestors.pop();
    const above = this.#levels.at(-1);
    if (above === undefined) return child as Child;
    above.made.add(this.#path.pop()!, child, lanes.lo, lanes.hi);
    return undefined;
  }

  #count(leaf: null | boolean | number | string): void {
    this.bytes += measure(leaf);
    if (typeof leaf === 'string') this.#work += Math.floor(leaf.length / TEXT_UNITS);
  }
}

/** Whether a value is a leaf that is stored as it is; others are for checkLeaf to change or to refuse. */
function isPlainLeaf(value: unknown): value is null | boolean | number | string {
  if (typeof value === 'string') return value.isWellFormed();
  return value === null || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value) && value !== 0);
}

class MadeNode implements PreparedPiece {
  readonly #node = new TreeNode(NO_GENERATION);

  add(key: string, child: Child, lo: number, hi: number): void {
    insert(this.#node, key, child, lo, hi);
  }

  close(): Child {
    closeSum(this.#node.sumLo, this.#node.sumHi);
    return this.#node;
  }
}
