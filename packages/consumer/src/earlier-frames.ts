import type { ExactPosition, Frame, Lineage } from '@evertree/core';

/** What this secondary lacks, and its primary, or the log, no longer keeps. */
export interface MissingStretch {
  /** Where this secondary stands. */
  readonly after: ExactPosition;
  /** The history is kept from here on: without a frame that ends here or further on the rest is of no use. */
  readonly base: ExactPosition;
  /** The primary's history: only frames of this history are taken. */
  readonly primary: Pick<Lineage, 'epochs' | 'last'>;
  readonly stream: string;
}

/** History that is kept elsewhere, such as an archive. */
export interface EarlierFrames {
  /** Where it is kept, for people. */
  readonly source: string;
  /**
   * The frames that follow `after`, each after the one before, as far as `primary` covers them. What is there is looked
   * at first: if it does not lead to `base`, nothing large is read. Memory is bounded, however slowly they are taken.
   * @param signal ends the reading: nobody takes any more
   * @throws EvertreeError that says in words why it does not lead there: what lacks, is damaged, away or can't be read
   */
  frames(stretch: MissingStretch, signal: AbortSignal): AsyncIterable<Frame>;
}
