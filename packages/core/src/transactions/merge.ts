import { lookup, TreeNode } from '../tree/node.ts';
import type { Path } from '../tree/path.ts';
import type { ComparedTarget } from './transaction-target.ts';
import { checkContainer, checkKey, isPlainObject, type PlainObject } from '../tree/value.ts';

/**
 * Merges a document into the subtree at a path (RFC 7396): a member that is null deletes, an object is merged, anything
 * else replaces. A document that is no object (an array, a text, null) replaces the whole subtree.
 *
 * Of the subtree only what stands under the document's keys is read: the cost depends on the document, and not on the
 * width of the subtree. Leaves that are there already are not written; nor are nulls where nothing is.
 * @throws EvertreeError VALUE_INVALID, PATH_INVALID
 */
export function mergeDocument(tx: ComparedTarget, path: Path, document: unknown): void {
  if (isPlainObject(document)) mergeObject(tx, path, document, tx.object(path), []);
  else tx.put(path, document);
}

/** @param present the object at the path, if there is one */
function mergeObject(tx: ComparedTarget, path: Path, document: PlainObject, present: TreeNode | undefined, ancestors: object[]): void {
  if (present === undefined) {
    tx.put(path, withoutNulls(document, path, ancestors));
    return;
  }
  checkContainer(document, path, path.length, ancestors);
  ancestors.push(document);
  let node: TreeNode | undefined = present;
  let changes = tx.changes();
  for (const key of Object.keys(document)) {
    checkKey(key, path);
    const member = document[key];
    // A write copies a pinned object; that of a getter of the document may even replace it.
    if (changes !== tx.changes()) {
      node = tx.object(path);
      changes = tx.changes();
    }
    const old = node === undefined ? undefined : lookup(node, key);
    if (isPlainObject(member)) {
      mergeObject(tx, [...path, key], member, old instanceof TreeNode ? old : undefined, ancestors);
    } else if (member === null) {
      if (old !== undefined) tx.delete([...path, key]);
    } else if (member !== old || member === undefined) {
      tx.put([...path, key], member);
    }
  }
  ancestors.pop();
}

/** What a document becomes where nothing can be deleted. Arrays are values: nulls inside them stay. */
function withoutNulls(document: PlainObject, path: Path, ancestors: object[]): PlainObject {
  checkContainer(document, path, path.length, ancestors);
  ancestors.push(document);
  // Without a prototype, so that "__proto__" is a member like any other.
  const copy = Object.create(null) as { [key: string]: unknown };
  for (const key of Object.keys(document)) {
    checkKey(key, path);
    const member = document[key];
    if (member !== null) copy[key] = isPlainObject(member) ? withoutNulls(member, [...path, key], ancestors) : member;
  }
  ancestors.pop();
  return copy;
}
