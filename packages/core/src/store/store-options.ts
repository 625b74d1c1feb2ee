import { FRAME_LIMIT_BYTES, type BodyCodec } from '../frames/frame.ts';
import type { ErrorEvents } from '../emitter.ts';
import type { Clock, Random, Reporter } from '../seams/host.ts';
import type { Journal } from '../seams/journal.ts';

export interface StoreOptions {
  /** Opened, and the store's from now on: it recovers from it and closes it. */
  readonly journal: Journal;
  readonly clock: Clock;
  readonly random: Random;
  readonly report?: Reporter;
  readonly limits?: Partial<StoreLimits>;
  /** Codec of the frames that this store cuts as a primary; binary unless said otherwise. */
  readonly encoding?: BodyCodec;
}

export interface StoreEvents extends ErrorEvents {
  /** Frames became stable. */
  stable(): void;
  /** A frame was cut or applied, or a snapshot swapped in. */
  advanced(): void;
  /** The state changed. */
  state(): void;
}

/**
 * How much longer than its measure a change set may be in its frame: a character of a key takes three bytes at the worst, and one that
 * JSON escapes takes six. A frame beyond its limit could be written, and never be read.
 */
const LONGEST_ENCODING = { binary: 3, json: 6 } as const;
/** Room beside the largest change set: those that were in the frame before it, its notes, and the header. */
const FRAME_ROOM_BYTES = 32 * 1024 * 1024;

/** Bounds of a store. Each has a stated behaviour at it. */
export interface StoreLimits {
  /** Bytes of commits that may wait for the disk in memory; beyond, `transact` itself writes and syncs before it returns. */
  readonly pendingBytes: number;
  /** Bytes of a frame's body at which it is cut, at the latest. */
  readonly frameBytes: number;
  /** Bytes of one change set, nearly; beyond, the transaction throws TOO_LARGE. No more than a frame can hold, whatever is asked for. */
  readonly changeSetBytes: number;
  /** Batches that may wait for one listener; beyond, the waiting ones are merged into one. */
  readonly listenerBatches: number;
}

const DEFAULTS: StoreLimits = Object.freeze({
  pendingBytes: 64 * 1024 * 1024,
  // With its last change set and its header below the 256 KiB from which on frames travel in parts.
  frameBytes: 240 * 1024,
  changeSetBytes: 64 * 1024 * 1024,
  listenerBatches: 1_000,
});

export function resolveStoreLimits(limits: Partial<StoreLimits> = {}, encoding: BodyCodec = 'binary'): StoreLimits {
  const resolved = { ...DEFAULTS, ...limits };
  const largest = Math.floor((FRAME_LIMIT_BYTES - FRAME_ROOM_BYTES) / LONGEST_ENCODING[encoding]);
  return Object.freeze({
    ...resolved,
    frameBytes: Math.min(resolved.frameBytes, FRAME_ROOM_BYTES / 2),
    changeSetBytes: Math.min(resolved.changeSetBytes, largest),
  });
}
