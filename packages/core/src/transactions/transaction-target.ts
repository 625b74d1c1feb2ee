import { exportValue } from '../tree/content.ts';
import { childKeys, TreeNode, type Child } from '../tree/node.ts';
import type { Path } from '../tree/path.ts';
import type { Value } from '../tree/value.ts';

/** What merge patches, JSON patches, drafts and imports are written to. Reads see the writes before them. */
export interface TransactionTarget {
  get(path: Path): Value | undefined;
  has(path: Path): boolean;
  put(path: Path, value: unknown): void;
  delete(path: Path): void;
  /** The kind of the value at a path, without reading it. */
  kind(path: Path): 'object' | 'array' | 'leaf' | undefined;
  /** The keys of the object at a path, in no order; undefined if there is no object. */
  keys(path: Path): string[] | undefined;
}

/** What documents are compared with as they are written: objects of the tree itself, which spare a path for each child. */
export interface ComparedTarget extends TransactionTarget {
  /** The object at a path, for reading until `changes` has changed; undefined if there is no object. */
  object(path: Path): TreeNode | undefined;
  /** Another number after each write that changed the tree, or what of it may be read. */
  changes(): number;
}

export function valueOf(child: Child | Value | undefined): Value | undefined {
  return child instanceof TreeNode ? exportValue(child) : child;
}

export function kindOf(child: Child | Value | undefined): 'object' | 'array' | 'leaf' | undefined {
  if (child === undefined) return undefined;
  if (child instanceof TreeNode) return 'object';
  if (Array.isArray(child)) return 'array';
  return typeof child === 'object' && child !== null ? 'object' : 'leaf';
}

export function objectOf(child: Child | Value | undefined): TreeNode | undefined {
  return child instanceof TreeNode ? child : undefined;
}

export function keysOf(child: Child | Value | undefined): string[] | undefined {
  return child instanceof TreeNode ? childKeys(child) : undefined;
}
