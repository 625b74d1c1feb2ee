import { sameValue } from '../tree/content.ts';
import type { Path } from '../tree/path.ts';
import type { TransactionTarget } from './transaction-target.ts';
import { checkContainer, checkKey, freezeCopy, isPlainObject, type PlainObject, type Value } from '../tree/value.ts';

/**
 * Makes the subtree at a path equal to a value with the fewest operations: objects are compared key by key, and only
 * what differs is put or deleted. Only keys and leaves of the subtree are read, so that a large document costs one pass
 * over it.
 * @returns the number of operations
 * @throws EvertreeError VALUE_INVALID, PATH_INVALID
 */
export function replaceByDifference(tx: TransactionTarget, path: Path, value: unknown): number {
  return new Difference(tx, path).replace(value);
}

class Difference {
  readonly #tx: TransactionTarget;
  /** The path that is being compared. It is changed in place, and copied only where something is written. */
  readonly #path: string[];
  readonly #ancestors: object[] = [];
  #operations = 0;

  constructor(tx: TransactionTarget, path: Path) {
    this.#tx = tx;
    this.#path = [...path];
  }

  replace(value: unknown): number {
    this.#compare(value);
    return this.#operations;
  }

  #compare(value: unknown): void {
    const kind = this.#tx.kind(this.#path);
    if (isPlainObject(value) && kind === 'object') {
      this.#compareObject(value);
    } else if (kind === undefined || kind === 'object' || isPlainObject(value) || !this.#equals(value)) {
      this.#tx.put([...this.#path], value);
      this.#operations++;
    }
  }

  #equals(value: unknown): boolean {
    const same = sameValue(this.#tx.get(this.#path), value as Value);
    // An array may hold what JSON has not: a Date has no keys, as {} has none, and would pass for equal.
    if (same && Array.isArray(value)) freezeCopy(value, this.#path, this.#path.length);
    return same;
  }

  #compareObject(value: PlainObject): void {
    const path = this.#path;
    checkContainer(value, path, path.length, this.#ancestors);
    this.#ancestors.push(value);
    for (const key of this.#tx.keys(path) ?? []) {
      if (Object.hasOwn(value, key)) continue;
      this.#tx.delete([...path, key]);
      this.#operations++;
    }
    for (const key of Object.keys(value)) {
      checkKey(key, path);
      path.push(key);
      this.#compare(value[key]);
      path.pop();
    }
    this.#ancestors.pop();
  }
}

/** Whether the value at a path is the same JSON value. Of a large subtree only what has to be compared is read. */
export function matchesValue(tx: TransactionTarget, path: Path, value: unknown): boolean {
  const keys = tx.keys(path);
  if (keys === undefined) return value !== undefined && sameValue(tx.get(path), value as Value);
  if (!isPlainObject(value)) return false;
  const expected = Object.keys(value);
  return keys.length === expected.length && expected.every(key => value[key] !== undefined && matchesValue(tx, [...path, key], value[key]));
}
