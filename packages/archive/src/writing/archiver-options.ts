import type { ExactPosition, Report } from '@evertree/core';
import type { GapNote } from '../format/manifest.ts';

/** How a site archives. */
export interface ArchiverOptions {
  /** What is new goes to the archive so often, in milliseconds. */
  readonly everyMs: number;
  /** The most bytes of frames that the history is held for while the target is away. */
  readonly spoolMaxBytes: number;
  /** A new image is made after this time, in milliseconds, if something has changed. */
  readonly imageEveryMs: number;
}

export const ARCHIVER_DEFAULTS: ArchiverOptions = { everyMs: 1_000, spoolMaxBytes: 1024 ** 3, imageEveryMs: 86_400_000 };

/** What whoever archives tells as it happens. Calls return at once, and never throw. */
export interface ArchiverEvents {
  readonly report: (report: Report) => void;
  /** The history after this position is to be held for the archive, instead of what was held before. */
  readonly lease: (lease: ArchiveLease) => void;
  readonly progress: (progress: ArchiveProgress) => void;
}

/** What an archive needs of the history: for a lease of the kind `backup`. */
export interface ArchiveLease {
  /** The id of the archive. */
  readonly name: string;
  readonly position: ExactPosition;
}

/** Where the archiving of a site stands. */
export interface ArchiveProgress {
  /**
   * - `starting`: it reads what the archive holds.
   * - `waiting`: the site has no commit yet.
   * - `archiving`: all is well.
   * - `away`: the target can't be reached or refuses what is written; it is tried again for ever.
   * - `refused`: this site must not write to that archive. It is looked at again now and then.
   */
  readonly state: 'starting' | 'waiting' | 'archiving' | 'away' | 'refused';
  /** The id of the archive; null until HEAD was read. */
  readonly archive: string | null;
  /** The line of this site; null until there is one. */
  readonly line: string | null;
  readonly encrypted: boolean;
  /** Everything up to here can be restored from the archive; null before the first success. */
  readonly position: ExactPosition | null;
  /** Commit time there, milliseconds since 1970. */
  readonly time: number | null;
  /** When something was archived last, or there was nothing to archive, milliseconds since 1970. */
  readonly lastSuccess: number | null;
  readonly spool: SpoolStatus;
  /** Those of the line, the oldest first: history that the archive lacks. */
  readonly gaps: readonly GapNote[];
  /** Null while all is well. */
  readonly lastError: ArchiveFailure | null;
  /** Since the start. */
  readonly written: { readonly objects: number; readonly bytes: number; readonly plainBytes: number; readonly commits: number };
}

/** The frames that wait in the journal for the target. */
export interface SpoolStatus {
  readonly bytes: number;
  readonly maxBytes: number;
  /** There was more than `maxBytes`: the history is no longer held, and a gap in the archive may follow. */
  readonly isFull: boolean;
}

/** Why nothing is archived at present. */
export interface ArchiveFailure {
  readonly code: string;
  readonly message: string;
  /** When it began, milliseconds since 1970. */
  readonly since: number;
  readonly attempts: number;
}

/** What a backup brought about. */
export interface BackupResult {
  readonly archive: string;
  readonly line: string;
  /** What can be restored now. */
  readonly position: ExactPosition;
  /** Commit time there, milliseconds since 1970. */
  readonly time: number;
  /** Digest of the tree there, 16 hex digits. */
  readonly digest: string;
  /** What was written; nothing if the archive held everything. */
  readonly objects: number;
  readonly bytes: number;
  /** Bytes of the frames and chunks in them. */
  readonly plainBytes: number;
  readonly commits: number;
  readonly images: number;
  readonly milliseconds: number;
  /** History that this backup could not archive any more. */
  readonly gap?: GapNote;
}
