import { netOperations } from '../src/transactions/net-operations.ts';
import { TreeNode } from '../src/tree/node.ts';
import type { Path } from '../src/tree/path.ts';
import type { ComparedTarget, TransactionTarget } from '../src/transactions/transaction-target.ts';
import { Transaction } from '../src/transactions/transaction.ts';
import { Tree } from '../src/tree/tree.ts';
import type { Value } from '../src/tree/value.ts';
import { exportValue } from '../src/tree/content.ts';
import { Guards } from '../src/transactions/guards.ts';

/** What a document was resolved into, and what it made of the tree. */
export interface Outcome {
  readonly value: Value;
  /** Each put and delete that was asked for, in order: `put /a/b`. */
  readonly calls: readonly string[];
  /** The net change, as `put /a/b` and `delete /c`. */
  readonly operations: readonly string[];
  /** Largest subtree that was read, in keys and items. */
  readonly largestRead: number;
}

/** Runs `resolve` as one transaction on a tree with this content. */
export function onTree(content: object, resolve: (tx: ComparedTarget) => void): Outcome {
  const tree = new Tree();
  const transaction = new Transaction(tree, { concerns: () => false }, 1e9);
  const guards = new Guards();
  transaction.run(tx => tx.put([], content), guards);
  transaction.release();
  const before = tree.pin();
  const spy = new Spy(transaction, tree);
  transaction.run(() => resolve(spy), guards);
  const operations = netOperations(
    spy.written.map(path => ({ path, child: undefined, exact: false })),
    before,
    tree.root,
  ).map(({ path, child }) => `${child === undefined ? 'delete' : 'put'} ${path.join('/')}`);
  return { value: exportValue(tree.root), calls: spy.calls, operations, largestRead: spy.largestRead };
}

class Spy implements ComparedTarget {
  readonly calls: string[] = [];
  readonly written: Path[] = [];
  largestRead = 0;
  readonly #tx: TransactionTarget;
  readonly #tree: Tree;

  constructor(tx: TransactionTarget, tree: Tree) {
    this.#tx = tx;
    this.#tree = tree;
  }

  get(path: Path): Value | undefined {
    const value = this.#tx.get(path);
    this.largestRead = Math.max(this.largestRead, typeof value === 'object' && value !== null ? Object.keys(value).length : 1);
    return value;
  }

  has(path: Path): boolean {
    return this.#tx.has(path);
  }

  put(path: Path, value: unknown): void {
    this.#tx.put(path, value);
    this.calls.push(`put ${path.join('/')}`);
    this.written.push(path);
  }

  delete(path: Path): void {
    this.#tx.delete(path);
    this.calls.push(`delete ${path.join('/')}`);
    this.written.push(path);
  }

  kind(path: Path): 'object' | 'array' | 'leaf' | undefined {
    return this.#tx.kind(path);
  }

  keys(path: Path): string[] | undefined {
    return this.#tx.keys(path);
  }

  object(path: Path): TreeNode | undefined {
    const child = this.#tree.get(path);
    return child instanceof TreeNode ? child : undefined;
  }

  changes(): number {
    return this.calls.length;
  }
}
