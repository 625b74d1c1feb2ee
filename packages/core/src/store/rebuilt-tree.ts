import { ApplySink } from '../frames/apply-sink.ts';
import { readBinaryBody } from '../frames/binary-reader.ts';
import type { ChangeSetHead, FrameNote } from '../frames/body.ts';
import { Coalescer } from '../frames/coalescer.ts';
import type { BodySummary } from '../frames/coalescing-reader.ts';
import { decodeFrame } from '../frames/collect-sink.ts';
import { applyOperation } from '../frames/frame-application.ts';
import { makeNetChanges, type NetChanges } from '../frames/net-changes.ts';
import { frameBody, frameHash, type Frame, type FrameHeader } from '../frames/frame.ts';
import { SnapshotBuilder } from '../frames/snapshot-codec.ts';
import { EvertreeError, isEvertreeError } from '../errors.ts';
import { assertFollows, assertSucceeds } from '../lineage.ts';
import { formatPosition } from '../position.ts';
import type { SnapshotHeader, StoredSnapshot } from '../seams/stored.ts';
import { Tree } from '../tree/tree.ts';
import { EMPTY_HEAD, headAfter, headAt, type HistoryHead } from './history-head.ts';

/** Checks the times of a frame's change sets, and counts their operations. */
class TimesOf {
  operations = 0;
  readonly #header: FrameHeader;
  #time: number;

  constructor(header: FrameHeader) {
    this.#header = header;
    this.#time = header.firstTime;
  }

  changeSet(time: number, operations: number): void {
    if (time < this.#time) throw this.#wrong(`goes from ${this.#time} back to ${time}`);
    this.#time = time;
    this.operations += operations;
  }

  end(): void {
    if (this.#time !== this.#header.lastTime) throw this.#wrong(`ends at ${this.#time}, where its header says ${this.#header.lastTime}`);
  }

  #wrong(problem: string): EvertreeError {
    const message = `the time of the frame that ends at ${formatPosition(this.#header.last)} ${problem}`;
    return new EvertreeError('FORMAT_INVALID', message);
  }
}

/** Applies a binary body, and looks at its change sets on the way. */
class CheckingSink extends ApplySink {
  readonly #times: TimesOf;

  constructor(tree: Tree, times: TimesOf) {
    super(tree);
    this.#times = times;
  }

  override changeSet({ time, operations }: ChangeSetHead): void {
    this.#times.changeSet(time, operations);
  }
}

/**
 * A tree that is rebuilt from its history, frame by frame, without a store: it proves that the frames give what they
 * say. After an error it is useless.
 */
export class RebuiltTree {
  /** Operations that were applied. */
  operations = 0;
  readonly #tree: Tree;
  readonly #coalescer: Coalescer;
  #head: HistoryHead;

  private constructor(tree: Tree, head: HistoryHead) {
    this.#tree = tree;
    this.#coalescer = new Coalescer(tree);
    this.#head = head;
  }

  /** The tree before the first commit of its stream. */
  static empty(): RebuiltTree {
    return new RebuiltTree(new Tree(), EMPTY_HEAD);
  }

  /** @throws EvertreeError DIGEST_MISMATCH, FORMAT_INVALID, PATH_INVALID, and what reading the chunks throws */
  static async from(snapshot: StoredSnapshot): Promise<RebuiltTree> {
    const builder = new SnapshotBuilder();
    for await (const chunk of snapshot.chunks()) builder.add(chunk);
    return new RebuiltTree(builder.finish(snapshot.header), headAt(snapshot.header));
  }

  get head(): HistoryHead {
    return this.#head;
  }

  /** The header of a snapshot of it. @throws EvertreeError NOT_FOUND before the first commit */
  get header(): SnapshotHeader {
    const { stream, last, epochs, marks, chain, time } = this.#head;
    if (stream === null) throw new EvertreeError('NOT_FOUND', 'this history has no commit yet');
    return {
      stream,
      position: last,
      digest: this.digest,
      chain: typeof chain === 'string' ? chain : frameHash(chain),
      epochs,
      marks,
      time,
    };
  }

  /**
   * 16 hex digits.
   * @throws EvertreeError FORMAT_INVALID, PATH_INVALID for a frame whose digest was not compared
   */
  get digest(): string {
    this.#settle();
    return this.#tree.digest();
  }

