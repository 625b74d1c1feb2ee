/** The consumer's bounds. */
export interface ConsumerLimits {
  /** Bytes of applied frames that are not stable yet: above, the link is paused until half of them are left. */
  readonly pendingBytes: number;
  /**
   * Frames whose ends and digests are remembered, to know a frame that comes twice; older ones are looked up in the
   * journal.
   */
  readonly recentFrames: number;
  /** Frames of more bytes than this are applied in steps, between which others have their turns. */
  readonly largeFrameBytes: number;
  /** So are frames that have more bytes than this for each of their commits. */
  readonly largeCommitBytes: number;
  /** How long a far end may take to say hello before its link is closed as silent. */
  readonly helloMs: number;
}

export const DEFAULT_LIMITS: ConsumerLimits = Object.freeze({
  pendingBytes: 64 * 1024 * 1024,
  recentFrames: 1024,
  largeFrameBytes: 256 * 1024,
  largeCommitBytes: 32 * 1024,
  helloMs: 10_000,
});
