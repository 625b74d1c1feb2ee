import type { CloseReason, ExactPosition, Fencing, Hello, Position } from '@evertree/core';

/**
 * - `offline`: no link.
 * - `probe`: a link, and the two sides find out where the secondary stands.
 * - `replicate`: frames go out from its position.
 * - `snapshot`: it gets the whole tree, since the journal no longer reaches back to it.
 * - `fenced`: it knows a higher epoch than this primary's.
 * - `diverged`: its history is not this primary's; nothing is sent.
 * - `quarantined`: it holds back a frame that it could not apply, and reads nothing until it is started again.
 */
export type PeerState = 'offline' | 'probe' | 'replicate' | 'snapshot' | 'fenced' | 'diverged' | 'quarantined';

/** What a far end said of who leads. */
export interface PeerStanding {
  readonly standing: Hello['standing'];
  /** The highest epoch that it knew of beside those of its history. */
  readonly fencedBy: Fencing | null;
  /** It has what the opposite role needs. */
  readonly standby: boolean;
  /** Where clients reach its HTTP. */
  readonly advertised: string | null;
}

/** What the producer knows of one far end; all times are milliseconds since 1970. */
export interface PeerStatus {
  /** Its name, or its address until it said its name. */
  readonly site: string;
  /** Its address; null when this process never had a link to it. */
  readonly remote: string | null;
  /**
   * It is no secondary but a log that secondaries read (a Kafka topic): what it holds counts for what the journal
   * keeps, not as a copy.
   */
  readonly relay: boolean;
  /** The log that it reads from; null when it is linked directly. */
  readonly through: string | null;
  readonly state: PeerState;
  /** What it holds durably; null when unknown. */
  readonly position: Position | null;
  /** What it has applied, visible to its readers; null when unknown. */
  readonly applied: Position | null;
  /**
   * Revisions of this primary that it does not hold durably; null when unknown, and where its history is not this
   * primary's.
   */
  readonly lagRevisions: number | null;
  /**
   * Age of the oldest commit that it does not hold durably; 0 when there is none, null where `lagRevisions` is, or when
   * unknown.
   */
  readonly lagMs: number | null;
  /** Bytes sent to it by this process, on all links. */
  readonly sentBytes: number;
  /** When it came into its state. */
  readonly since: number;
  /** When its last byte arrived; null when none did. */
  readonly lastSeen: number | null;
  /**
   * A forecast from the rates of the last seconds; null when unknown, or when it falls behind faster than it catches
   * up.
   */
  readonly caughtUpInMs: number | null;
  readonly lastError: string | null;
  /** What its last hello said of who leads; null when it said none to this process. */
  readonly said: PeerStanding | null;
  /** Full copies sent to it by this process. */
  readonly resyncs: { readonly count: number; readonly lastReason: string | null };
}

/** What is told of a far end of which nothing is known but that it is expected. */
export const NOTHING_KNOWN: Omit<PeerStatus, 'site' | 'state' | 'since'> = Object.freeze({
  remote: null,
  relay: false,
  through: null,
  position: null,
  applied: null,
  lagRevisions: null,
  lagMs: null,
  sentBytes: 0,
  lastSeen: null,
  caughtUpInMs: null,
  lastError: null,
  said: null,
  resyncs: { count: 0, lastReason: null },
});

export function positionOf(position: ExactPosition | undefined): Position | null {
  return position === undefined ? null : { epoch: position.epoch, revision: position.revision };
}

/** The state of a far end that closed its link for this reason. */
export function stateAfterRefusal(reason: CloseReason): PeerState {
  switch (reason) {
    case 'fenced':
      return 'fenced';
    case 'stream-mismatch':
    case 'history-mismatch':
      return 'diverged';
    case 'quarantined':
      return 'quarantined';
    default:
      return 'offline';
  }
}