  /** A tree of its own that is this one now. @throws EvertreeError as `digest` */
  fork(): Tree {
    this.#settle();
    return new Tree(this.#tree.pin());
  }

  /**
   * Applies the frame that follows, and compares the digest after it. The chain of hashes is not looked at.
   * @param compares whether the digest is compared. A frame whose digest is not compared is proven by the next one whose
   *   digest is. Of many such frames only the last change of each path is made, when a digest is needed: the more of them,
   *   the less time each takes; what is wrong with one may be found with a later one
   * @throws EvertreeError STREAM_MISMATCH, HISTORY_MISMATCH, FORMAT_INVALID, PATH_INVALID, VALUE_INVALID,
   *   DIGEST_MISMATCH
   */
  apply(frame: Frame, compares = true): void {
    const { header } = frame;
    assertFollows(header, this.#head);
    const times = new TimesOf(header);
    this.#tree.undo.clear();
    const note = this.#make(frame, times, compares);
    times.end();
    assertSucceeds(header.epoch, this.#head, header.beginsEpoch ? note?.epoch?.site : undefined);
    if (compares) this.#compare(header);
    this.operations += times.operations;
    this.#head = headAfter(this.#head, frame, note);
  }

  /**
   * Takes the frame that follows, and leaves its changes to `make`. Until then the tree is none of this history.
   * @throws EvertreeError as `apply`
   */
  defer(frame: Frame): void {
    const { header } = frame;
    // It changes nothing in the tree.
    if (header.beginsEpoch || header.endsEpoch || header.isMark) return this.apply(frame, false);
    assertFollows(header, this.#head);
    assertSucceeds(header.epoch, this.#head, undefined);
    this.#head = headAfter(this.#head, frame, undefined);
  }

  /**
   * Makes what all frames that were deferred change altogether. The caller compares the digest afterwards.
   * @throws EvertreeError PATH_INVALID, FORMAT_INVALID
   */
  make(changes: NetChanges): void {
    // What frames made it take that were applied before stands beside the tree, up to 14 MiB.
    if (this.#coalescer.isSettled) this.#coalescer.shrink();
    makeNetChanges(this.#tree, changes);
    this.operations += changes.operations;
  }

  /**
   * Holds no frame that was taken: their memory may be given back.
   * @param hash of the last frame, where it is known
   * @throws EvertreeError as `digest`
   */
  letGo(hash?: string): void {
    this.#settle();
    const { chain } = this.#head;
    if (typeof chain !== 'string') this.#head = { ...this.#head, chain: hash ?? frameHash(chain) };
  }

  #compare({ digest: expected, last: position }: FrameHeader): void {
    const found = this.#tree.digest();
    if (found === expected) return;
    const message = `the rebuilt tree has the digest ${found} after ${formatPosition(position)}, where its frame says ${expected}`;
    throw new EvertreeError('DIGEST_MISMATCH', message, { expected, found, position });
  }

  #make(frame: Frame, times: TimesOf, compares: boolean): FrameNote | undefined {
    if (frame.header.codec === 'json') {
      // Its times may go back within the frame, so that the last one does not tell.
      this.#settle();
      return this.#applyJson(frame, times);
    }
    if (compares && this.#coalescer.isSettled) return this.#applyBinary(frame, times);
    const { note, time, operations } = this.#take(frame);
    times.changeSet(time, operations);
    if (compares) this.#settle();
    return note;
  }

  #take(frame: Frame): BodySummary {
    try {
      return this.#coalescer.take(frame);
    } catch (error) {
      throw this.#named(error, frame);
    }
  }

  #settle(): void {
    if (this.#coalescer.isSettled) return;
    try {
      this.#coalescer.settle();
    } catch (error) {
      throw this.#named(error, undefined);
    }
  }

  /** Names the frame that an error is about, if it is not the one that is being applied. */
  #named(error: unknown, applied: Frame | undefined): unknown {
    const { faulty } = this.#coalescer;
    if (!isEvertreeError(error) || faulty === undefined || faulty === applied?.header) return error;
    const message = `${error.message}, in the frame that ends at ${formatPosition(faulty.last)}`;
    return new EvertreeError(error.code, message, error.details, error);
  }

  #applyBinary(frame: Frame, times: TimesOf): FrameNote | undefined {
    const sink = new CheckingSink(this.#tree, times);
    readBinaryBody(frameBody(frame), frame.header, this.#tree.generation, sink);
    return sink.note;
  }

  #applyJson(frame: Frame, times: TimesOf): FrameNote | undefined {
    const { note, changeSets } = decodeFrame(frame);
    for (const { time, operations } of changeSets) {
      times.changeSet(time, operations.length);
      for (const operation of operations) applyOperation(this.#tree, operation);
    }
    return note;
  }
}
