import { ApplySink } from '../frames/apply-sink.ts';
import { NO_NOTE } from '../frames/binary-reader.ts';
import { readInSteps } from '../frames/binary-steps.ts';
import type { FrameNote } from '../frames/body.ts';
import type { Operation } from '../frames/change-set.ts';
import { decodeFrame } from '../frames/collect-sink.ts';
import { frameBody, frameHash, NO_CHAIN, type Frame } from '../frames/frame.ts';
import { PartialTree } from '../frames/partial-tree.ts';
import type { PathSet } from '../frames/path-set.ts';
import { exportSteps, exportValue, importValue } from '../tree/content.ts';
import { EvertreeError } from '../errors.ts';
import { EMPTY_HEAD, headAfter, headAt, type HistoryHead } from './history-head.ts';
import { TreeNode } from '../tree/node.ts';
import type { Path } from '../tree/path.ts';
import { prepareValue } from '../tree/prepared-value.ts';
import { formatPosition, type ExactPosition } from '../position.ts';
import type { SnapshotHeader } from '../seams/journal.ts';
import { Snapshot, SnapshotNode } from './snapshot.ts';
import { digestOf, Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

/**
 * A tree as it was, or those parts of it that are in a set of paths: built anew from a snapshot's chunks and from the
 * frames after it, in steps of a millisecond or two. It can end in the middle of a frame. Above the paths of the set the
 * objects are there that were there; what is read of other parts means nothing.
 */
export class PastTree {
  readonly #tree = new Tree();
  /** Undefined for a whole tree. */
  readonly #part: PartialTree | undefined;
  #head: HistoryHead = EMPTY_HEAD;
  /** Revisions after the head's last frame that are in the tree, from a frame that was not added whole. */
  #ahead = 0;

  /** @param set undefined for the whole tree */
  constructor(set?: PathSet) {
    this.#part = set === undefined ? undefined : new PartialTree(set, this.#tree);
  }

  get position(): ExactPosition {
    const { last } = this.#head;
    return this.#ahead === 0 ? last : { ...last, revision: last.revision + this.#ahead };
  }

  /** Begins with a snapshot, of which all chunks have to be added then. */
  begin(header: SnapshotHeader): void {
    this.#head = headAt(header);
  }

  /**
   * Adds a chunk of the snapshot, in steps.
   * @throws EvertreeError FORMAT_INVALID, PATH_INVALID
   */
  *addChunk(chunk: Uint8Array): Generator<void> {
    if (this.#part !== undefined) return yield* this.#part.chunkSteps(chunk);
    const body = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const head = { count: body.readUInt32LE(0), firstTime: 0, ...NO_NOTE };
    yield* this.#read(body.subarray(4), head, head.count);
  }

  /**
   * Adds a frame that follows, up to a revision in it. With less than the whole frame no other frame can follow.
   * @throws EvertreeError FORMAT_INVALID, PATH_INVALID, VALUE_INVALID
   */
  *addFrame(frame: Frame, upTo = Infinity): Generator<void> {
    const { base, count } = frame.header;
    const changeSets = Math.min(count, upTo - base.revision);
    yield* this.makeChanges(frame, upTo);
    if (changeSets === count) this.#head = headAfter(this.#head, frame, noteOf(frame));
    else this.#ahead = changeSets;
  }

  /**
   * Makes what a frame changes, up to a revision in it. The position stays: for a tree that no snapshot began.
   * @throws EvertreeError FORMAT_INVALID, PATH_INVALID, VALUE_INVALID
   */
  *makeChanges(frame: Frame, upTo: number): Generator<void> {
    const { base, count } = frame.header;
    const changeSets = Math.min(count, upTo - base.revision);
    if (this.#part === undefined) yield* this.#apply(frame, changeSets);
    else yield* this.#part.frameSteps(frame, changeSets);
  }

  /**
   * Makes an operation of the history. The position stays.
   * @throws EvertreeError PATH_INVALID, VALUE_INVALID
   */
  apply(operation: Operation): void {
    const { path } = operation;
    if (this.#part !== undefined) this.#part.apply(operation);
    else if (operation.type === 'delete') this.#tree.delete(path);
    else this.#tree.put(path, importValue(operation.value, path, this.#tree.generation));
    this.#tree.undo.clear();
  }

  /** As apply, in steps: for a value that may be large. */
  *applyInSteps(operation: Operation): Generator<void> {
    if (operation.type === 'delete' || typeof operation.value !== 'object') return this.apply(operation);
    const { path, value } = operation;
    if (this.#part === undefined) this.#tree.put(path, (yield* prepareValue(value, path)).take(path));
    else yield* this.#part.put(path, value);
    this.#tree.undo.clear();
  }

  /** The value at a path, or undefined. A path may lead into arrays. */
  get(path: Path): Value | undefined {
    const child = this.#tree.get(path);
    return child instanceof TreeNode ? exportValue(child) : child;
  }

  /** As get, in steps. */
  *getInSteps(path: Path): Generator<undefined, Value | undefined> {
    const child = this.#tree.get(path);
    return child instanceof TreeNode ? yield* exportSteps(child) : child;
  }

  has(path: Path): boolean {
    return this.#tree.get(path) !== undefined;
  }

  /** Whether there is an object at a path. */
  hasObject(path: Path): boolean {
    return this.#tree.get(path) instanceof TreeNode;
  }

  /** Digest of the value at a path, 16 hex digits; undefined if there is none. */
  digestAt(path: Path): string | undefined {
    return this.#tree.digestAt(path);
  }

  /** What stands at a path, pinned: an object as a SnapshotNode. It stays what it is when operations follow. */
  pinned(path: Path): SnapshotNode | Value | undefined {
    this.#tree.pin();
    const child = this.#tree.get(path);
    return child instanceof TreeNode ? new SnapshotNode(child) : child;
  }

  /**
   * A whole tree, pinned.
   * @param time commit time of its position, milliseconds since 1970
   */
  snapshot(time: number): Snapshot {
    const { last: _, chain: frame, ...head } = this.#head;
    const chain = this.#ahead > 0 ? NO_CHAIN : typeof frame === 'string' ? frame : frameHash(frame);
    const root = this.#tree.pin();
    const stream = head.stream ?? '0'.repeat(32);
    return new Snapshot(root, { ...head, stream, time, chain, position: this.position, digest: digestOf(root) });
  }

  /** @throws EvertreeError DAMAGED if a whole tree, after a whole frame, has not the digest that its primary had */
  assertDigest(expected: string): void {
    const found = this.#tree.digest();
    if (this.#part !== undefined || this.#ahead > 0 || found === expected) return;
    const message = `the tree that the journal leads to has the digest ${found} at ${formatPosition(this.position)}, where its primary had ${expected}`;
    throw new EvertreeError('DAMAGED', message, { expected, found, position: this.position });
  }

  *#apply(frame: Frame, changeSets: number): Generator<void> {
    if (frame.header.codec === 'binary') return yield* this.#read(frameBody(frame), frame.header, changeSets);
    for (const { operations } of decodeFrame(frame).changeSets.slice(0, changeSets)) {
      for (const operation of operations) {
        this.apply(operation);
        yield;
      }
    }
    this.#rest();
  }

  *#read(body: Buffer, head: Parameters<typeof readInSteps>[1], changeSets: number): Generator<void> {
    const options = { sink: new ApplySink(this.#tree), sieve: undefined, changeSets };
    for (const _ of readInSteps(body, head, this.#tree.generation, options)) {
      this.#rest();
      yield;
    }
    this.#rest();
  }

  #rest(): void {
    this.#tree.undo.clear();
    this.#tree.mixTouched();
  }
}

/** A frame with a note holds no operations, so that reading it again costs nothing. */
function noteOf(frame: Frame): FrameNote | undefined {
  const { beginsEpoch, endsEpoch, isMark } = frame.header;
  return beginsEpoch || endsEpoch || isMark ? decodeFrame(frame).note : undefined;
}
