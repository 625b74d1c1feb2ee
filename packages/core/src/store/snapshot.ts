import { branchKeys } from '../tree/branch.ts';
import { exportSteps, exportValue, sameContent } from '../tree/content.ts';
import { checkDigests, type DigestCheck } from '../tree/digest-check.ts';
import { answerDigestQuery, type DigestAnswer, type DigestQuery } from '../tree/digest-query.ts';
import { EvertreeError } from '../errors.ts';
import type { Clock } from '../seams/host.ts';
import type { Journal, SnapshotHeader } from '../seams/journal.ts';
import { lookup, TreeNode, type Child } from '../tree/node.ts';
import { forEachDifferentChild } from '../tree/node-difference.ts';
import { parsePath, ROOT, type Path, type PathLike } from '../tree/path.ts';
import { prepareValue } from '../tree/prepared-value.ts';
import type { ExactPosition } from '../position.ts';
import { encodeTree, encodeTreeInSteps } from '../frames/snapshot-codec.ts';
import { digestOf, getFrom, Tree } from '../tree/tree.ts';
import { Turn } from '../turn.ts';
import type { Value } from '../tree/value.ts';

/** What is to stand at a path; without a value nothing. */
export interface TreeChange {
  readonly path: Path;
  readonly value?: Value;
}

/** Changes after which `changed` and `differentPaths` pause. */
const CHANGES_A_STEP = 256;

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
   * The tree in chunks of about SNAPSHOT_CHUNK_BYTES, each of which takes a millisecond or two to make, unless it has a
   * large array. FORMAT.md, «Chunks».
   */
  chunks(): Generator<Uint8Array> {
    return encodeTree(this.#pinned());
  }

  /** As `chunks`, with a pause (undefined) after each step (a tenth of a millisecond) in a large array. */
  chunksInSteps(): Generator<Uint8Array | undefined> {
    return encodeTreeInSteps(this.#pinned());
  }

  /**
   * Answers for the digests of this tree, to find where another one differs. The generator pauses after each step.
   * @throws EvertreeError NOT_FOUND when no object stands at the query's path
   */
  answerDigestQuery(query: DigestQuery): Generator<void, DigestAnswer, void> {
    return answerDigestQuery(this.#pinned(), query);
  }

  /** Computes every digest of this tree anew, and tells where it is not the one that is kept. It pauses as above. */
  checkDigests(): Generator<void, DigestCheck, void> {
    return checkDigests(this.#pinned());
  }

  /**
   * The paths at which a later snapshot of the same tree holds something else: of an object that both have only those
   * inside it. The generator pauses, with undefined, after each step.
   */
  differentPaths(later: Snapshot): Generator<Path | undefined> {
    return differentPaths(this.#pinned(), later.#pinned(), ROOT);
  }

  /**
   * The tree that these changes make of this one, under another header. The generator pauses after each step of some
   * 2 ms. This snapshot stays as it is.
   * @throws EvertreeError PATH_INVALID, VALUE_INVALID
   */
  *changed(changes: readonly TreeChange[], header: SnapshotHeader): Generator<void, Snapshot, void> {
    const tree = new Tree(this.#pinned());
    for (const [index, { path, value }] of changes.entries()) {
      if (value === undefined) tree.delete(path);
      else tree.put(path, (yield* prepareValue(value, path)).take(path));
      if (index % CHANGES_A_STEP === 0) {
        tree.undo.clear();
        yield;
      }
    }
    return new Snapshot(tree.pin(), header);
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

function* differentPaths(before: TreeNode, after: TreeNode, path: Path): Generator<Path | undefined> {
  if (before === after || (before.sumLo === after.sumLo && before.sumHi === after.sumHi && before.size === after.size)) return;
  const children: [string, Child | undefined, Child | undefined][] = [];
  forEachDifferentChild(before, after, (...child) => children.push(child));
  for (const [index, [key, old, present]] of children.entries()) {
    if (old instanceof TreeNode && present instanceof TreeNode) yield* differentPaths(old, present, [...path, key]);
    else if (!sameContent(old, present)) yield [...path, key];
    if (index % CHANGES_A_STEP === CHANGES_A_STEP - 1) yield undefined;
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
    const { shape, branch } = this.#node;
    if (branch !== undefined) yield* branchKeys(branch);
    else yield* shape!.keys;
  }

  /** As a plain value. */
  value(): Value {
    return exportValue(this.#node);
  }

  /** As `value`, in steps of a few dozen members. */
  valueInSteps(): Generator<undefined, Value> {
    return exportSteps(this.#node);
  }
}

/**
 * Writes a snapshot to a journal, whole or not at all, in slices between which commits go on. Then retention is
 * applied.
 */
export async function storeSnapshot(journal: Journal, snapshot: Snapshot, clock: Clock): Promise<void> {
  const writer = await journal.snapshots.create(snapshot.header);
  try {
    const turn = new Turn(clock);
    for (const chunk of snapshot.chunksInSteps()) {
      if (chunk !== undefined) await writer.write(chunk);
      if (turn.over) await turn.rest();
    }
    await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  await journal.retention.apply();
}
