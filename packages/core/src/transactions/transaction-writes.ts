import type { Child, TreeNode } from '../tree/node.ts';
import { netOperations, netSteps, type NetOperation, type TreeWrite } from './net-operations.ts';
import { ROOT, type Path } from '../tree/path.ts';
import { UNCHANGED, type Tree } from '../tree/tree.ts';

/** Tells whether a change at a path concerns a listener, which then needs the trees before and after it. */
export interface ConcernedListeners {
  concerns(path: Path): boolean;
}

/** What a transaction changed, and the tree before it if that was pinned. */
export interface Changes {
  readonly operations: readonly NetOperation[];
  readonly before: TreeNode | undefined;
}

export const NO_CHANGES: Changes = Object.freeze({ operations: [], before: undefined });

/** The pointers of so many writes may come again with the next transaction; those of more are read once. */
const FEW_WRITES = 256;

/**
 * What one transaction after the other writes to a tree, and how it is taken back.
 *
 * A single operation is made in place, and taken back in place on an error. With the second operation, or if a listener
 * needs the tree before, the tree is pinned: on an error it goes back to the pinned root, and the change set is what
 * differs in the end.
 */
export class TransactionWrites {
  readonly #tree: Tree;
  readonly #listeners: ConcernedListeners;
  /** Writes that changed the tree. */
  count = 0;
  /** Path and child of the only operation so far; undefined before it, and once the tree is pinned. */
  #path: Path | undefined;
  #child: Child | undefined;
  /** The pinned root that an error leads back to. */
  #before: TreeNode | undefined;
  /** What was written since the tree was pinned, in that order. */
  #written: TreeWrite[] = [];
  /**
   * The result of a transaction of one operation. It is reused: its reader is done before the next transaction begins.
   */
  readonly #one: { path: Path; child: Child | undefined } = { path: ROOT, child: undefined };
  readonly #oneChange: Changes = { operations: [this.#one], before: undefined };

  constructor(tree: Tree, listeners: ConcernedListeners) {
    this.#tree = tree;
    this.#listeners = listeners;
  }

  /** Another number after each write that changed the tree, or what of it may be read. */
  get version(): number {
    // A pin counts, too: it takes the first operation back in the node that was read, and makes it in a copy.
    return this.count + (this.#before === undefined ? 0 : 1);
  }

  get areMany(): boolean {
    return this.#written.length > FEW_WRITES;
  }

  /** Puts a child at a path, or deletes what is there. */
  change(path: Path, child: Child | undefined): void {
    if (this.#before === undefined && (this.#path !== undefined || this.#listeners.concerns(path))) this.#pinBeforeFirst();
    // A pinned tree goes back to its root: nothing needs to be taken back singly.
    if (this.#before !== undefined) this.#tree.undo.clear();
    const changedAt = this.#apply(path, child);
    if (changedAt === UNCHANGED) return;
    this.count++;
    if (this.#before !== undefined) {
      this.#written.push(writeOf(path, child, changedAt));
    } else {
      this.#path = path;
      this.#child = child;
    }
  }

  /** Pins the tree, to which nothing was written yet. */
  pin(): TreeNode {
    return (this.#before = this.#tree.pin());
  }

  /**
   * Makes the one operation that stands for others, as the first of a transaction.
   * @param operations what it changes
   */
  make({ path, child }: NetOperation, operations: readonly NetOperation[]): Changes {
    this.#path = path;
    this.#apply(path, child);
    return { operations, before: this.#before };
  }

  /** What was changed so far. */
  changes(): Changes {
    const before = this.#before;
    if (before !== undefined) return { operations: netOperations(this.#written, before, this.#tree.root), before };
    if (this.#path === undefined) return NO_CHANGES;
    this.#one.path = this.#path;
    this.#one.child = this.#child;
    return this.#oneChange;
  }

  /** The operations of `changes`, in steps. @param before what `pin` gave */
  operationSteps(before: TreeNode): Generator<void, readonly NetOperation[]> {
    return netSteps(this.#written, before, this.#tree.root);
  }

  /** Takes everything back that was written since `forget`. */
  takeBack(): void {
    if (this.#before !== undefined) this.#tree.restore(this.#before);
    else if (this.#path !== undefined) this.#tree.takeBackLast(this.#path);
  }

  /** The next transaction begins. */
  forget(): void {
    this.#path = undefined;
    this.#child = undefined;
    this.#one.child = undefined;
    this.count = 0;
    if (this.#before !== undefined) {
      this.#before = undefined;
      this.#written = [];
    }
  }

  #apply(path: Path, child: Child | undefined): number {
    return child === undefined ? this.#tree.delete(path) : this.#tree.put(path, child);
  }

  /** Pins the tree as it was before the only operation so far, which is taken back and made again. */
  #pinBeforeFirst(): void {
    const path = this.#path;
    if (path !== undefined) this.#tree.takeBackLast(path);
    this.#before = this.#tree.pin();
    if (path === undefined) return;
    const changedAt = this.#apply(path, this.#child);
    this.#written.push(writeOf(path, this.#child, changedAt));
    this.#path = undefined;
    this.#child = undefined;
  }
}

/** @param changedAt length of the path at which the tree changed: shorter than `path` if parents were made */
function writeOf(path: Path, child: Child | undefined, changedAt: number): TreeWrite {
  const exact = changedAt === path.length;
  return { path: exact ? path : path.slice(0, changedAt), child: exact ? child : undefined, exact };
}
