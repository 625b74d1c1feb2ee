import type { Frame, FrameHeader } from '../frames/frame.ts';
import type { EpochName, Fencing } from '../lineage.ts';
import type { ExactPosition } from '../position.ts';
import type { Divergences, Keep } from './divergences.ts';
import type { ListedSnapshot, SnapshotHeader, StoredFrame, StoredSnapshot } from './stored.ts';

export type { ListedSnapshot, SnapshotHeader, StoredFrame, StoredSnapshot } from './stored.ts';

export type Role = 'primary' | 'secondary';

/** Who a data directory belongs to; recorded in the journal. */
export interface Identity {
  readonly site: string;
  readonly role: Role;
}

export interface SnapshotWriter {
  /** Resolves when the chunk has been handed to the disk: awaiting it bounds memory. */
  write(chunk: Uint8Array): Promise<void>;
  /**
   * Makes the snapshot durable and visible to `SnapshotStore.newest`, both or neither.
   * @param moved for one that replaces the history: called in the very step in which the log's `base`, `last` and
   *   `stable` move, before anybody is told, so that whoever holds the tree moves with them. It must not throw
   */
  commit(moved?: () => void): Promise<void>;
  /** Drops what was written so far. */
  abort(): Promise<void>;
}

/**
 * - `open`: takes frames and makes them durable.
 * - `full`: no room (ENOSPC); what was appended stays pending and is tried again, appends are taken but the store takes
 *   no commits.
 * - `failed`: a write or sync failed; never tried again on that file. The site has to stop and recover from what the
 *   disk holds.
 * - `closed`.
 */
export type JournalState = 'open' | 'full' | 'failed' | 'closed';

/** History that is older than the limits of retention, and stays because somebody needs it. */
export interface HeldHistory {
  /** Who needs it: a secondary (`peer`), a copy under way, or an archive. */
  readonly kind: LeaseKind;
  readonly name: string;
  /** It needs what follows this position. */
  readonly position: ExactPosition;
  /** Bytes of segments that would go without this lease and those that are further ahead. */
  readonly bytes: number;
}

/** How much room the history takes, and which peers it does not reach, or soon will not. As of now. */
export interface RetentionStatus {
  /** What segments and snapshots may take. */
  readonly maxBytes: number;
  /** Peers that will need a full copy if they stay away, the one furthest behind first. */
  readonly atRisk: readonly string[];
  /** Peers that need a full copy already: retention has dropped the frames that they need. */
  readonly passed: readonly string[];
  /** The oldest state that can be rebuilt, and its commit time if it is known; the origin if nothing was dropped. */
  readonly from: { readonly position: ExactPosition; readonly time: number | undefined };
  /** When `maxBytes` is reached at the rate of the newest history, in milliseconds; undefined if it does not grow. */
  readonly fullInMs: number | undefined;
  /** What is kept beyond the limits, and for whom; the one furthest behind first. */
  readonly held: readonly HeldHistory[];
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
 * The law of what each part survives stands at that part. A journal in memory (`log.durable` is false) survives nothing
 * but its readers.
 */
export interface Journal extends AsyncDisposable {
  readonly log: FrameLog;
  readonly snapshots: SnapshotStore;
  readonly identity: SiteIdentity;
  readonly divergences: Divergences;
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
 * - **A failed write or sync**: `state` is `failed`, nothing is written any more, and what the disk holds is found out
 *   at the next opening.
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
   * Takes the frame, synchronously; the bytes belong to the journal from now on. `trailer` is the site's own note
   * beside it.
   * @throws HISTORY_MISMATCH with both positions if the frame's base is not `last`, by position and epoch id; nothing
   *   changes
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
   * @param options.fleeting a frame's bytes are valid only until the next one is asked for: reading much takes no new
   *   memory then
   * @throws COMPACTED when the journal does not reach back to it (also later, from `next`, when retention overtakes the
   *   reader)
   */
  read(position: ExactPosition, options?: { readonly fleeting?: boolean }): FrameReader;
  /**
   * The header of the stable frame that ends exactly at `position`, if it is here (epoch id compared, too). With
   * `within`: of the one that holds the change set of that position, so that a reader can go on in the middle of a
   * frame, from its base.
   */
  find(position: ExactPosition, options?: { readonly within?: boolean }): Promise<FrameHeader | undefined>;
  /**
   * The header of the last stable frame whose first change set is not after `time`; undefined when all frames that are
   * here are later.
   *
   * The last commit not after `time` lies in that frame: commit times never go back within an epoch, and a frame
   * belongs to one epoch. Across epochs they may go back; then it is the last such frame of the history that stands,
   * and its header tells the epoch.
   * @param time milliseconds since 1970
   */
  findByTime(time: number): Promise<FrameHeader | undefined>;

