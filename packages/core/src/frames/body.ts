import type { Child, TreeNode } from '../tree/node.ts';
import type { Handover } from '../position.ts';
import type { Path } from '../tree/path.ts';

/** What the first frame of an epoch tells of it, in addition to its header. */
export interface EpochNote {
  readonly site: string;
  readonly reason: string;
}

/** What a mark frame tells of its mark; author and message are those of its change set. */
export interface MarkNote {
  readonly name: string;
  /** How many revisions before the frame's own the named state is. */
  readonly back: number;
  /** The mark is taken back. */
  readonly removed: boolean;
}

/** What a frame tells beside its change sets: only one that begins or ends its epoch does, or one that sets a mark. */
export interface FrameNote {
  readonly epoch?: EpochNote;
  readonly handover?: Handover;
  readonly mark?: MarkNote;
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
  /** Bytes so far, approximately. */
  readonly length: number;
  /** Keys that were spelled so far; 0 in a body without a dictionary. */
  readonly keys: number;
  /** In an epoch's first frame, before anything else. */
  epoch(note: EpochNote): void;
  /** In a handover frame, before anything else. */
  handover(handover: Handover): void;
  /** In a mark frame, before anything else. */
  mark(note: MarkNote): void;
  changeSet(time: number, author: string | undefined, message: string | undefined, operations: number): void;
  /**
   * The next of the operations that `changeSet` announced.
   * @param trail the nodes along the path, from the root; none is read for the root's own path
   * @param child what is put, or undefined for a delete
   * @param keyLo low lane of the hash of the path's last key, if the caller has it
   */
  operation(trail: readonly TreeNode[], path: Path, child: Child | undefined, keyLo?: number): void;
  /** The body; it is valid until the next call, with which another body begins. */
  take(): Uint8Array;
}

/**
 * Receives the content of a body, in order. Keys come with their hashes; a node is named by its number: 1 for the root.
 */
export interface BodySink {
  epoch(note: EpochNote): void;
  handover(handover: Handover): void;
  mark(mark: MarkNote): void;
  changeSet(head: ChangeSetHead): void;
  /**
   * The tree's own string for a child's key that bytes spell from `start` to `end`, with its hash in `lanes`. Undefined
   * if the tree has it not or can't find it cheaply: then the reader makes the string.
   */
  spelledKey(node: number, bytes: Uint8Array, start: number, end: number): string | undefined;
  /** Gives the next number to the object under a key; the object is made if it is missing. */
  define(parent: number, key: string, keyLo: number, keyHi: number): void;
  put(node: number, key: string, keyLo: number, keyHi: number, child: Child): void;
  delete(node: number, key: string, keyLo: number, keyHi: number): void;
  putRoot(child: Child): void;
  /** So many change sets come next, from `at` on; they are not checked yet. */
  ahead?(body: Uint8Array, at: number, changeSets: number): void;
}
