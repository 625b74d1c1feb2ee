import type { EpochName, EvertreeError, Reason, RoleHandler, Store, Transport } from '@evertree/core';
import type { EarlierFrames } from './earlier-frames.ts';
import type { ConsumerLimits } from './limits.ts';
import type { CatchUp, ConsumerStatus } from './status.ts';

export interface ConsumerOptions {
  /** The store; the consumer does not close it. */
  readonly store: Store;
  /** Not yet opened; the consumer opens and closes it. */
  readonly transport: Transport;
  readonly limits?: Partial<ConsumerLimits>;
  /** The program's name and version, as the primary is told. */
  readonly program?: string;
  /**
   * This site has what a primary needs. Then the consumer opens at a primary, too: it answers who dials, and takes
   * nothing until it hears of a higher epoch. Else it makes the store a secondary's, for good.
   */
  readonly standby?: boolean;
  /** Where clients reach this site's HTTP, as of now. */
  readonly advertised?: () => string | undefined;
  /** Takes what a far end says about who leads. */
  readonly role?: RoleHandler;
  /** Where history is kept that a primary, or a log, no longer keeps. Without it the whole tree takes its place. */
  readonly earlierFrames?: EarlierFrames;
  /** Keeps a frame that could not be applied, for people to look at. */
  readonly keepQuarantined?: (frame: Uint8Array, error: EvertreeError) => void;
}

export interface ConsumerEvents {
  /** The state, the primary or the last error changed. */
  state(status: ConsumerStatus): void;
  /** The primary begins to send the whole tree, for this reason. */
  resync(resync: { readonly site: string; readonly reason: Reason }): void;
  /** History was taken from elsewhere, or could not be. */
  catchUp(catchUp: CatchUp): void;
  /** A primary dialled this site, which is a primary itself. */
  rival(rival: { readonly site: string; readonly remote: string; readonly epoch: EpochName }): void;
  /** The transport failed and will not try again: no primary can come any more. */
  stopped(error: Error): void;
  /** It was closed: nothing feeds the store any more. */
  closed(): void;
}
