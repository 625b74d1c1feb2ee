import type { Clock, FrameLog } from '@evertree/core';
import type { ArchiveProgress, ArchiverEvents, ArchiverOptions, BackupResult } from './archiver-options.ts';

/** How a target is reached: what `openTarget` takes beside clock and random. */
export interface TargetSettings {
  readonly endpoint?: string;
  readonly region?: string;
  readonly profile?: string;
  readonly pathStyle?: boolean;
}

export interface ArchiveThreadOptions {
  /** The site's, in which the thread reads the history. */
  readonly directory: string;
  readonly site: string;
  /** As people write it: a directory, or `s3://bucket/prefix`. */
  readonly target: string;
  readonly settings: TargetSettings;
  /** What files of recipients hold; undefined for an archive that is not encrypted. */
  readonly recipients: readonly string[] | undefined;
  /** Undefined for a single backup: nothing is archived but when `backup` is called. */
  readonly follow: ArchiverOptions | undefined;
  readonly log: Pick<FrameLog, 'base' | 'stable' | 'onProgress'>;
  readonly clock: Clock;
  readonly events: ArchiveThreadEvents;
}

export interface ArchiveThreadEvents extends Pick<ArchiverEvents, 'report' | 'lease'> {
  /** A snapshot of the present state is needed for an image. Resolves when it is saved; rejects if it can't be. */
  readonly makeSnapshot: () => Promise<void>;
}

/** What `status` and metrics show of a site's archive. */
export interface ArchiveStatus extends ArchiveProgress {
  /** As people write it. */
  readonly target: string;
  readonly lag: {
    /** Stable commits that the archive lacks. */
    readonly commits: number;
    /** How long the oldest of them has been stable, in milliseconds; 0 if there is none. */
    readonly milliseconds: number;
  };
}

/** Archives the history of a site in a thread of its own. */
export interface ArchivingThread extends AsyncDisposable {
  readonly status: ArchiveStatus;
  /** Archives everything that is stable now. */
  backup(): Promise<BackupResult>;
  /** Ends the thread. What is under way is given up, as if the process had died: the next start goes on from there. */
  close(): Promise<void>;
}
