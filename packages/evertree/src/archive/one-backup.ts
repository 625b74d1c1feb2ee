import {
  type ArchiveLease,
  type ArchiveSource,
  ArchiveThread,
  LineFile,
  type SourceExtent,
  type Target,
  backUp,
  forecastBackup,
  stoppedSource,
} from '@evertree/archive';
import { type Disk, type ExactPosition, type Frame, type Report, type Store, type StoredSnapshot, isEvertreeError } from '@evertree/core';
import { nodeDisk } from '@evertree/journal';
import { nodeRandom, workClock } from '../site/machine.ts';
import type { BackupOptions, BackupOutcome, BackupProgress, ForecastOutcome } from './backup-options.ts';
import { makeIfEmpty, sealingOf } from './initialization.ts';
import { checkApart, isBucket } from './places.ts';
import { openPlace } from './target-opening.ts';
import { backupBy, threadOptions } from './thread-options.ts';

/** One backup of a running site, in a thread beside it. The history is held meanwhile. */
export async function backupSite(store: Store, directory: string, target: string, options: BackupOptions): Promise<BackupOutcome> {
  const made = await prepare(target, options);
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
  try {
    return { site: store.site, target, made, ...(await backupBy(thread, store.clock, options.progress)) };
  } finally {
    for (const name of held) leases.release('backup', name);
  }
}

/** One backup of a directory by this process, whether its site runs or not. What is committed after this began is left out. */
export async function backupDirectory(directory: string, target: string, options: BackupOptions = {}): Promise<BackupOutcome> {
  checkApart(directory, target);
  const { disk, source } = await openDirectory(directory);
  const made = await prepare(target, options);
  await using place = await openPlace(target, options);
  const result = await backUp({
    target: place,
    source: new CountedSource(source, options.progress),
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
  return { disk, source: await stoppedSource(disk) };
}

/** Makes an archive of an empty place. @returns whether it did */
async function prepare(target: string, options: BackupOptions): Promise<boolean> {
  await using place = await openPlace(target, options, { make: true });
  return makeIfEmpty(place, sealingOf(options));
}

/** For work without a log. */
function toWarning({ level, message, event }: Report): void {
  if (level === 'warn' || level === 'error') process.emitWarning(message, { type: 'EvertreeWarning', code: event });
}

/** Tells how far the frames have been read. */
class CountedSource implements ArchiveSource {
  readonly #source: ArchiveSource;
  readonly #tell: (progress: BackupProgress) => void;
  #bytes = 0;
  /** The revision that the first frame followed. */
  #from: number | undefined;

  constructor(source: ArchiveSource, tell: (progress: BackupProgress) => void = () => undefined) {
    this.#source = source;
    this.#tell = tell;
  }

  get site(): string {
    return this.#source.site;
  }

  extent(): Promise<SourceExtent> {
    return this.#source.extent();
  }

  async *frames(after: ExactPosition): AsyncGenerator<Frame, void, undefined> {
    const { stable } = await this.#source.extent();
    for await (const frame of this.#source.frames(after)) {
      const { base, last } = frame.header;
      this.#from ??= base.revision;
      this.#bytes += frame.bytes.length;
      yield frame;
      this.#tell({ commits: last.revision - this.#from, ofCommits: stable.revision - this.#from, bytes: this.#bytes });
    }
  }

  chainAt(position: ExactPosition): Promise<string | undefined> {
    return this.#source.chainAt(position);
  }

  snapshots(): Promise<readonly StoredSnapshot[]> {
    return this.#source.snapshots();
  }

  makeSnapshot(): Promise<boolean> {
    return this.#source.makeSnapshot();
  }
}
