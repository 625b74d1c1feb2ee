import { type Value, formatPath, sameValue } from '@evertree/core';

/** An operation of a JSON patch (RFC 6902), of the three that a difference needs. */
export type DifferenceOperation =
  | { readonly op: 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

export interface DocumentDifference {
  readonly operations: readonly DifferenceOperation[];
  readonly added: number;
  readonly replaced: number;
  readonly removed: number;
}

/** What makes `before` into `after`. Objects are entered; arrays and leaves are values, replaced whole. */
export function differenceOf(before: unknown, after: unknown): DocumentDifference {
  const operations: DifferenceOperation[] = [];
  collect(before, after, [], operations);
  const count = (op: string) => operations.filter(operation => operation.op === op).length;
  return { operations, added: count('add'), replaced: count('replace'), removed: count('remove') };
}

function collect(before: unknown, after: unknown, path: string[], operations: DifferenceOperation[]): void {
  if (!isObject(before) || !isObject(after)) {
    if (!sameValue(before as Value, after as Value)) operations.push({ op: 'replace', path: formatPath(path), value: after });
    return;
  }
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(after, key)) operations.push({ op: 'remove', path: formatPath([...path, key]) });
  }
  for (const [key, value] of Object.entries(after)) {
    path.push(key);
    if (Object.hasOwn(before, key)) collect(before[key], value, path, operations);
    else operations.push({ op: 'add', path: formatPath(path), value });
    path.pop();
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
