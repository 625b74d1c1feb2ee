/** The bounds of what changes roles; DESIGN.md says what happens at each. */
export interface RoleLimits {
  /** How long writers may be held before a switchover is taken back. */
  readonly maxPauseMs: number;
  /** How long the target of a switchover may take to consent. */
  readonly consentMs: number;
  /** A target that lacks commits of at most this time is near: writers are held from then on. */
  readonly nearMs: number;
  /** How long a caller waits for the target's answer to a withdrawal. */
  readonly answerMs: number;
  /** How long a promotion waits for a site that says nothing. */
  readonly silentMs: number;
  /** Two clocks that certainly differ by more are told of before a switchover. */
  readonly clocksDifferMs: number;
  /** Bytes that are free at least on the disk of a site that is to be the primary. */
  readonly roomBytes: number;
  /** How long a promotion waits in all for a log: to be reached and read, and again to take its claim. */
  readonly claimMs: number;
  /** How long a site that lends its frames may send none. */
  readonly lendMs: number;
}

export const ROLE_LIMITS: RoleLimits = Object.freeze({
  maxPauseMs: 5_000,
  consentMs: 5_000,
  nearMs: 200,
  answerMs: 2_000,
  silentMs: 1_000,
  claimMs: 10_000,
  clocksDifferMs: 1_000,
  roomBytes: 16 * 1024 * 1024,
  lendMs: 10_000,
});
