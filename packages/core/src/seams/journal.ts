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
  /** Makes the snapshot durable and visible to `newestSnapshot`, both or neither. */
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
 * A site's durable, append-only history: frames, snapshots, the site's identity, the list of its peers.
 *
 * Laws, held by one conformance suite for every implementation:
 * - **Order.** `append` takes frames whose base is `last` exactly (position and epoch id, or an epoch's first frame whose base is
 *   `last`); anything else throws HISTORY_MISMATCH with both positions and changes nothing.
 * - **Durability.** `stable` moves only over whole frames, in order, and only when they are on stable storage. Readers and `find` see
 *   stable frames only. One sync is in flight at a time; whatever is appended meanwhile makes up the next group.
 * - **Same bytes.** A frame is read back as the bytes that were appended, with its trailer.
 * - **Reopening** gives every frame that was ever stable, and none that does not follow from them.
 */
export interface Journal extends AsyncDisposable {
  readonly identity: Identity;
  /** Records the role, durably. */
  setRole(role: Role): Promise<void>;
  readonly state: JournalState;
  /** Why `state` is `full` or `failed`. */
  readonly failure: Error | undefined;
  /** False for a journal in memory: `stable` then means only «taken», and nothing ever counts as durable. */
  readonly durable: boolean;
  /** Frames after this position can be read. ORIGIN for a whole history. */
  readonly base: ExactPosition;
  /** The last position appended. */
  readonly last: ExactPosition;
  /** The last position that may leave the process. */
  readonly stable: ExactPosition;
  /** Bytes appended that are not stable yet. */
  readonly pendingBytes: number;
  /** Bytes that segments and snapshots take on the disk. */
  readonly storedBytes: number;
  /** As of the last time that retention ran; absent where nothing limits the history. */
  readonly retention?: RetentionStatus;
  /** A write is in flight: frames appended now wait for the next group, so a writer may as well gather more. */
  readonly busy: boolean;

  /** Takes the frame, synchronously; the bytes belong to the journal from now on. `trailer` is the site's own note beside it. */
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

  newestSnapshot(): Promise<StoredSnapshot | undefined>;
  /**
   * Begins a snapshot file. With `replace`, committing it makes it the beginning of this journal's history: `base`, `last` and
   * `stable` become its position, and the frames before it are dropped (a secondary that was too far behind).
   */
  createSnapshot(header: SnapshotHeader, options?: { readonly replace?: boolean }): Promise<SnapshotWriter>;

  /** The secondaries known here and the last position each holds durably; survives restarts (written within a second, and at close). */
  readonly peers: ReadonlyMap<string, ExactPosition>;
  setPeer(site: string, durable: ExactPosition): void;
  forgetPeer(site: string): boolean;
  /** Drops what retention no longer asks for; called by the site now and then, and after each snapshot. */
  retain(): Promise<void>;

  close(): Promise<void>;
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
