import {
  type ArchiveLease,
  type ArchiveSource,
  ArchiveThread,
  HEAD_KEY,
  LineFile,
  type Target,
  backUp,
  forecastBackup,
  parseHead,
  stoppedSource,
} from '@evertree/archive';
import { EvertreeError, type Disk, type Report, type Store, isEvertreeError } from '@evertree/core';
import { nodeDisk } from '@evertree/journal';
import { asError, errorCode, LEASES_FILE, readStateFile } from '@evertree/journal/files';
import { optional } from '../optional.ts';
import { inDirectory } from '../site/directory-errors.ts';
import { nodeRandom, workClock } from '../site/machine.ts';
import type { BackupOptions, BackupOutcome, ForecastOutcome } from './backup-options.ts';
import { makeIfEmpty, sealingOf } from './initialization.ts';
import { checkApart, isBucket } from './places.ts';
import { openPlace } from './target-opening.ts';
import { backupBy, threadOptions } from './thread-options.ts';

interface SiteBackupOptions extends BackupOptions {
  /** The site closes: its directory may be another process's from then on. */
  readonly signal: AbortSignal;
}

/**
 * One backup of a running site, in a thread beside it. The history is held meanwhile.
 * @throws EvertreeError CLOSED if the site closes
 */
export async function backupSite(
  store: Store,
  directory: string,
  target: string,
  { signal, ...options }: SiteBackupOptions,
): Promise<BackupOutcome> {
  const made = await prepare(target, options);
  if (signal.aborted) throw new EvertreeError('CLOSED', 'the site closes: it makes no backup any more');
  const held = new Set<string>();
  const { leases } = store.journal;
  // That of the continuous archive, which may be the same under another name, is not this one's to change.
  const own = new Set(leases.of('backup').keys());
  await using thread = new ArchiveThread({
    ...threadOptions(store, directory, { target, ...options }, undefined),
    events: {
      report: store.report,
      lease: ({ name, position }: ArchiveLease) => {
        if (own.has(name)) return;
        held.add(name);
        leases.hold('backup', name, position);
      },
      makeSnapshot: async () => void (await store.saveSnapshot()),
    },
  });
  const end = (): void => void thread.close();
  signal.addEventListener('abort', end);
  try {
    return { site: store.site, target, made, ...(await backupBy(thread, store.clock, options.progress)) };
  } finally {
    signal.removeEventListener('abort', end);
    for (const name of held) leases.release('backup', name);
  }
}

/** One backup of a directory by this process, whether its site runs or not. What is committed after this began is left out. */
export async function backupDirectory(directory: string, target: string, options: BackupOptions = {}): Promise<BackupOutcome> {
  checkApart(directory, target);
  const { disk, source } = await openDirectory(directory);
  const made = await prepare(target, options);
  await using place = await openPlace(target, options);
  if (!made) await assertNotWritten(disk, directory, place);
  const result = await backUp({
    target: place,
    source,
    ...optional('progress', options.progress),
    lines: await LineFile.open(disk, toWarning),
    sealing: sealingOf(options),
    clock: workClock,
    random: nodeRandom,
    events: { report: toWarning, lease: () => undefined },
    siteRuns: () => isInUse(disk),
  });
  return { site: source.site, target, made, ...result };
}

/** Whether a site has the directory open. */
async function isInUse(disk: Disk): Promise<boolean> {
  try {
    await using _ = await disk.lock();
    return false;
  } catch (error) {
    if (isEvertreeError(error, 'DIRECTORY_IN_USE')) return true;
    throw error;
  }
}

/** What a backup of a directory would archive now. Reads, and changes nothing. */
export async function forecastDirectory(directory: string, target: string, options: BackupOptions = {}): Promise<ForecastOutcome> {
  checkApart(directory, target);
  const { disk, source } = await openDirectory(directory);
  const lines = await LineFile.open(disk, toWarning);
  await using place = await openIfThere(target, options);
  const forecast = await forecastBackup({ target: place, source, lines, sealing: sealingOf(options) });
  return { site: source.site, target, ...forecast };
}

/** A directory that is missing would be made. */
async function openIfThere(target: string, options: BackupOptions): Promise<Target | undefined> {
  try {
    return await openPlace(target, options);
  } catch (error) {
    if (isBucket(target) || !isEvertreeError(error, 'NOT_FOUND')) throw error;
    return undefined;
  }
}

/** @throws EvertreeError NOT_FOUND */
async function openDirectory(directory: string): Promise<{ readonly disk: Disk; readonly source: ArchiveSource }> {
  const disk = nodeDisk(directory);
  try {
    return { disk, source: await inDirectory(directory, () => stoppedSource(disk, toWarning)) };
  } catch (error) {
    const isFile = errorCode(error) === 'ENOTDIR';
    if (!isFile && !isEvertreeError(error, 'NOT_FOUND')) throw error;
    const problem = isFile ? 'it is a file' : asError(error).message;
    const message = `${directory} is no directory of a site; name the one that a site has as --data (${problem})`;
    throw new EvertreeError('NOT_FOUND', message, { directory }, error);
  }
}

/**
 * A site that runs and archives there would lose its line to this process, and begin another one with an image.
 * @throws EvertreeError DIRECTORY_IN_USE
 */
async function assertNotWritten(disk: Disk, directory: string, place: Target): Promise<void> {
  const head = await place.get(HEAD_KEY);
  const leases = await readStateFile(disk, LEASES_FILE);
  if (head === undefined || leases?.includes(parseHead(head.bytes).archive) !== true) return;
  try {
    // Free if the site does not run: then this goes on in its line.
    await using _ = await disk.lock();
  } catch (error) {
    if (!isEvertreeError(error, 'DIRECTORY_IN_USE')) throw error;
    const message = `the site that runs on ${directory} archives to ${place.name} by itself: leave --data out, so that it makes the backup`;
    throw new EvertreeError('DIRECTORY_IN_USE', message, { target: place.name }, error);
  }
}

/** Makes an archive of an empty place. @returns whether it did */
async function prepare(target: string, options: BackupOptions): Promise<boolean> {
  await using place = await openPlace(target, options, { make: true });
  return await makeIfEmpty(place, sealingOf(options));
}

/** For work without a log. */
function toWarning({ level, message, event }: Report): void {
  if (level === 'warn' || level === 'error') process.emitWarning(message, { type: 'EvertreeWarning', code: event });
}
