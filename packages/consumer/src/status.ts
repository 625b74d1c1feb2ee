import type { Position } from '@evertree/core';

/**
 * - `listening`: no primary came yet.
 * - `catching-up`: frames come in, and the primary's position at its hello is not reached.
 * - `replicating`: it is; what the primary commits comes in.
 * - `snapshot`: the whole tree is on its way.
 * - `rewinding`: what this site holds behind the fork with the primary's history is kept, and undone.
 * - `quarantined`: a frame can't be applied; nothing is read before a restart.
 * - `offline`: the primary is lost.
 */
export type ConsumerState = 'listening' | 'catching-up' | 'replicating' | 'snapshot' | 'rewinding' | 'quarantined' | 'offline';

/** How a secondary is fed; all times are milliseconds since 1970. */
export interface ConsumerStatus {
  readonly state: ConsumerState;
  /** When it came into its state. */
  readonly since: number;
  /** The primary that feeds it, or that did last. `address`: where clients reach its HTTP, if it told. */
  readonly primary: { readonly site: string; readonly remote: string; readonly epoch: number; readonly address?: string } | null;
  /** When the primary's last byte arrived; null when none did. */
  readonly lastContact: number | null;
  /**
   * How far it is behind what it knows of the primary; null before the first contact. `ms`: the age of what it last
   * applied while it is behind, the time since the last contact while it is offline, else 0; null when unknown.
   */
  readonly lag: { readonly revisions: number; readonly ms: number | null } | null;
  readonly lastError: string | null;
  /** Full copies received by this process. */
  readonly resyncs: { readonly count: number; readonly lastReason: string | null };
  /** History that came from elsewhere, as nobody else kept it; null where no other place is named. */
  readonly catchUps: CatchUps | null;
}

/** What came from elsewhere, since this process began. */
export interface CatchUps {
  /** How often it led to where the primary, or the log, goes on, and how often it did not. */
  readonly done: number;
  readonly failed: number;
  readonly last: CatchUp | null;
}

/** A stretch of history that comes, or came, from elsewhere. */
export interface CatchUp {
  /** Where from, for people. */
  readonly source: string;
  readonly state: 'running' | 'done' | 'failed';
  /** Where this site stood. */
  readonly from: Position;
  /** The history is kept from here on. */
  readonly base: Position;
  /** Taken so far. */
  readonly frames: number;
  readonly bytes: number;
  readonly since: number;
  /** Why it led no further; null while it does. */
  readonly error: string | null;
}