  /**
   * Cuts the history back to `position`: the frames and snapshots after it go, and `last` and `stable` become
   * `position`. Frames of another history may then follow.
   *
   * `keep` is handed the frames that go, before anything is touched. It resolves when it has made all of them durable
   * elsewhere; if it rejects, nothing was cut. If nothing goes, neither `keep` nor `moved` is called. Until the cut
   * ends `append` throws; readers beyond `position` throw HISTORY_MISMATCH afterwards.
   *
   * **Process death, power loss**: at whatever step, the next opening finds the old history or the cut one, whole; once
   * this has resolved, the cut one. **A full disk**: throws STORAGE_FULL and nothing was cut.
   * @param moved called in the very step in which `last` and `stable` move, before anybody is told, so that whoever
   *   holds the tree moves with them. It must not throw.
   * @throws HISTORY_MISMATCH when no frame ends at `position`; COMPACTED when the history, or the snapshot that it
   *   would then have to begin with, does not reach back to it
   */
  rewind(position: ExactPosition, keep: Keep, moved?: () => void): Promise<void>;
}

/**
 * Whole trees, each at one position. A committed snapshot survives process death and power loss; one under way leaves
 * no trace after either. Without room on the disk, and after a failed sync, `write` or `commit` throws and nothing has
 * changed.
 */
export interface SnapshotStore {
  /** Oldest first. Nothing is read from the disk. */
  readonly list: readonly ListedSnapshot[];
  /** The newest snapshot; with `atOrBefore`, a position of this history, the newest that is not after it. */
  newest(atOrBefore?: ExactPosition): Promise<StoredSnapshot | undefined>;
  /**
   * Begins a snapshot file. With `replace`, committing it makes it the beginning of this journal's history: `base`,
   * `last` and `stable` become its position, and the frames before it are dropped (a secondary that was too far
   * behind, or that goes back further than its journal reaches).
   */
  create(header: SnapshotHeader, options?: SnapshotOptions): Promise<SnapshotWriter>;
}

export interface SnapshotOptions {
  readonly replace?: boolean;
  /**
   * For a snapshot that replaces a history which it does not hold all of. Committing it hands the frames after the
   * fork of the two to `keep`, before anything is touched. If `keep` rejects, so does `commit`, and nothing has
   * changed. If nothing lies after the fork, `keep` is not called. If no frame of this history ends at the fork, all that
   * is here is handed out: rather too much than too little.
   */
  readonly diverged?: { readonly fork: ExactPosition; readonly keep: Keep };
}

/** The most declined commands that are kept: the newest. */
export const DECLINED_LIMIT = 64;

/** Who the history belongs to. What a call recorded survives process death and power loss once it resolves. */
export interface SiteIdentity extends Identity {
  /** The highest epoch that this site heard of; it never falls. A site takes no writes in an epoch below it. */
  readonly fencedBy: Fencing | undefined;
  /**
   * The highest number of an epoch that hellos told of; it never falls. Unlike `fencedBy` it keeps nobody from writing: a
   * site that begins an epoch takes a higher number. The id is NO_EPOCH_ID unless it is that of one promise.
   */
  readonly heard: EpochName | undefined;
  /** Commands for which this site begins no epoch, whatever it is told later. */
  readonly declined: ReadonlySet<string>;
  /** Records the role, durably. */
  setRole(role: Role): Promise<void>;
  /**
   * Records, durably, that there is such an epoch. One that is not higher than `fencedBy` changes nothing, but an epoch
   * that has begun replaces the promise of the same epoch.
   */
  fence(fencing: Fencing): Promise<void>;
  /** Records, durably, that hellos told of such an epoch; a lower number changes nothing. */
  hear(epoch: EpochName): Promise<void>;
  /** Records, durably, that the command was declined; the oldest beyond `DECLINED_LIMIT` are dropped. */
  decline(command: string): Promise<void>;
}

/**
 * What a lease is for:
 * - `peer`: a secondary, which needs what follows the position that it holds durably. It stays listed when retention
 *   has passed it. While this site follows another primary, which feeds that secondary, the lease has an end.
 * - `copy`: a copy of the directory or of a snapshot that is being made.
 * - `backup`: an archive, which needs what follows the position that it holds.
 */
export type LeaseKind = 'peer' | 'copy' | 'backup';

/** Somebody needs what follows `position`. */
export interface Lease {
  readonly position: ExactPosition;
  /** From then on it asks for nothing, milliseconds since 1970; undefined for one that stays until it is released. */
  readonly expiresAt: number | undefined;
}

/**
 * Named claims on the history, told apart by kind and name. Retention keeps what they ask for within its limits. A
 * position that this history does not hold asks for what follows the fork of the two histories; one of an unknown epoch
 * asks for nothing.
 *
 * When retention is applied, expired leases go, and so do those (but for peers) that it could not honour within its
 * limits: as long as such a lease is listed, all that it asks for has been here since it was made.
 *
 * They are written within a second of a change, and at close: process death and power loss may take a lease back to
 * what it was a second before, or lose a new one; `flush` is there for one that must not be lost. On a full disk, and
 * after a failed sync, they live on in memory, and writing is tried again. A file that can't be read loses them all,
 * and that is reported.
 */
export interface Leases {
  /** Those of one kind, by name; a view that changes as they do. */
  of(kind: LeaseKind): ReadonlyMap<string, Lease>;
  /** Makes, moves or renews a lease. */
  hold(kind: LeaseKind, name: string, position: ExactPosition, expiresAt?: number): void;
  /** @returns whether there was one */
  release(kind: LeaseKind, name: string): boolean;
  /** Resolves when all changes so far survive process death and power loss; rejects when they could not be written. */
  flush(): Promise<void>;
}

/** What may go of the history, and what it takes. */
export interface Retention {
  /** Bytes that segments and snapshots take on the disk. */
  readonly storedBytes: number;
  /** Undefined where nothing limits the history. */
  readonly status: RetentionStatus | undefined;
  /** Bytes that are free on the disk now; undefined where nothing is on a disk. */
  freeBytes(): Promise<number | undefined>;
  /**
   * Drops what nothing asks for any more; called by the site now and then, and after each snapshot. A crash within it
   * leaves a whole history.
   */
  apply(): Promise<void>;
}

export interface FrameReader {
  /** The next stable frame, or undefined when there is none yet: ask again after `onProgress`. One call at a time. */
  next(): Promise<StoredFrame | undefined>;
  close(): Promise<void>;
}
