/** Why the whole tree travels, or is wanted. A wire may meet a code that it does not know: it takes it as `other`. */
export const REASON_CODES = Object.freeze([
  /** The secondary holds nothing yet, and the history that is kept does not reach back to the stream's beginning. */
  'new-secondary',
  /** What follows the secondary's position was removed, from the journal or from a log. */
  'retention-passed',
  /** Frames that a log should hold are not there. */
  'frames-missing',
  /** A secondary that reads a log can go on from a snapshot only. */
  'reader-waits',
  /** A log begins after the stream's first commit, and no snapshot leads to what it holds. */
  'log-begins-late',
  /** Another writer put frames into the log, and nobody who starts before them can get past. */
  'foreign-frames',
  /** Retention will soon remove from the log what follows the newest snapshot. */
  'retention-near',
  /** So much follows the newest snapshot in the log that starting from it is slow. */
  /** The secondary has to go back to where the histories parted, and its journal does not reach back to there. */
  'fork-passed',
  'catch-up-slow',
  'other',
] as const);

export type ReasonCode = (typeof REASON_CODES)[number];

/** Programs decide by the code; the text is for people, and nobody looks into it. */
export interface Reason {
  readonly code: ReasonCode;
  readonly text: string;
}
