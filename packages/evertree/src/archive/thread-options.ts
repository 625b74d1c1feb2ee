import {
  ARCHIVER_DEFAULTS,
  type ArchiveStatus,
  type ArchiveThreadOptions,
  type ArchiverOptions,
  type ArchivingThread,
  type BackupResult,
  type BackupProgress,
  type TargetSettings,
} from '@evertree/archive';
import type { Clock, Store } from '@evertree/core';
import type { ArchiveConfiguration } from '../configuration/configuration.ts';
import { optional } from '../optional.ts';

/** An archive that is written. */
export type WrittenArchive = ArchiveConfiguration & { readonly target: string };

/** How often the progress of a thread is looked at. */
const PROGRESS_MS = 200;

/** How a target is reached. */
export function targetSettings({ endpoint, region, profile, pathStyle }: TargetSettings): TargetSettings {
  return {
    ...optional('fallbackRegion', process.env['AWS_DEFAULT_REGION'] || undefined),
    ...optional('endpoint', endpoint),
    ...optional('region', region),
    ...optional('profile', profile),
    ...optional('pathStyle', pathStyle),
  };
}

/** How a site archives continuously. */
export function followOptions({ everyMs, spoolMaxBytes, imageEveryMs }: ArchiveConfiguration): ArchiverOptions {
  return {
    everyMs: everyMs ?? ARCHIVER_DEFAULTS.everyMs,
    spoolMaxBytes: spoolMaxBytes ?? ARCHIVER_DEFAULTS.spoolMaxBytes,
    imageEveryMs: imageEveryMs ?? ARCHIVER_DEFAULTS.imageEveryMs,
  };
}

/**
 * What a thread is begun with, but for what it tells.
 * @param directory the site's
 * @param follow undefined for a single backup
 */
export function threadOptions(
  store: Store,
  directory: string,
  archive: WrittenArchive,
  follow: ArchiverOptions | undefined,
): Omit<ArchiveThreadOptions, 'events'> {
  return {
    directory,
    site: store.site,
    target: archive.target,
    settings: targetSettings(archive),
    recipients: archive.recipients,
    follow,
    log: store.journal.log,
    clock: store.clock,
  };
}

/** A backup by a thread, whose progress is told now and then. */
export async function backupBy(
  thread: ArchivingThread,
  clock: Clock,
  tell: ((progress: BackupProgress) => void) | undefined,
): Promise<BackupResult> {
  const before = thread.status.written;
  let timer: Disposable | undefined;
  const look = (): void => {
    tell?.(thread.counted ?? progressOf(thread.status, before));
    timer = clock.after(PROGRESS_MS, look);
  };
  if (tell !== undefined) look();
  try {
    return await thread.backup();
  } finally {
    timer?.[Symbol.dispose]();
  }
}

function progressOf({ written, lag }: ArchiveStatus, before: ArchiveStatus['written']): BackupProgress {
  const commits = written.commits - before.commits;
  return { commits, ofCommits: commits + lag.commits, bytes: written.plainBytes - before.plainBytes };
}
