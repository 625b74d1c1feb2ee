import { type BodySummary, CoalescingReader, FrameNumbers, readAtOnce } from './coalescing-reader.ts';
import { applyOperation } from './frame-application.ts';
import { decodeFrame } from './collect-sink.ts';
import type { Frame, FrameHeader } from './frame.ts';
import { PendingChanges } from './pending-changes.ts';
import type { Tree } from '../tree/tree.ts';

/** The most frames whose changes are pending, and the most bytes they have, but for one frame. */
const FRAMES_LIMIT = 65_536;
const BYTES_LIMIT = 64 * 1024 * 1024;

/**
 * After so many changes it is judged whether enough of them go to the same paths: the share of different paths above which
 * they do not. Measured on trees that are larger than the processor's caches: with two changes a path both ways take the
 * same time, and with one a path making each change at once takes two thirds.
 */
const EARLY = { changes: 32_768, paths: 0.98 };
const LATE = { changes: 131_072, paths: 0.7 };
/** Then so many times as many changes are made at once before coalescing is tried again. */
const REST = 16;

/**
 * Applies many frames, one after the other, where nobody needs the states in between: of each path only the last change
 * is made in the tree. The tree is that after the last frame when `settle` has returned, and not before.
 *
 * The frames' order and their digests are the caller's to check. Every change is in `tree.undo`.
 */
export class Coalescer {
  readonly #tree: Tree;
  readonly #pending: PendingChanges;
  readonly #numbers = new FrameNumbers();
  /** Those with pending changes. */
  readonly #frames: FrameHeader[] = [];
  /** Of those. Values that are pending stand in memory beside what they replace. */
  #bytes = 0;
  #faulty: FrameHeader | undefined;
  /** So many changes more are made at once: few of those before went to the same paths. */
  #atOnce = 0;

  constructor(tree: Tree) {
    this.#tree = tree;
    this.#pending = new PendingChanges(tree);
  }

  /** The frame that the last error was about. It is the first one that can't be applied, as if each had been. */
  get faulty(): FrameHeader | undefined {
    return this.#faulty;
  }

  /** Whether the tree is that after the last frame. */
  get isSettled(): boolean {
    return this.#frames.length === 0;
  }

  /**
   * Takes the frame that follows.
   * @throws EvertreeError FORMAT_INVALID, PATH_INVALID, VALUE_INVALID for this frame, or for one before; the tree is
   *   somewhere between two frames then
   */
  take(frame: Frame): BodySummary {
    const { header } = frame;
    this.#frames.push(header);
    this.#bytes += frame.bytes.length;
    try {
      return this.#read(frame);
    } catch (error) {
      // What is pending came before.
      if (this.#faulty === undefined) this.settle();
      this.#faulty ??= header;
      throw error;
    }
  }

  /**
   * Makes all changes in the tree.
   * @throws EvertreeError FORMAT_INVALID, PATH_INVALID for one of the frames
   */
  settle(): void {
    this.#settle();
    if (this.#hasFewRepeats()) this.#atOnce = this.#pending.taken * REST;
    this.#pending.clear();
    this.#frames.length = 0;
    this.#bytes = 0;
  }

  /** Only when it is settled: gives back what many frames made it take. */
  shrink(): void {
    this.#pending.shrink();
  }

  #read(frame: Frame): BodySummary {
    const { header } = frame;
    if (header.codec === 'json') {
      this.settle();
      return this.#applyJson(frame);
    }
    if (this.#atOnce > 0) {
      const summary = readAtOnce(frame, this.#tree);
      this.#atOnce -= summary.operations;
      this.#frames.length = 0;
      this.#bytes = 0;
      return summary;
    }
    const parts = { pending: this.#pending, numbers: this.#numbers, settle: () => this.#settle() };
    const reader = new CoalescingReader(frame, this.#frames.length - 1, this.#tree, parts);
    reader.read(header);
    if (this.#isTimeToSettle()) this.settle();
    return reader.summary;
  }

  #isTimeToSettle(): boolean {
    const isLarge = this.#frames.length >= FRAMES_LIMIT || this.#bytes > BYTES_LIMIT;
    return isLarge || this.#pending.isHalfFull || this.#hasFewRepeats();
  }

  #hasFewRepeats(): boolean {
    const { taken, paths } = this.#pending;
    if (taken < EARLY.changes) return false;
    return paths > taken * (taken < LATE.changes ? EARLY : LATE).paths;
  }

  #settle(): void {
    this.#pending.settle(frame => {
      this.#faulty = this.#frames[frame];
    });
  }

  #applyJson(frame: Frame): BodySummary {
    const { note, changeSets } = decodeFrame(frame);
    let operations = 0;
    for (const changeSet of changeSets) {
      for (const operation of changeSet.operations) applyOperation(this.#tree, operation);
      operations += changeSet.operations.length;
    }
    return { note, time: changeSets.at(-1)!.time, operations };
  }
}
