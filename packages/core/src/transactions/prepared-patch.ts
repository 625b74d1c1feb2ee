import { isEvertreeError } from '../errors.ts';
import { parsePath, type Path } from '../tree/path.ts';
import { prepareValue, type PreparationHints } from '../tree/prepared-value.ts';
import { isPlainObject } from '../tree/value.ts';

/**
 * Prepares in steps the objects and arrays that a JSON Patch adds or replaces. Operations that are no such ones, or are
 * wrong, stay as they are: the transaction judges them in their turn.
 * @param path of the subtree to which the patch will be applied
 * @returns the operations, for one call of Transaction.patch
 */
export function* preparePatch(operations: readonly unknown[], path: Path, hints: PreparationHints = {}): Generator<void, unknown[], void> {
  const prepared: unknown[] = [];
  for (const operation of operations) {
    const target = targetOf(operation, path);
    if (target === undefined) prepared.push(operation);
    else prepared.push({ ...(operation as object), value: yield* prepareValue((operation as { value: unknown }).value, target, hints) });
    yield;
  }
  return prepared;
}

/** Where an operation puts an object or an array; undefined if it puts neither. */
function targetOf(operation: unknown, base: Path): Path | undefined {
  if (!isPlainObject(operation)) return undefined;
  const { op, path, value } = operation;
  if ((op !== 'add' && op !== 'replace') || typeof path !== 'string' || typeof value !== 'object' || value === null) return undefined;
  try {
    return [...base, ...parsePath(path)];
  } catch (error) {
    if (!isEvertreeError(error, 'PATH_INVALID')) throw error;
    return undefined;
  }
}
