/** The producer's bounds. Each holds for one peer. */
export interface ProducerLimits {
  /**
   * Bytes of frames sent that the secondary has not acknowledged as applied: at this many, sending waits. One frame may
   * exceed it.
   */
  readonly windowBytes: number;
  /** The same as a count of frames, each of which takes a few numbers here. */
  readonly windowFrames: number;
  /** How long a far end may take to say hello before its link is closed as silent. */
  readonly helloMs: number;
  /**
   * How long a link may stay unwritable in the middle of a snapshot, which is pinned meanwhile, before it is closed as
   * silent.
   */
  readonly snapshotStallMs: number;
  /**
   * How often one position may be asked for again without progress before the link is closed as a protocol violation.
   */
  readonly resends: number;
}

export const DEFAULT_LIMITS: ProducerLimits = Object.freeze({
  windowBytes: 8 * 1024 * 1024,
  windowFrames: 8192,
  helloMs: 10_000,
  snapshotStallMs: 60_000,
  resends: 3,
});
