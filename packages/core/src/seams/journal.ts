import type { Frame, FrameHeader } from '../frames/frame.ts';
import type { Epoch, ExactPosition } from '../position.ts';

export type Role = 'primary' | 'secondary';

/** Who a data directory belongs to; recorded in the journal. */
export interface Identity {
  readonly site: string;
  readonly role: Role;
}

/** The head of a stored or travelling snapshot: everything a site needs to go on from it. */
export interface SnapshotHeader {
  readonly stream: string;
  readonly position: ExactPosition;
  /** Digest of the whole tree at that position, 16 hex digits. */
  readonly digest: string;
  /** SHA-256 of the frame that ends at the position, 64 hex digits. */
  readonly chain: string;
  /** Every epoch of the stream up to the position, oldest first. */
  readonly epochs: readonly Epoch[];
  /** Commit time of the position, milliseconds since 1970. */
  readonly time: number;
}

export interface StoredSnapshot {
  readonly header: SnapshotHeader;
  readonly bytes: number;
  /** The chunks in order, each checked against its checksum. Throws DAMAGED with file and offset. */
  chunks(): AsyncIterable<Uint8Array>;
}

export interface SnapshotWriter {
  /** Resolves when the chunk has been handed to the disk: awaiting it bounds memory. */
  write(chunk: Uint8Array): Promise<void>;
  /** Makes the snapshot durable and visible to `SnapshotStore.newest`, both or neither. */
  commit(): Promise<void>;
  /** Leaves no trace. */
  abort(): Promise<void>;
}

/**
 * - `open`: takes frames and makes them durable.
 * - `full`: no room (ENOSPC); what was appended stays pending and is tried again, appends are taken but the store takes no commits.
 * - `failed`: a write or sync failed; never tried again on that file. The site has to stop and recover from what the disk holds.
 * - `closed`.
 */
export type JournalState = 'open' | 'full' | 'failed' | 'closed';

/** How much the history takes, and who it is getting short for. */
export interface RetentionStatus {
  readonly storedBytes: number;
  /** What segments and snapshots may take. */
  readonly maxBytes: number;
  /** Whether little of it is left. */
  readonly isNear: boolean;
  /** Peers that will need a full copy if they stay away, the one furthest behind first. */
  readonly atRisk: readonly string[];
  /** Peers that need one already: what they would go on with has gone. */
  readonly passed: readonly string[];
}

/**
 * A site's durable history, in parts: each caller takes the part that it needs.
 *
 * Laws, held by one conformance suite for every implementation:
 * - **Order.** The log takes frames whose base is its `last` exactly; anything else changes nothing.
 * - **Durability.** `log.stable` moves only over whole frames, in order, and only when they are on stable storage.
 * - **Same bytes.** A frame is read back as the bytes that were appended, with its trailer.
 * - **Reopening** gives every frame that was ever stable, and none that does not follow from them.
 *
 * The law of what each part survives stands at that part. A journal in memory (`log.durable` is false) survives nothing but its readers.
 */
export interface Journal extends AsyncDisposable {
  readonly log: FrameLog;
  readonly snapshots: SnapshotStore;
  readonly identity: SiteIdentity;
  readonly leases: Leases;
  readonly retention: Retention;

  /** Makes stable what can be, then takes nothing more; every later call throws CLOSED. */
  close(): Promise<void>;
}

/**
 * The frames, in order.
 *
 * - **Process death**: what was written and not yet stable may be there after a restart, as whole frames in order.
 * - **Power loss**: everything up to `stable` is there; of what was pending, whole frames that follow, or none.
 * - **A full disk**: nothing is lost; what was appended stays pending until there is room (`state` is `full`).
 * - **A failed write or sync**: `state` is `failed`, nothing is written any more, and what the disk holds is found out at the next opening.
 */
