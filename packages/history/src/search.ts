import { EvertreeError, type Path, sameValue, type Value } from '@evertree/core';
import type { Change, ChangeOperation, ComparisonOperator, FoundMoment, SearchOptions, ValueCondition } from './answers.ts';
import { childOf, keysOf } from './differences.ts';
import type { HistoryView } from './history-view.ts';
import { insideOf, isObject, lowerOf } from './paths.ts';
import { STEP_ITEMS } from './step.ts';

const OPERATORS: readonly ComparisonOperator[] = ['=', '!=', '<', '<=', '>', '>='];

/**
 * Checks what is looked for.
 * @throws EvertreeError VALUE_INVALID
 */
export function checkSearch({ deleted = false, where, changedBy }: SearchOptions): void {
  if (!deleted && where === undefined && changedBy === undefined) {
    throw new EvertreeError('VALUE_INVALID', 'say what to look for: deleted, where or changedBy');
  }
  if (where === undefined) return;
  if (deleted) throw new EvertreeError('VALUE_INVALID', 'what is deleted fulfils no condition: look for deleted or for where');
  if (!OPERATORS.includes(where.operator)) {
    throw new EvertreeError(
      'VALUE_INVALID',
      `${JSON.stringify(where.operator)} compares nothing; the operators are ${OPERATORS.join(' ')}`,
    );
  }
  if (isObject(where.value)) {
    throw new EvertreeError('VALUE_INVALID', 'only leaves and arrays are compared: look for a value inside the object');
  }
}

/**
 * What of a change was looked for: one finding for each path that was deleted or fulfils the condition since; one for
 * each operation, if only its author was looked for. The generator pauses, with undefined, after some 64 operations or
 * members of an object.
 */
export function* findingsIn(view: HistoryView, change: Change, asked: Path, options: SearchOptions): Generator<FoundMoment | undefined> {
  const { deleted = false, where } = options;
  const before = view.exact(change.position.revision - 1);
  for (const [index, operation] of change.operations.entries()) {
    if (index % STEP_ITEMS === STEP_ITEMS - 1) yield undefined;
    const path = lowerOf(operation.path, asked);
    for (const found of pathsFound(operation, path, deleted, where))
      yield found === undefined ? undefined : { change, path: found, before };
  }
}

function pathsFound(
  operation: ChangeOperation,
  path: Path,
  deleted: boolean,
  where: ValueCondition | undefined,
): Iterable<Path | undefined> {
  if (deleted) return goneFrom(operation.before, operation.after, path);
  if (where !== undefined) return fulfilled(operation.before, operation.after, path, where);
  return [path];
}

/** The topmost paths at which something was before and nothing is since. */
function* goneFrom(before: Value | undefined, after: Value | undefined, path: Path): Generator<Path | undefined> {
  if (before === undefined) return;
  if (after === undefined) {
    yield path;
    return;
  }
  if (!isObject(before)) return;
  let left = STEP_ITEMS;
  for (const key of keysOf(before)) {
    yield* goneFrom(childOf(before, key) as Value, insideOf(after, [key]), [...path, key]);
    if (--left > 0) continue;
    left = STEP_ITEMS;
    yield undefined;
  }
  yield undefined;
}

/** The paths of leaves and arrays that fulfil a condition since and did not before. */
function* fulfilled(
  before: Value | undefined,
  after: Value | undefined,
  path: Path,
  condition: ValueCondition,
): Generator<Path | undefined> {
  if (after === undefined) return;
  if (!isObject(after)) {
    if (fulfils(after, condition) && !(before !== undefined && !isObject(before) && fulfils(before, condition))) yield path;
    return;
  }
  let left = STEP_ITEMS;
  for (const key of keysOf(after)) {
    const earlier = isObject(before) ? (childOf(before, key) as Value | undefined) : undefined;
    yield* fulfilled(earlier, childOf(after, key) as Value, [...path, key], condition);
    if (--left > 0) continue;
    left = STEP_ITEMS;
    yield undefined;
  }
  yield undefined;
}

function fulfils(found: Value, { operator, value }: ValueCondition): boolean {
  if (operator === '=') return sameValue(found, value);
  if (operator === '!=') return !sameValue(found, value);
  if (typeof found === 'number' && typeof value === 'number') return isOrdered(found, operator, value);
  return typeof found === 'string' && typeof value === 'string' && isOrdered(found, operator, value);
}

/** Texts are ordered by their UTF-16 units. */
function isOrdered<T extends number | string>(found: T, operator: '<' | '<=' | '>' | '>=', value: T): boolean {
  switch (operator) {
    case '<':
      return found < value;
    case '<=':
      return found <= value;
    case '>':
      return found > value;
    case '>=':
      return found >= value;
  }
}
