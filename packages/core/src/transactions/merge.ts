import { lookup, TreeNode } from '../tree/node.ts';
import type { Path } from '../tree/path.ts';
import { prepareValue, STEP_MEMBERS, type PreparationHints } from '../tree/prepared-value.ts';
import type { ComparedTarget } from './transaction-target.ts';
import { finishSteps } from '../turn.ts';
import { checkContainer, checkKey, isPlainObject, type PlainObject } from '../tree/value.ts';

/** An object of the document that is being merged into one of the tree. */
interface MergedObject {
  readonly path: Path;
  readonly document: PlainObject;
  readonly keys: readonly string[];
  /** Index of the next key. */
  next: number;
  /** The object of the tree, as it was when there were so many `changes`. */
  present: TreeNode | undefined;
  changes: number;
}

/** As mergeSteps, without a pause. */
export function mergeDocument(tx: ComparedTarget, path: Path, document: unknown): void {
  finishSteps(mergeSteps(tx, path, document));
}

/**
 * Merges a document into the subtree at a path (RFC 7396): a member that is null deletes, an object is merged, anything
 * else replaces. A document that is no object (an array, a text, null) replaces the whole subtree. Pauses after each
 * 2,048 members.
 *
 * Of the subtree only what stands under the document's keys is read: the cost depends on the document, and not on the
 * width of the subtree. Leaves that are there already are not written; nor are nulls where nothing is.
 * @throws EvertreeError VALUE_INVALID, PATH_INVALID
 */
export function* mergeSteps(tx: ComparedTarget, path: Path, document: unknown, hints: PreparationHints = {}): Generator<void> {
  if (!isPlainObject(document)) {
    tx.put(path, yield* prepareValue(document, path, hints));
    return;
  }
  const present = tx.object(path);
  if (present === undefined) {
    tx.put(path, yield* prepareValue(document, path, { ...hints, withoutNulls: true }));
    return;
  }
  const levels: MergedObject[] = [];
  const ancestors: object[] = [];
  const enter = (at: Path, object: PlainObject, node: TreeNode): void => {
    const known = hints.keysOf?.(object);
    if (known === undefined) checkContainer(object, at, at.length, ancestors);
    ancestors.push(object);
    levels.push({ path: at, document: object, keys: known ?? Object.keys(object), next: 0, present: node, changes: tx.changes() });
  };
  enter(path, document, present);
  for (let members = 1, level = levels[0]; level !== undefined; level = levels.at(-1), members++) {
    if (members % STEP_MEMBERS === 0) yield;
    if (level.next === level.keys.length) {
      levels.pop();
      ancestors.pop();
      continue;
    }
    const key = level.keys[level.next++]!;
    checkKey(key, level.path);
    const member = level.document[key];
    // A write copies a pinned object; that of a getter of the document may even replace it.
    if (level.changes !== tx.changes()) {
      level.present = tx.object(level.path);
      level.changes = tx.changes();
    }
    const old = level.present === undefined ? undefined : lookup(level.present, key);
    if (member === null) {
      if (old !== undefined) tx.delete([...level.path, key]);
    } else if (isPlainObject(member) && old instanceof TreeNode) {
      enter([...level.path, key], member, old);
    } else if (typeof member === 'object') {
      const at = [...level.path, key];
      tx.put(at, yield* prepareValue(member, at, { ...hints, withoutNulls: true }));
    } else if (member !== old || member === undefined) {
      tx.put([...level.path, key], member);
    }
  }
}