export interface FrameLog {
  readonly state: JournalState;
  /** Why `state` is `full` or `failed`; undefined in the other states. */
  readonly failure: Error | undefined;
  /** False for a journal in memory: `stable` then means only «taken», and nothing ever counts as durable. */
  readonly durable: boolean;
  /** Frames after this position can be read. ORIGIN for a whole history. Never beyond `stable`. */
  readonly base: ExactPosition;
  /** The last position appended. Never before `stable`. */
  readonly last: ExactPosition;
  /** The last position that may leave the process. The end of a whole frame, always. */
  readonly stable: ExactPosition;
  /** Bytes of the frames after `stable`, up to `last`. */
  readonly pendingBytes: number;
  /** A write is in flight: frames appended now wait for the next group, so a writer may as well gather more. */
  readonly busy: boolean;

  /**
   * Takes the frame, synchronously; the bytes belong to the journal from now on. `trailer` is the site's own note beside it.
   * @throws HISTORY_MISMATCH with both positions if the frame's base is not `last`, by position and epoch id; nothing changes
   */
  append(frame: Frame, trailer?: Uint8Array): void;
  /** Writes and syncs everything pending before it returns. On ENOSPC it leaves `state` at `full` and returns. */
  flushSync(): void;
  /** Resolves when everything appended before the call is stable; rejects when the journal fails or closes before. */
  flush(): Promise<void>;
  /** Called, in order of registration, after each group became stable and after each change of `state`. */
  onProgress(listener: () => void): Disposable;

  /**
   * Reads stable frames after `position`, oldest first.
   * @throws COMPACTED when the journal does not reach back to it (also later, from `next`, when retention overtakes the reader)
   */
  read(position: ExactPosition): FrameReader;
  /**
   * The header of the stable frame that ends exactly at `position`, if it is here (epoch id compared, too). With `within`: of the one
   * that holds the change set of that position, so that a reader can go on in the middle of a frame, from its base.
   */
  find(position: ExactPosition, options?: { readonly within?: boolean }): Promise<FrameHeader | undefined>;
}

/**
 * Whole trees, each at one position. A committed snapshot survives process death and power loss; one under way leaves no trace after
 * either. Without room on the disk, and after a failed sync, `write` or `commit` throws and nothing has changed.
 */
export interface SnapshotStore {
  newest(): Promise<StoredSnapshot | undefined>;
  /**
   * Begins a snapshot file. With `replace`, committing it makes it the beginning of this journal's history: `base`, `last` and
   * `stable` become its position, and the frames before it are dropped (a secondary that was too far behind).
   */
  create(header: SnapshotHeader, options?: { readonly replace?: boolean }): Promise<SnapshotWriter>;
}

/** Who the history belongs to. What a call recorded survives process death and power loss once it resolves. */
export interface SiteIdentity extends Identity {
  /** Records the role, durably. */
  setRole(role: Role): Promise<void>;
}

/** What a lease is for: `peer` is a secondary, which needs what follows the position that it holds durably. */
export type LeaseKind = 'peer';

/** Somebody needs what follows `position`. */
export interface Lease {
  readonly position: ExactPosition;
}

/**
 * Named claims on the history, told apart by kind and name. Retention keeps what they ask for within its limits.
 *
 * They are written within a second of a change, and at close: process death and power loss may take a lease back to what it was a second
 * before, which asks for too much, never for too little. A file that can't be read loses them all, and that is reported.
 */
export interface Leases {
  /** Those of one kind, by name; a view that changes as they do. */
  of(kind: LeaseKind): ReadonlyMap<string, Lease>;
  /** Makes or moves a lease. */
  hold(kind: LeaseKind, name: string, position: ExactPosition): void;
  /** @returns whether there was one */
  release(kind: LeaseKind, name: string): boolean;
}

/** What may go of the history, and what it takes. */
export interface Retention {
  /** Bytes that segments and snapshots take on the disk. */
  readonly storedBytes: number;
  /** As of the last time that it was applied; undefined where nothing limits the history. */
  readonly status: RetentionStatus | undefined;
  /** Drops what nothing asks for any more; called by the site now and then, and after each snapshot. A crash within it leaves a whole history. */
  apply(): Promise<void>;
}

export interface StoredFrame {
  readonly frame: Frame;
  readonly trailer: Uint8Array | undefined;
}

export interface FrameReader {
  /** The next stable frame, or undefined when there is none yet: ask again after `onProgress`. One call at a time. */
  next(): Promise<StoredFrame | undefined>;
  close(): Promise<void>;
}
