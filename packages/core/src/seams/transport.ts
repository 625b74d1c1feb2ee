import type { SnapshotHeader, Role } from './journal.ts';
import type { EpochName, Fencing } from '../lineage.ts';
import type { Boundary, Epoch, ExactPosition } from '../position.ts';
import type { Frame } from '../frames/frame.ts';
import type { RoleMessage } from './role-message.ts';
import type { Reason } from './reason.ts';

/** The versions of PROTOCOL.md that this program speaks, oldest first. */
export const PROTOCOL_VERSIONS: readonly number[] = Object.freeze([4]);

/**
 * What each side says first, on every link: what it is, and where its tree stands. Position, digest and epochs are
 * stable there: an epoch is listed only once a frame of it is.
 */
export interface Hello extends Boundary {
  /** Versions of PROTOCOL.md that this side speaks. */
  readonly protocols: readonly number[];
  /** The program's own version, for people. */
  readonly program: string;
  readonly site: string;
  readonly role: Role;
  /** 32 hex digits; null before the stream's first commit. */
  readonly stream: string | null;
  readonly epochs: readonly Epoch[];
  /** Whether what this side acknowledges as durable survives its process. */
  readonly durable: boolean;
  readonly standing: 'primary' | 'secondary' | 'fenced' | 'handing-over';
  /** The highest epoch that it was fenced by, or gave a promise for; durable there. */
  readonly fencedBy?: Fencing;
  /** It has what the opposite role needs, so it can change places without a restart. */
  readonly standby: boolean;
  /** Where clients reach its HTTP, as a base URL. */
  readonly advertised?: string;
  /** It can take history that its primary no longer keeps from elsewhere: it is asked before the whole tree is sent. */
  readonly catchesUp?: boolean;
  /** This link asks for a promise for this epoch, which its sender wants to begin. The sender feeds nothing over it. */
  readonly raises?: EpochName;
}

/**
 * What is at the other end of a transport's links: a site, or a log that sites write to and read from by themselves (a
 * Kafka topic). A primary's link to a log says hello in the log's name, with the position where the log ends. A
 * secondary's link through a log carries the primary's hello.
 */
export type FarEnd =
  | { readonly kind: 'site' }
  | {
      readonly kind: 'log';
      /** Names it among the peers, and in errors: `topic prices`. */
      readonly name: string;
      /** What a person does when the log holds another history: an imperative clause, in the words of the wire. */
      readonly remedy: string;
    };

/** The far end of a wire that links two sites. */
export const SITE: FarEnd = Object.freeze({ kind: 'site' });

/**
 * What a secondary's journal holds beside the position of its hello: it helps a wire to find that position in a log.
 * Never sent to the far end.
 */
export interface ResumeHint {
  /** What the wire gave with the frame that ends there; undefined when it came on another wire, or in a snapshot. */
  readonly trailer: Uint8Array | undefined;
  /** Commit time of the position, milliseconds since 1970; undefined when it is not known. */
  readonly time: number | undefined;
}

/** Why a link was closed by one of its ends; each wire has its own way of saying so. */
export const CLOSE_REASONS = Object.freeze([
  'going-away',
  'replaced',
  'fenced',
  'refused',
  'stream-mismatch',
  'history-mismatch',
  'wrong-role',
  'unauthenticated',
  'protocol-violation',
  'protocol-unsupported',
  'too-large',
  'quarantined',
  'silent',
  'lost',
] as const);
export type CloseReason = (typeof CLOSE_REASONS)[number];

/** What travels between a primary and a secondary. */
export type SiteMessage =
  | { readonly type: 'hello'; readonly hello: Hello; readonly resume?: ResumeHint }
  /**
   * A frame, as it stands in the journal. `trailer`: what the wire wants kept beside it there, and told at the next
   * hello. `parsed`: the same frame, where it was parsed (which checks its checksum) before it was handed over; it
   * never travels.
   */
  | { readonly type: 'frame'; readonly bytes: Uint8Array; readonly trailer?: Uint8Array; readonly parsed?: Frame }
  /** Cumulative: everything up to these positions is applied, and durable, at `site`. */
  | { readonly type: 'acknowledge'; readonly site: string; readonly applied: ExactPosition; readonly durable: ExactPosition }
  /** The secondary saw a gap: frames are wanted from `after` on. */
  | { readonly type: 'resend'; readonly after: ExactPosition }
  /**
   * To a secondary that `catchesUp`: what follows its position is kept from `base` on only, and the whole tree would
   * follow, for this reason. `epochs` and `last` are the primary's history as it is now. A `resend` answers it, and says
   * where the secondary stands by then. Until then nothing is sent.
   */
  | {
      readonly type: 'history-begins';
      readonly base: ExactPosition;
      readonly epochs: readonly Epoch[];
      readonly last: ExactPosition;
      readonly reason: Reason;
    }
  /**
   * `request`: the id of the `snapshot-wanted` that it answers; absent when it takes the place of frames that are gone.
   */
  | { readonly type: 'snapshot-begin'; readonly header: SnapshotHeader; readonly reason: Reason; readonly request?: number }
  | { readonly type: 'snapshot-chunk'; readonly bytes: Uint8Array }
  /** `chunks`: how many there were. */
  | { readonly type: 'snapshot-end'; readonly chunks: number }
  /** From one site to another, either way, about who leads. On a link to a log `to` and `from` say which reader. */
  | { readonly type: 'role'; readonly from: string; readonly to: string; readonly message: RoleMessage };

