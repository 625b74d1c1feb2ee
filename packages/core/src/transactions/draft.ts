import { enablePatches, Immer } from 'immer';
import { EvertreeError } from '../errors.ts';
import { formatPath, type Path } from '../tree/path.ts';
import type { TransactionTarget } from './transaction-target.ts';
import { isPlainObject } from '../tree/value.ts';

enablePatches();

// Values that a recipe puts into its draft belong to the caller: they are copied into the tree and not frozen.
const immer = new Immer({ autoFreeze: false });

/**
 * Lets a recipe change a draft of the subtree at a path, and resolves what it changed into puts and deletes. An array
 * that changed is put whole. The whole subtree is read and each object that changes is copied, so the cost grows with
 * its size: draft small subtrees.
 *
 * A recipe may return a value instead, which replaces the subtree. Where nothing or a leaf is at the path, that is the
 * only way.
 * @throws EvertreeError TRANSACTION_INVALID (an async recipe; one that changes its draft and returns something else),
 *   VALUE_INVALID, PATH_INVALID (its draft is a leaf), NOT_FOUND (its draft is nothing), and whatever the recipe throws
 */
export function updateDraft(tx: TransactionTarget, path: Path, recipe: (draft: unknown) => unknown): void {
  const base = tx.get(path);
  if (typeof base !== 'object' || base === null) {
    const value = runWithoutDraft(recipe, base, path);
    if (value !== undefined) tx.put(path, value);
    return;
  }
  const { next, changed } = produce(base, recipe, path);
  writeChanges(tx, path, next, changed);
}

type PatchPath = readonly (string | number)[];

function produce(base: object, recipe: (draft: unknown) => unknown, path: Path): { next: unknown; changed: readonly PatchPath[] } {
  let ran = false;
  try {
    const [next, patches] = immer.produceWithPatches<unknown, unknown>(base, draft => {
      const value = runRecipe(recipe, draft, path);
      ran = true;
      return value;
    });
    return { next, changed: patches.map(patch => patch.path) };
  } catch (error) {
    if (!ran) throw error;
    const pointer = formatPath(path);
    const remedy = 'change the draft or return a value, not both (braces round the body keep an assignment from being returned)';
    const message = `update at ${JSON.stringify(pointer)} can't take what its recipe left; ${remedy}`;
    throw new EvertreeError('TRANSACTION_INVALID', message, { path: pointer }, error);
  }
}

/**
 * Only the paths of immer's patches are used. The values are read from the result, so that the patches' order does not
 * matter.
 */
function writeChanges(tx: TransactionTarget, base: Path, next: unknown, changed: readonly PatchPath[]): void {
  const written = new Set<string>();
  for (const patchPath of changed) {
    const { path, value, present } = settle(next, patchPath);
    const pointer = formatPath(path);
    if (written.has(pointer)) continue;
    written.add(pointer);
    if (present) tx.put([...base, ...path], value);
    else tx.delete([...base, ...path]);
  }
}

/** Follows a path through objects. If an array or a leaf is on the way, that is what changed. */
function settle(root: unknown, path: PatchPath): { path: string[]; value: unknown; present: boolean } {
  let value: unknown = root;
  const followed: string[] = [];
  for (const segment of path) {
    if (!isPlainObject(value)) break;
    const key = String(segment);
    followed.push(key);
    if (!Object.hasOwn(value, key)) return { path: followed, value: undefined, present: false };
    value = value[key];
  }
  return { path: followed, value, present: true };
}

/**
 * Runs a recipe where there is no object to change. It may return a value; if it tries to change its draft, the error
 * says what to do.
 */
function runWithoutDraft(recipe: (draft: unknown) => unknown, present: unknown, path: Path): unknown {
  try {
    return runRecipe(recipe, present, path);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const pointer = formatPath(path);
    const remedy = 'there is no draft to change; put an object there first, or return the new value from the recipe';
    if (present === undefined) {
      throw new EvertreeError('NOT_FOUND', `nothing stands at ${JSON.stringify(pointer)}: ${remedy}`, { path: pointer }, error);
    }
    throw new EvertreeError(
      'PATH_INVALID',
      `a value stands at ${JSON.stringify(pointer)}, not an object: ${remedy}`,
      { path: pointer },
      error,
    );
  }
}

function runRecipe(recipe: (draft: unknown) => unknown, draft: unknown, path: Path): unknown {
  const value = recipe(draft);
  if (!isThenable(value)) return value;
  // Its draft is revoked by now, so that it will fail when it goes on. The error below tells why: ignore that one.
  value.then(undefined, () => undefined);
  throw new EvertreeError(
    'TRANSACTION_INVALID',
    `the recipe of update at ${JSON.stringify(formatPath(path))} is async; await first, then update`,
    { path: formatPath(path) },
  );
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
