import { EvertreeError } from '../errors.ts';
import { DEPTH_LIMIT, KEY_LIMIT } from './limits.ts';
import type { Path } from './path.ts';
import { formatPath } from './path.ts';

/** A JSON value as it is read from a tree: arrays and what is inside them are frozen. */
export type Value = null | boolean | number | string | readonly Value[] | { readonly [key: string]: Value };

/** An object that is no array, of which nothing else is known. */
export interface PlainObject {
  readonly [key: string]: unknown;
}

export function isPlainObject(value: unknown): value is PlainObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The error for a value that can't be stored: it names the place and the problem. */
export function invalidValue(path: Path, problem: string): EvertreeError {
  return new EvertreeError('VALUE_INVALID', `the value at ${JSON.stringify(formatPath(path))} ${problem}`, { path: formatPath(path) });
}

/**
 * Checks a leaf and makes -0 into 0.
 * @throws EvertreeError VALUE_INVALID for what JSON can't hold
 */
export function checkLeaf(value: unknown, path: Path): null | boolean | number | string {
  switch (typeof value) {
    case 'number':
      if (!Number.isFinite(value)) throw invalidValue(path, `is ${value}, which JSON does not have; use null or a string`);
      return value === 0 ? 0 : value;
    case 'string':
      if (!value.isWellFormed())
        throw invalidValue(path, 'has a lone surrogate, which UTF-8 does not have; see String.prototype.toWellFormed');
      return value;
    case 'boolean':
      return value;
    case 'object':
      if (value === null) return null;
      throw invalidValue(path, `is ${describe(value)}, which JSON does not have`);
    default:
      throw invalidValue(path, `is ${describe(value)}, which JSON does not have`);
  }
}

/** A deep, frozen copy of an array or of an object inside one. Such values are only ever replaced whole. */
export function freezeCopy(value: unknown, path: Path, depth: number, ancestors: object[] = []): Value {
  if (typeof value !== 'object' || value === null) return checkLeaf(value, path);
  checkContainer(value, path, depth, ancestors);
  ancestors.push(value);
  let copy: Value;
  if (Array.isArray(value)) {
    // map() would keep the holes of a sparse array; here they become undefined, which is refused.
    copy = Array.from(value, (item, index) => freezeCopy(item, [...path, String(index)], depth + 1, ancestors));
  } else {
    const object: { [key: string]: Value } = {};
    for (const [key, item] of Object.entries(value)) {
      checkKey(key, path);
      define(object, key, freezeCopy(item, [...path, key], depth + 1, ancestors));
    }
    copy = object;
  }
  ancestors.pop();
  return Object.freeze(copy);
}

/** Refuses what is no plain object or array, contains itself, or nests too deep. @param depth levels above `value` */
export function checkContainer(value: object, path: Path, depth: number, ancestors: readonly object[]): void {
  if (depth >= DEPTH_LIMIT) throw invalidValue(path.slice(0, 8), `nests deeper than ${DEPTH_LIMIT} levels`);
  if (ancestors.includes(value)) throw invalidValue(path, 'contains itself');
  if (Array.isArray(value)) return;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype && Object.getPrototypeOf(prototype) !== null) {
    throw invalidValue(path, `is ${describe(value)}; convert it to plain JSON first`);
  }
  if (Object.getOwnPropertySymbols(value).length > 0) throw invalidValue(path, 'has a symbol as a key');
}

export function checkKey(key: string, path: Path): void {
  if (!key.isWellFormed()) throw invalidValue(path, 'has a key with a lone surrogate');
  if (key.length > KEY_LIMIT) throw invalidValue(path, `has a key longer than ${KEY_LIMIT} characters`);
}

/** Sets an own property, also `__proto__`. */
export function define(object: { [key: string]: Value }, key: string, value: Value): void {
  if (key === '__proto__') Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  else object[key] = value;
}

function describe(value: unknown): string {
  if (typeof value === 'object' && value !== null) return `a ${value.constructor?.name ?? 'strange object'}`;
  return value === undefined ? 'undefined' : `a ${typeof value}`;
}