/**
 * What passes between a primary and a log beside it. On such a link `acknowledge` speaks for the log under its hello's
 * name, and for each secondary that reads there under its own; snapshots may stand between frames.
 */
export type LogMessage =
  /**
   * A secondary that reads there, and where it stands. `present`: it was heard just now, and not found in the log's
   * past.
   */
  | { readonly type: 'reader'; readonly hello: Hello; readonly present: boolean }
  /** It takes a snapshot, for this reason. */
  | { readonly type: 'reader-resync'; readonly site: string; readonly reason: Reason }
  /** It closed its link, or was not heard for three heartbeats. */
  | { readonly type: 'reader-lost'; readonly site: string; readonly reason: CloseReason; readonly explanation: string }
  /**
   * A snapshot is wanted there, beside the frames, which go on meanwhile. `id`: unlike that of any other request on
   * this link.
   */
  | { readonly type: 'snapshot-wanted'; readonly id: number; readonly reason: Reason }
  /**
   * This primary's reign does not stand in the log, or no record of it is left there: it has to begin an epoch numbered
   * above this one. `rival`: what stands there in its place; then what it writes before counts for nobody.
   */
  | { readonly type: 'reign-void'; readonly above: number; readonly rival?: EpochName; readonly explanation: string }
  /** From the primary: this reader was taken off its list. */
  | { readonly type: 'forget'; readonly site: string };

export type Message = SiteMessage | LogMessage;

export interface LinkEvents {
  message(message: Message): void;
  /** `writable` is true again. */
  drained(): void;
  /** The link is gone; nothing follows. `byPeer`: the far end said so. */
  closed(reason: CloseReason, explanation: string, byPeer: boolean): void;
}

/**
 * An ordered, reliable stream of messages between a primary and one far end, until it is closed.
 *
 * Laws, held by one conformance suite for every wire:
 * - Messages arrive whole, unaltered and in the order they were sent, or the link closes; a prefix of what was sent
 *   arrives.
 * - No message is delivered before `attach`, and none is lost between the link's birth and `attach` (if it is called in
 *   the same turn of the event loop, or later: messages wait, within the wire's bound).
 * - A far end that died or went silent is found: `closed` comes within three heartbeats.
 * - Memory held for a far end that does not read is bounded: `writable` turns false at the wire's named limit, and a
 *   sender that goes on nevertheless has its link closed as `too-large`.
 * - What arrives malformed closes the link as `protocol-violation`; the process lives.
 */
export interface Link {
  /** The far end's address, for people. */
  readonly remote: string;
  readonly writable: boolean;
  /** Bytes sent and received on the wire so far. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** Milliseconds (Clock.now) when the last byte came from the far end. */
  readonly lastSeen: number;
  attach(events: LinkEvents): void;
  send(message: Message): void;
  /** Stops (and starts again) the delivery of messages: what is on the way waits at the far end. */
  pause(): void;
  resume(): void;
  /** Says why, then closes; idempotent. `closed` follows. */
  close(reason: CloseReason, explanation: string): void;
}

export interface TransportEvents {
  /** A new link, before any message. */
  link(link: Link): void;
  /**
   * An attempt to reach `remote`, or to listen, failed; the transport tries again by itself after `retryInMs`;
   * Infinity: it never will.
   */
  failed(remote: string, error: Error, retryInMs: number): void;
}

/** One end of a wire: it makes links (dials, listens, reads a topic) until it is closed. */
export interface Transport {
  /** The far ends that are configured (addresses), known before any link; empty for an end that listens. */
  readonly remotes: readonly string[];
  /** What is there. A log stands at the one remote that there is then, and says hello under its name. */
  readonly farEnd: FarEnd;
  /**
   * Resolves when it listens, or has begun to try. Rejects when it never will (a port in use that it may not wait for,
   * a bad certificate).
   */
  open(events: TransportEvents): Promise<void>;
  /** Closes every link as `going-away`, and stops. Idempotent. @param why for people at the far ends */
  close(why?: string): Promise<void>;
}
