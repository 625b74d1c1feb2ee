import { replaySteps } from '../frames/frame-application.ts';
import type { FrameNote } from '../frames/body.ts';
import { Coalescer } from '../frames/coalescer.ts';
import { EvertreeError, isEvertreeError } from '../errors.ts';
import { frameHash, type Frame, type FrameHeader } from '../frames/frame.ts';
import { EMPTY_HEAD, headAfter, headAt, type HistoryHead } from './history-head.ts';
import type { Clock } from '../seams/host.ts';
import type { Journal } from '../seams/journal.ts';
import { formatExactPosition, formatPosition, samePosition, type ExactPosition } from '../position.ts';
import { SnapshotBuilder } from '../frames/snapshot-codec.ts';
import { Turn } from '../turn.ts';
import { Tree } from '../tree/tree.ts';

/** A tree at a position of its history. */
export interface Recovered {
  readonly tree: Tree;
  readonly head: HistoryHead;
}

/**
 * Builds the tree that a journal holds: its newest snapshot, then every frame after it.
 * @throws EvertreeError DAMAGED if the digest of the tree is not the journal's
 */
export async function recover(journal: Journal): Promise<Recovered> {
  return recoverUpTo(journal, undefined, undefined);
}

/**
 * Builds the tree as it was at an earlier position of the journal's history, in steps.
 * @throws EvertreeError HISTORY_MISMATCH if no frame ends there; COMPACTED if the journal does not reach back to it
 */
export async function recoverAt(journal: Journal, position: ExactPosition, clock: Clock): Promise<Recovered> {
  const recovered = await recoverUpTo(journal, position, new Turn(clock));
  if (samePosition(recovered.head.last, position)) return recovered;
  throw new EvertreeError('HISTORY_MISMATCH', `no frame of this history ends at ${formatExactPosition(position)}`, {
    expected: position,
    found: recovered.head.last,
  });
}

async function recoverUpTo(journal: Journal, end: ExactPosition | undefined, turn: Turn | undefined): Promise<Recovered> {
  const { tree, head: beginning } = await recoverSnapshot(journal, end, turn);
  const limit = end?.revision ?? Infinity;
  const frames = turn === undefined ? new FramesAtOnce(tree) : new FramesInSteps(tree, turn);
  let head = beginning;
  let last: Frame | undefined;
  // Of a frame that was applied only the header is needed, and of the last one, behind which nothing is read, its bytes.
  const reader = journal.log.read(head.last, { fleeting: true });
  try {
    while (head.last.revision < limit) {
      const stored = await reader.next();
      if (stored === undefined) break;
      last = stored.frame;
      head = headAfter(head, last, await frames.apply(last));
    }
  } finally {
    await reader.close();
  }
  frames.end();
  if (last === undefined) return { tree, head };
  const found = tree.digest();
  if (found !== last.header.digest) {
    throw damaged(`the tree has the digest ${found} after ${formatPosition(head.last)}, where its journal says ${last.header.digest}`);
  }
  return { tree, head: { ...head, chain: frameHash(last) } };
}

async function recoverSnapshot(journal: Journal, atOrBefore: ExactPosition | undefined, turn: Turn | undefined): Promise<Recovered> {
  const snapshot = await journal.snapshots.newest(atOrBefore);
  if (snapshot === undefined) return { tree: new Tree(), head: EMPTY_HEAD };
  const builder = new SnapshotBuilder();
  for await (const chunk of snapshot.chunks()) {
    if (turn === undefined) builder.add(chunk);
    else await turn.run(builder.addSteps(chunk));
    await turn?.breathe();
  }
  return { tree: builder.finish(snapshot.header), head: headAt(snapshot.header) };
}

/** While a store opens nobody else needs the event loop, nor the states between the frames. */
class FramesAtOnce {
  readonly #tree: Tree;
  readonly #coalescer: Coalescer;

  constructor(tree: Tree) {
    this.#tree = tree;
    this.#coalescer = new Coalescer(tree);
  }

  apply(frame: Frame): FrameNote | undefined {
    return this.#try(() => this.#coalescer.take(frame).note);
  }

  end(): void {
    this.#try(() => this.#coalescer.settle());
  }

  #try<T>(step: () => T): T {
    try {
      return step();
    } catch (error) {
      const { faulty } = this.#coalescer;
      throw faulty === undefined ? error : notApplied(faulty, error);
    } finally {
      this.#tree.undo.clear();
    }
  }
}

class FramesInSteps {
  readonly #tree: Tree;
  readonly #turn: Turn;

  constructor(tree: Tree, turn: Turn) {
    this.#tree = tree;
    this.#turn = turn;
  }

  async apply(frame: Frame): Promise<FrameNote | undefined> {
    try {
      return await this.#turn.run(replaySteps(this.#tree, frame));
    } catch (error) {
      throw notApplied(frame.header, error);
    }
  }

  end(): void {
    this.#tree.undo.clear();
  }
}

function notApplied({ last }: FrameHeader, error: unknown): unknown {
  if (!isEvertreeError(error)) return error;
  return damaged(`the frame that ends at ${formatPosition(last)} can't be applied: ${error.message}`, error);
}

function damaged(what: string, cause?: unknown): EvertreeError {
  return new EvertreeError('DAMAGED', `the journal is damaged: ${what}; start from a copy of another site's directory`, {}, cause);
}
