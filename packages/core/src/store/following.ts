import type { CommitOutcomes } from './commit-outcomes.ts';
import { assertContinues } from './history-head.ts';
import type { History } from './history.ts';
import type { FrameNote } from '../frames/body.ts';
import { applyFrame, applySteps } from '../frames/frame-application.ts';
import type { Frame } from '../frames/frame.ts';
import type { Listeners, SortedFrame } from '../listeners/listeners.ts';
import { samePosition } from '../position.ts';
import type { TreeNode } from '../tree/node.ts';
import type { Path } from '../tree/path.ts';
import type { Tree } from '../tree/tree.ts';
import type { WriteGate } from './write-gate.ts';

interface FollowingParts {
  readonly history: History;
  readonly gate: WriteGate;
  readonly outcomes: CommitOutcomes;
  readonly listeners: Listeners;
  /** Tells of a frame that was applied. */
  readonly advanced: () => void;
}

/** What came of a frame on a fork of the tree. */
type FrameResult =
  | { readonly root: TreeNode; readonly note: FrameNote | undefined; readonly sorted: SortedFrame }
  /** It can't be applied. */
  | { readonly error: unknown };

/** A frame that was applied ahead, on a fork of the tree. */
export interface PreparedFrame {
  readonly frame: Frame;
  readonly tree: Tree;
  /** The tree's root when it was forked. The tree copies it before it changes it. */
  readonly base: TreeNode;
  readonly result: FrameResult;
}

/** The way of a primary's frame: it is applied to the tree, and appended to the history. */
export class Following {
  readonly #parts: FollowingParts;
  readonly #concerns: (path: Path) => boolean;
  #tree: Tree;

  constructor(tree: Tree, parts: FollowingParts) {
    this.#tree = tree;
    this.#parts = parts;
    this.#concerns = path => parts.listeners.concerns(path);
  }

  /** Frames go to another tree from now on. */
  replaceTree(tree: Tree): void {
    this.#tree = tree;
  }

  /** See Store.applyFrame. */
  apply(frame: Frame, trailer: Uint8Array | undefined): void {
    const { history, listeners, advanced } = this.#parts;
    this.#assertTakes(frame);
    const from = history.last;
    const { note, observed } = applyFrame(this.#tree, frame, listeners.size > 0 ? this.#concerns : undefined);
    this.#follow(frame, note, trailer);
    listeners.notifyOfFrame(frame, from, observed);
    advanced();
  }

  /** See Store.prepareFrame. */
  *prepare(frame: Frame): Generator<void, PreparedFrame> {
    this.#assertTakes(frame);
    const { listeners } = this.#parts;
    const { added } = listeners;
    const fork = this.#tree.fork();
    const parts = { frame, tree: this.#tree, base: fork.root };
    try {
      const { note, observed } = yield* applySteps(fork, frame, listeners.size > 0 ? this.#concerns : undefined);
      const sorted = yield* listeners.sortFrameSteps(observed, added);
      return { ...parts, result: { root: fork.pin(), note, sorted } };
    } catch (error) {
      return { ...parts, result: { error } };
    }
  }

  /** See Store.isFrameCurrent. */
  isCurrent({ frame, tree, base, result }: PreparedFrame): boolean {
    const { history, listeners } = this.#parts;
    if (tree !== this.#tree || tree.root !== base || !samePosition(history.last, frame.header.base)) return false;
    return 'error' in result || listeners.isCurrent(result.sorted);
  }

  /** See Store.applyPrepared. */
  applyPrepared(prepared: PreparedFrame, trailer: Uint8Array | undefined): void {
    const { history, listeners, advanced } = this.#parts;
    const { frame, result } = prepared;
    if (!this.isCurrent(prepared)) return this.apply(frame, trailer);
    this.#assertTakes(frame);
    if ('error' in result) throw result.error;
    const from = history.last;
    this.#tree.restore(result.root);
    this.#follow(frame, result.note, trailer);
    listeners.notifyOfSortedFrame(frame, from, result.sorted);
    advanced();
  }

  /** @throws EvertreeError if this site follows nobody, or if the frame does not continue its history */
  #assertTakes(frame: Frame): void {
    this.#parts.gate.assertFollowing();
    assertContinues(this.#parts.history, frame);
  }

  #follow(frame: Frame, note: FrameNote | undefined, trailer: Uint8Array | undefined): void {
    this.#parts.history.follow(frame, note, trailer);
    if (note !== undefined) this.#parts.outcomes.goOn();
  }
}
