import { FRAME_LIMIT_BYTES, type BodyCodec } from '../frames/frame.ts';
import type { ErrorEvents } from '../emitter.ts';
import type { Clock, Random, Reporter } from '../seams/host.ts';
import type { Journal } from '../seams/journal.ts';

export interface StoreOptions {
  /** An open journal. The store recovers from it, owns it from then on and closes it. */
  readonly journal: Journal;
  readonly clock: Clock;
  readonly random: Random;
  readonly report?: Reporter;
  readonly limits?: Partial<StoreLimits>;
  /** Codec of the frames that this store cuts as a primary; binary by default. */
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
 * How many times longer a change set may be in its frame than as it is measured: a character of a key takes at most
 * three bytes, or six where JSON escapes it. A frame beyond its limit could be written but never read.
 */
const LONGEST_ENCODING = { binary: 3, json: 6 } as const;
/** Bytes of a frame beside its largest change set: the change sets before that, author and message, the header. */
const FRAME_ROOM_BYTES = 32 * 1024 * 1024;

/** Bounds of a store. Each says what happens at it. */
export interface StoreLimits {
  /**
   * Bytes of commits that may wait for the disk in memory; beyond, `transact` itself writes and syncs before it
   * returns.
   */
  readonly pendingBytes: number;
  /** Bytes of a frame's body at which the frame is cut at the latest. */
  readonly frameBytes: number;
  /**
   * Bytes of one change set, approximately; beyond, the transaction throws TOO_LARGE. Never more than a frame can hold.
   */
  readonly changeSetBytes: number;
  /** Batches that may wait for one listener; beyond, the waiting ones are merged into one. */
  readonly listenerBatches: number;
}

const DEFAULTS: StoreLimits = Object.freeze({
  pendingBytes: 64 * 1024 * 1024,
  // With its header and its last change set a frame stays below 256 KiB: larger ones travel in parts.
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
