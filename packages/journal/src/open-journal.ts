import type { Clock, Disk, Identity, Random, Reporter } from '@evertree/core';
import { EvertreeError, isEvertreeError } from '@evertree/core';
import { DiskJournal } from './disk-journal.ts';
import { asError, isNoSpace } from './groups/failure.ts';
import { DiskIdentity } from './site/disk-identity.ts';
import { DiskLeases } from './leases/disk-leases.ts';
import { DiskLog } from './disk-log.ts';
import { GroupCommit } from './groups/group-commit.ts';
import { History } from './segments/history.ts';
import { SEGMENT_DIRECTORY, SNAPSHOT_DIRECTORY } from './site/layout.ts';
import type { JournalOptions } from './options.ts';
import { resolveOptions } from './options.ts';
import { restore } from './recovery/restore.ts';
import { assertNoOrphans, survey } from './recovery/survey.ts';
import { Retainer } from './retention/retainer.ts';
import { readSite, settleIdentity, writeSite } from './site/site-file.ts';
import { SnapshotPublisher } from './snapshots/snapshot-publisher.ts';
import { Snapshots } from './snapshots/snapshots.ts';
import { probeSyncMode } from './disk/sync-probe.ts';

export interface OpenJournalArguments {
  /** The site's directory: `nodeDisk(directory)`, or one of a test. */
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly report: Reporter;
  /** Who a new directory belongs to (a drawn name, a primary); for an old one it has to agree with what is recorded. */
  readonly identity?: Partial<Identity>;
  readonly options?: JournalOptions;
}

/**
 * Opens a site's history, and recovers it from what the directory holds.
 * @throws EvertreeError DIRECTORY_IN_USE, DAMAGED (nothing was changed), FORMAT_UNSUPPORTED, WRONG_ROLE, CONFIGURATION_INVALID,
 *   STORAGE_FAILED, STORAGE_FULL (it can't be written to)
 */
export async function openJournal(given: OpenJournalArguments): Promise<DiskJournal> {
  const lock = await given.disk.lock();
  try {
    return await openLocked(given, lock);
  } catch (error) {
    await lock[Symbol.asyncDispose]();
    throw isEvertreeError(error) ? error : openingFailed(error);
  }
}

async function openLocked(given: OpenJournalArguments, lock: AsyncDisposable): Promise<DiskJournal> {
  const { disk, clock, random, report } = given;
  const options = resolveOptions(given.options ?? {}, (await disk.space()).totalBytes);
  const site = await readSite(disk);
  const identity = settleIdentity(site, given.identity ?? {}, random);
  await disk.makeDirectory(SEGMENT_DIRECTORY);
  await disk.makeDirectory(SNAPSHOT_DIRECTORY);
  const mark = await disk.mark();
  const isCopy = site !== undefined && site.directory !== mark;
  const findings = await survey(disk, isCopy);
  if (site === undefined) assertNoOrphans(findings);
  const leases = new DiskLeases(disk, clock, report);
  await leases.load();
  // From here on things change: all that could speak against it has been asked.
  const start = await restore(disk, findings, report);
  if (site?.directory !== mark) await writeSite(disk, { ...identity, directory: mark });
  if (isCopy) reportCopy(report);
  const mode = options.sync === 'auto' ? await probeSyncMode(disk, clock) : options.sync;
  const { segmentBytes, tailBytes } = options;
  const history: History = new History({
    disk,
    random,
    segmentBytes,
    tailBytes,
    mode,
    failed: error => commit.fail(error),
    switched: () => retainer.retainSoon(),
  });
  await history.start(start);
  const snapshots = new Snapshots(disk, findings.snapshots);
  const stream = start.segments[0]?.header.stream ?? snapshots.newest?.header.stream;
  const commit: GroupCommit = new GroupCommit(history, clock, report, stream);
  const retainer: Retainer = new Retainer(
    { disk, clock, report, history, commit, snapshots, leases },
    { maxBytes: options.retentionMaxBytes, minBytes: options.retentionMinBytes, minMs: options.retentionMinMs },
  );
  return new DiskJournal({
    log: new DiskLog(disk, history, commit),
    snapshots: new SnapshotPublisher({ disk, clock, history, commit, snapshots, retainer }),
    identity: new DiskIdentity({ disk, commit, retainer }, { ...identity, directory: mark }),
    leases,
    retention: retainer,
    history,
    commit,
    lock,
  });
}

function reportCopy(report: Reporter): void {
  const message =
    'this directory is a copy of another one, and a site of its own from now on; it holds the history up to some point of the copying';
  report({ level: 'info', event: 'directory-copied', message });
}

function openingFailed(error: unknown): EvertreeError {
  const problem = `the site's directory can't be opened (${asError(error).message})`;
  if (isNoSpace(error)) return new EvertreeError('STORAGE_FULL', `${problem}; make room on its disk`, {}, error);
  return new EvertreeError('STORAGE_FAILED', `${problem}; make all that is in it readable and writable`, {}, error);
}
