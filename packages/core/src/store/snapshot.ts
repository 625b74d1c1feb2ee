import { branchKeys } from '../tree/branch.ts';
import { exportValue } from '../tree/content.ts';
import { EvertreeError } from '../errors.ts';
import type { Journal, SnapshotHeader } from '../seams/journal.ts';
import { lookup, TreeNode } from '../tree/node.ts';
import { parsePath, type PathLike } from '../tree/path.ts';
import type { ExactPosition } from '../position.ts';
import { encodeTree } from '../frames/snapshot-codec.ts';
import { digestOf, getFrom } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

/** The whole tree at one position, pinned: as long as it is held, later commits copy what they change. */
export class Snapshot implements Disposable {
  readonly header: SnapshotHeader;
  #root: TreeNode | undefined;

  constructor(root: TreeNode, header: SnapshotHeader) {
    this.#root = root;
    this.header = header;
  }

  get position(): ExactPosition {
    return this.header.position;
  }

  /** The value at a path, or undefined. Objects are built whole; `at` leads through them piece by piece. */
  get<T = Value>(path: PathLike): T | undefined {
    const child = getFrom(this.#pinned(), parsePath(path));
    return (child instanceof TreeNode ? exportValue(child) : child) as T | undefined;
  }

  has(path: PathLike): boolean {
    return getFrom(this.#pinned(), parsePath(path)) !== undefined;
  }

  /** The content at a path: an object as a SnapshotNode, anything else as its value; undefined if there is nothing. */
  at(path: PathLike): SnapshotNode | Value | undefined {
    const child = getFrom(this.#pinned(), parsePath(path));
    return child instanceof TreeNode ? new SnapshotNode(child) : child;
  }

  /** Digest of the value at a path, 16 hex digits; undefined if there is none. */
  digestAt(path: PathLike): string | undefined {
    const child = getFrom(this.#pinned(), parsePath(path));
    return child === undefined ? undefined : digestOf(child);
  }

  /**
   * The tree in chunks of about SNAPSHOT_CHUNK_BYTES, each of which takes a millisecond or two to make. FORMAT.md,
   * «Chunks».
   */
  chunks(): Generator<Uint8Array> {
    return encodeTree(this.#pinned());
  }

  /** Lets the memory go that only this snapshot still needs. Using it afterwards throws CLOSED. */
  release(): void {
    this.#root = undefined;
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #pinned(): TreeNode {
    if (this.#root === undefined) throw new EvertreeError('CLOSED', 'this snapshot was released');
    return this.#root;
  }
}

/** An object of a snapshot, read piece by piece. It stays readable after the snapshot was released. */
export class SnapshotNode {
  readonly #node: TreeNode;

  constructor(node: TreeNode) {
    this.#node = node;
  }

  get size(): number {
    return this.#node.size;
  }

  /** 16 hex digits. */
  get digest(): string {
    return digestOf(this.#node);
  }

  child(key: string): SnapshotNode | Value | undefined {
    const child = lookup(this.#node, key);
    return child instanceof TreeNode ? new SnapshotNode(child) : child;
  }

  /** In no order. They are not collected in memory. */
  *keys(): Generator<string> {
    const { fields, branch } = this.#node;
    if (branch !== undefined) yield* branchKeys(branch);
    else for (const key in fields) yield key;
  }

  /** As a plain value. */
  value(): Value {
    return exportValue(this.#node);
  }
}

/**
 * Writes a snapshot to a journal, whole or not at all, in slices between which commits go on. Then retention is
 * applied.
 */
export async function storeSnapshot(journal: Journal, snapshot: Snapshot): Promise<void> {
  const writer = await journal.snapshots.create(snapshot.header);
  try {
    for (const chunk of snapshot.chunks()) await writer.write(chunk);
    await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  await journal.retention.apply();
}
