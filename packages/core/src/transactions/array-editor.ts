import { EvertreeError } from '../errors.ts';
import { formatPath, invalidPath, type Path } from '../tree/path.ts';
import { getInside, isIndex } from '../tree/tree.ts';
import { define, freezeCopy, type Value } from '../tree/value.ts';

/** A container inside the array that is being edited. */
type Container = unknown[] | { [key: string]: unknown };

/**
 * A copy of one array of the tree, which a JSON Patch edits and then puts back whole. Only own members are read and
 * written.
 */
export class ArrayEditor {
  /** The array's path in the tree. */
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

  /** A copy of the value at a path inside the array, or undefined. */
  read(path: Path): Value | undefined {
    let at: unknown = this.#items;
    for (let level = this.path.length; level < path.length && at !== undefined; level++) at = member(at, path[level]!);
    return at === undefined ? undefined : (structuredClone(at) as Value);
  }

  /** @throws EvertreeError NOT_FOUND, PATH_INVALID, VALUE_INVALID; the array is unchanged then */
  add(path: Path, value: unknown): void {
    const parent = this.#parentOf(path);
    const key = path.at(-1)!;
    if (Array.isArray(parent) && key !== '-' && (!isIndex(key) || Number(key) > parent.length)) {
      throw invalidPath(path, `ends in no index of an array of ${parent.length}; add at 0 to ${parent.length}, or at "-" for its end`);
    }
    const copy = copyOf(value, path);
    if (Array.isArray(parent)) parent.splice(key === '-' ? parent.length : Number(key), 0, copy);
    else define(parent as { [key: string]: Value }, key, copy);
  }

  /** Throws as `add`. */
  replace(path: Path, value: unknown): void {
    const parent = this.#parentOf(path);
    const key = path.at(-1)!;
    if (member(parent, key) === undefined) throw notFound(path);
    const copy = copyOf(value, path);
    if (Array.isArray(parent)) parent[Number(key)] = copy;
    else define(parent as { [key: string]: Value }, key, copy);
  }

  /** Throws as `add`. */
  remove(path: Path): void {
    const parent = this.#parentOf(path);
    const key = path.at(-1)!;
    if (member(parent, key) === undefined) throw notFound(path);
    if (Array.isArray(parent)) parent.splice(Number(key), 1);
    else delete parent[key];
  }

  #parentOf(path: Path): Container {
    let parent: unknown = this.#items;
    for (let level = this.path.length; level < path.length - 1; level++) {
      parent = member(parent, path[level]!);
      if (parent === undefined) throw notFound(path.slice(0, level + 1));
    }
    if (typeof parent !== 'object' || parent === null) throw invalidPath(path, 'leads through a value that has no members');
    return parent as Container;
  }
}

function member(container: unknown, key: string): unknown {
  return typeof container === 'object' && container !== null ? getInside(container as Value & object, key) : undefined;
}

/** A checked copy that later operations may edit. */
function copyOf(value: unknown, path: Path): Value {
  return structuredClone(freezeCopy(value, path, path.length));
}

/** The error for a path that a patch needs and where nothing is. */
export function notFound(path: Path): EvertreeError {
  const pointer = formatPath(path);
  return new EvertreeError('NOT_FOUND', `nothing stands at ${JSON.stringify(pointer)}`, { path: pointer });
}
