import type { Path } from '../tree/path.ts';
import type { TransactionTarget } from './transaction-target.ts';
import { checkContainer, checkKey, isPlainObject, type PlainObject } from '../tree/value.ts';

/**
 * Merges a document into the subtree at a path (RFC 7396): a member that is null deletes, an object is merged, anything
 * else replaces. A document that is no object (an array, a text, null) replaces the whole subtree.
 *
 * The subtree is not read, only the kind of its values: the cost depends on the document, and not on the width of the
 * subtree.
 * @throws EvertreeError VALUE_INVALID, PATH_INVALID
 */
export function mergeDocument(tx: TransactionTarget, path: Path, document: unknown): void {
  mergeAt(tx, path, document, []);
}

function mergeAt(tx: TransactionTarget, path: Path, document: unknown, ancestors: object[]): void {
  if (!isPlainObject(document)) {
    tx.put(path, document);
    return;
  }
  if (tx.kind(path) !== 'object') {
    tx.put(path, withoutNulls(document, path, ancestors));
    return;
  }
  checkContainer(document, path, path.length, ancestors);
  ancestors.push(document);
  for (const key of Object.keys(document)) {
    checkKey(key, path);
    const member = document[key];
    if (member === null) tx.delete([...path, key]);
    else mergeAt(tx, [...path, key], member, ancestors);
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
