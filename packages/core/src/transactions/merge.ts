import type { Path } from '../tree/path.ts';
import type { TransactionTarget } from './transaction-target.ts';
import { checkContainer, checkKey } from '../tree/value.ts';

interface Document {
  readonly [key: string]: unknown;
}

/**
 * Merges a document into what stands at a path, as RFC 7396 says: a member that is null deletes, an object merges, anything else
 * replaces. A document that is no object itself (an array, a text, null) replaces the whole subtree.
 *
 * What stands there is never read, only asked for its kind: the cost is the document's, however wide the subtree is.
 * @throws EvertreeError VALUE_INVALID, PATH_INVALID
 */
export function mergeDocument(tx: TransactionTarget, path: Path, document: unknown): void {
  mergeAt(tx, path, document, []);
}

function mergeAt(tx: TransactionTarget, path: Path, document: unknown, ancestors: object[]): void {
  if (!isObject(document)) {
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

/** What a document becomes where there is nothing to delete from. Arrays are values: nulls inside them stay. */
function withoutNulls(document: Document, path: Path, ancestors: object[]): Document {
  checkContainer(document, path, path.length, ancestors);
  ancestors.push(document);
  // No prototype: a member named "__proto__" is one like the others.
  const copy = Object.create(null) as { [key: string]: unknown };
  for (const key of Object.keys(document)) {
    checkKey(key, path);
    const member = document[key];
    if (member !== null) copy[key] = isObject(member) ? withoutNulls(member, [...path, key], ancestors) : member;
  }
  ancestors.pop();
  return copy;
}

function isObject(value: unknown): value is Document {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
