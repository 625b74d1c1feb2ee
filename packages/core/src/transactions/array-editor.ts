import jsonpatch, { type Operation } from 'fast-json-patch';
import { EvertreeError } from '../errors.ts';
import { formatPath, invalidPath, type Path } from '../tree/path.ts';
import { freezeCopy, type Value } from '../tree/value.ts';

type ArrayOperation = 'add' | 'replace' | 'remove';

/**
 * One array of the tree while a JSON Patch edits it: a copy of its own, put back whole.
 *
 * fast-json-patch makes the edits, but finds its way through inherited properties and takes any text for a member of an array, so every
 * pointer is walked here first, over own data only and with RFC 6901's indices.
 */
export class ArrayEditor {
  /** Where the array stands in the tree. */
  readonly path: Path;
  readonly #items: unknown[];

  constructor(path: Path, items: Value) {
    this.path = path;
    this.#items = structuredClone(items) as unknown[];
  }

  /** The array as edited so far. */
  get items(): readonly unknown[] {
    return this.#items;
  }

  /** Whether a path leads to something inside the array. */
  holds(path: Path): boolean {
    return path.length > this.path.length && this.path.every((segment, level) => segment === path[level]);
  }

  /** A copy of what stands at a path that the array holds, or undefined. */
  read(path: Path): Value | undefined {
    let at: unknown = this.#items;
    for (let level = this.path.length; level < path.length && at !== undefined; level++) at = member(at, path[level]!);
    return at === undefined ? undefined : (structuredClone(at) as Value);
  }

  /** @throws EvertreeError NOT_FOUND, PATH_INVALID, VALUE_INVALID; the array is as it was then */
  edit(op: ArrayOperation, path: Path, value?: unknown): void {
    this.#checkTarget(op, path);
    const pointer = formatPath(path.slice(this.path.length));
    // The way was walked over own data and "__proto__" refused, so the library's own ban (of keys named "prototype") has nothing to add.
    const edit = (operation: Operation): unknown => jsonpatch.applyOperation(this.#items, operation, true, true, false);
    if (op === 'remove') edit({ op, path: pointer });
    else edit({ op, path: pointer, value: structuredClone<unknown>(freezeCopy(value, path, path.length)) });
  }

  #checkTarget(op: ArrayOperation, path: Path): void {
    let parent: unknown = this.#items;
    for (let level = this.path.length; level < path.length - 1; level++) {
      parent = member(parent, path[level]!);
      if (parent === undefined) throw notFound(path.slice(0, level + 1));
    }
    const key = path.at(-1)!;
    if (typeof parent !== 'object' || parent === null) throw invalidPath(path, 'leads through a value that has no members');
    if (key === '__proto__') throw invalidPath(path, 'ends in "__proto__" inside an array; put the whole array instead');
    if (op !== 'add') {
      if (member(parent, key) === undefined) throw notFound(path);
    } else if (Array.isArray(parent) && key !== '-' && (!isIndex(key) || Number(key) > parent.length)) {
      throw invalidPath(path, `ends in no index of an array of ${parent.length}; add at 0 to ${parent.length}, or at "-" for its end`);
    }
  }
}

/** An own member of a container, by RFC 6901: an array's are its indices, without leading zeros. */
function member(container: unknown, key: string): unknown {
  if (Array.isArray(container)) return isIndex(key) ? (container[Number(key)] as unknown) : undefined;
  if (typeof container !== 'object' || container === null || !Object.hasOwn(container, key)) return undefined;
  // fast-json-patch can't be let through "__proto__", not even where it is a key like others.
  if (key === '__proto__') return undefined;
  return (container as { readonly [key: string]: unknown })[key];
}

function isIndex(key: string): boolean {
  return /^(?:0|[1-9]\d{0,9})$/.test(key);
}

/** Nothing stands at a path that a patch needs. */
export function notFound(path: Path): EvertreeError {
  const pointer = formatPath(path);
  return new EvertreeError('NOT_FOUND', `nothing stands at ${JSON.stringify(pointer)}`, { path: pointer });
}
