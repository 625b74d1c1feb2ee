import type { Child, TreeNode } from '../tree/node.ts';
import type { Path } from '../tree/path.ts';

/** What the first frame of an epoch says of it, beside its header. */
export interface EpochNote {
  readonly site: string;
  readonly reason: string;
}

export interface ChangeSetHead {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly author: string | undefined;
  readonly message: string | undefined;
  readonly operations: number;
}

/** Encodes the change sets of one frame, one after the other. */
export interface BodyWriter {
  readonly codec: 'binary' | 'json';
  /** Bytes so far, or nearly so. */
  readonly length: number;
  /** Only first, in an epoch's first frame. */
  epoch(note: EpochNote): void;
  changeSet(time: number, author: string | undefined, message: string | undefined, operations: number): void;
  /**
   * One of the operations announced.
   * @param trail the nodes along the path, from the root; none is read for the root's own path
   * @param child what is put, or undefined for a delete
   */
  operation(trail: readonly TreeNode[], path: Path, child: Child | undefined): void;
  /** The body, valid until the next call; the writer begins anew. */
  take(): Uint8Array;
}

/** Takes what a body holds, in order. Keys come with their hashes; nodes go by the ids of their definitions, 1 for the root. */
export interface BodySink {
  epoch(note: EpochNote): void;
  changeSet(head: ChangeSetHead): void;
  /**
   * The key of a child of a node that bytes spell, from `start` to `end`, with its hash in `lanes`: where it stands in the tree, finding it
   * there costs less than elsewhere. Undefined where it is not found.
   */
  spelledKey(node: number, bytes: Uint8Array, start: number, end: number): string | undefined;
  /** Defines the next id as the object under a key; it is made where it is missing. */
  define(parent: number, key: string, keyLo: number, keyHi: number): void;
  put(node: number, key: string, keyLo: number, keyHi: number, child: Child): void;
  delete(node: number, key: string, keyLo: number, keyHi: number): void;
  putRoot(child: Child): void;
}
