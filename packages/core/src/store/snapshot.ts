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

/** The whole tree at one position, pinned: later commits copy what they change of it. */
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

  /** The value at a path, or undefined. Builds objects whole; `at` goes through them piece by piece. */
  get<T = Value>(path: PathLike): T | undefined {
    const child = getFrom(this.#pinned(), parsePath(path));
    return (child instanceof TreeNode ? exportValue(child) : child) as T | undefined;
  }

  has(path: PathLike): boolean {
    return getFrom(this.#pinned(), parsePath(path)) !== undefined;
  }

  /** What stands at a path: an object as a SnapshotNode, anything else as its value; undefined where nothing stands. */
  at(path: PathLike): SnapshotNode | Value | undefined {
    const child = getFrom(this.#pinned(), parsePath(path));
    return child instanceof TreeNode ? new SnapshotNode(child) : child;
  }

  /** Digest of what stands at a path, 16 hex digits; undefined where nothing stands. */
  digestAt(path: PathLike): string | undefined {
    const child = getFrom(this.#pinned(), parsePath(path));
    return child === undefined ? undefined : digestOf(child);
  }

  /** The tree in chunks of about SNAPSHOT_CHUNK_BYTES, each of which takes a millisecond or two to make. FORMAT.md, «Chunks». */
  chunks(): Generator<Uint8Array> {
    return encodeTree(this.#pinned());
  }

  /** Lets go of what only this snapshot still holds. Using it afterwards throws CLOSED. */
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

/** An object of a snapshot, to be gone through piece by piece. It stays readable after the snapshot was released. */
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

  /** In no order, and never all at once in memory. */
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

/** Writes a pinned snapshot to a journal in slices, so that it holds no commit; whole or not at all. Then retention goes by it. */
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
