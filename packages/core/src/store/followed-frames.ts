import { applyTogether, Coalescer } from '../frames/coalescer.ts';
import type { CommitOutcomes } from './commit-outcomes.ts';
import { applyFrame } from '../frames/frame-application.ts';
import type { Frame } from '../frames/frame.ts';
import { assertContinues, continueTogether, type History } from './history.ts';
import type { Listeners } from '../listeners/listeners.ts';
import type { StoredFrame } from '../seams/journal.ts';
import type { Tree } from '../tree/tree.ts';
import type { WriteGate } from './write-gate.ts';

interface FollowedParts {
  readonly gate: WriteGate;
  readonly history: History;
  readonly listeners: Listeners;
  readonly outcomes: CommitOutcomes;
  /** The position moved. */
  advanced(): void;
}

/** Takes the frames of a primary: its tree moves, then its position, then the journal gets them. */
export class FollowedFrames {
  readonly #parts: FollowedParts;
  /** Kept from one `applyFrames` to the next, for its tables take megabytes; given back by `applyFrame`. */
  #coalescer: { readonly tree: Tree; readonly of: Coalescer } | undefined;

  constructor(parts: FollowedParts) {
    this.#parts = parts;
  }

  /** See `Store.applyFrame`. */
  applyFrame(tree: Tree, frame: Frame, trailer: Uint8Array | undefined): void {
    const { gate, history, listeners, outcomes } = this.#parts;
    gate.assertFollowing();
    assertContinues(history, frame);
    this.#coalescer = undefined;
    const from = history.last;
    const { note, observed } = applyFrame(tree, frame, listeners.size > 0 ? path => listeners.concerns(path) : undefined);
    history.follow(frame, note, trailer);
    if (note !== undefined) outcomes.goOn();
    listeners.notifyOfFrame(frame, from, observed);
    this.#parts.advanced();
  }

  /** See `Store.applyFrames`. */
  applyFrames(tree: Tree, frames: readonly StoredFrame[]): boolean {
    const { gate, history, listeners } = this.#parts;
    gate.assertFollowing();
    if (listeners.size > 0 || !continueTogether(history, frames)) return false;
    if (this.#coalescer?.tree !== tree) this.#coalescer = { tree, of: new Coalescer(tree) };
    if (!applyTogether(tree, this.#coalescer.of, frames)) {
      this.#coalescer = undefined;
      return false;
    }
    for (const { frame, trailer } of frames) history.follow(frame, undefined, trailer);
    this.#parts.advanced();
    return true;
  }
}
