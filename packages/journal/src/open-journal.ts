import type { Clock, Disk, ExactPosition, Identity, Random, Reporter } from '@evertree/core';
import { EvertreeError, formatPosition, isEvertreeError } from '@evertree/core';
import { DiskJournal } from './disk-journal.ts';
import { asError, isNoSpace } from './groups/failure.ts';
import { removeFiles } from './disk/removal.ts';
import { DiskDivergences, findDivergences } from './divergences/disk-divergences.ts';
import { DiskIdentity } from './site/disk-identity.ts';
import { DiskLeases } from './leases/disk-leases.ts';
import { DiskLog } from './disk-log.ts';
import { GroupCommit } from './groups/group-commit.ts';
import { SegmentList } from './segments/segment-list.ts';
import { SEGMENT_DIRECTORY, SITE_FILE, SNAPSHOT_DIRECTORY } from './site/layout.ts';
import type { JournalOptions } from './options.ts';
import { resolveOptions } from './options.ts';
import { restore } from './recovery/restore.ts';
import { assertNoOrphans, survey } from './recovery/survey.ts';
import { finishRewind } from './rewind/rewind-file.ts';
import { Rewinder } from './rewind/rewinder.ts';
import { Retainer } from './retention/retainer.ts';
import type { FoundSite, SiteFile } from './site/site-file.ts';
import { readSite, settleIdentity, writeSite } from './site/site-file.ts';
import { assertFinished } from './site/unfinished-file.ts';
import { DiskSnapshots } from './snapshots/disk-snapshots.ts';
import { SnapshotList } from './snapshots/snapshot-list.ts';
import { findShortage } from './disk/room-probe.ts';
import { probeSyncMode } from './disk/sync-probe.ts';

export interface OpenJournalArguments {
  /** The site's directory: `nodeDisk(directory)`, or a disk of a test. */
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly report: Reporter;
  /**
   * The name and role of a new directory; by default a random name, and the role of a primary. For an existing
   * directory they have to be those that it records. A copy of a directory may be given another name; a copy of a
   * secondary's directory that is given none gets a random one.
   */
  readonly identity?: Partial<Identity>;
  readonly options?: JournalOptions;
}

/**
 * Opens a site's history, and recovers it from what the directory holds.
 * @throws EvertreeError DIRECTORY_IN_USE, UNFINISHED, DAMAGED (nothing was changed), FORMAT_UNSUPPORTED, WRONG_ROLE,
 *   CONFIGURATION_INVALID, STORAGE_FAILED, STORAGE_FULL (it can't be written to)
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
  const resolve = async () => resolveOptions(given.options ?? {}, (await disk.space()).totalBytes);
  const options = await resolve();
  await assertFinished(disk);
  const mark = await disk.mark();
  const site = await readSite(disk);
  const isCopy = site !== undefined && site.record.directory !== mark;
  const identity = settleIdentity(site?.record, given.identity ?? {}, random, isCopy);
  await disk.makeDirectory(SEGMENT_DIRECTORY);
  await disk.makeDirectory(SNAPSHOT_DIRECTORY);
  const rewound = site === undefined ? undefined : await finishRewind(disk);
  const findings = await survey(disk, isCopy);
  if (site === undefined) assertNoOrphans(findings);
  const leases = new DiskLeases(disk, clock, report);
  await leases.load();
  const divergences = await findDivergences(disk, report);
  // Everything that can refuse the opening has been checked. From here on the directory is changed.
  const start = await restore(disk, findings, report, options.detachedMaxBytes);
  await removeFiles(disk, divergences.leftovers);
  const { fencedBy, heard, declined = [] } = site?.record ?? {};
  const record = { ...identity, directory: mark, fencedBy, heard, declined, closedAt: undefined };
  const isStale = !(await recordOpening({ disk, report, leases }, record, site, isCopy));
  if (isCopy) reportCopy(report, site.record.site, identity.site);
  reportLoss(report, rewound ?? site?.record.closedAt, findings.choice.last, isCopy);
  const shortage = await findShortage(disk);
  const mode = options.sync === 'auto' ? await probeSyncMode(disk, clock) : options.sync;
  const { segmentBytes, tailBytes } = options;
  const history: SegmentList = new SegmentList({
    disk,
    random,
    segmentBytes,
    tailBytes,
    mode,
    failed: error => commit.fail(error),
    switched: () => retainer.retainSoon(),
  });
  await history.start(start);
  const snapshots = new SnapshotList(disk, findings.snapshots);
  const stream = start.segments[0]?.header.stream ?? snapshots.newest?.header.stream;
  const commit: GroupCommit = new GroupCommit({ disk, history, clock, report }, stream);
  if (shortage !== undefined) commit.fail(shortage);
  const retainer: Retainer = new Retainer(
    { disk, clock, report, history, commit, snapshots, leases },
    {
      maxBytes: options.retentionMaxBytes,
      minBytes: options.retentionMinBytes,
      minMs: options.retentionMinMs,
      maxMs: options.retentionMaxMs,
      maxCommits: options.retentionMaxCommits,
      rewindMs: options.retentionRewindMs,
    },
  );
  const identityPart = new DiskIdentity({ disk, report, commit, retainer }, { record, isStale });
  const rewinder = new Rewinder({ disk, history, commit, snapshots, retainer, identity: identityPart });
  return new DiskJournal({
    log: new DiskLog({ disk, history, commit, rewinder }),
    snapshots: new DiskSnapshots({ disk, clock, history, commit, snapshots, retainer, identity: identityPart }),
    identity: identityPart,
    divergences: new DiskDivergences({ disk, random, report, commit }, divergences.kept, async () => (await resolve()).divergencesMaxBytes),
    leases,
    retention: retainer,
    history,
    commit,
    lock,
  });
}

/**
 * Writes site.json, and upgrades a directory of a former version. Each step can be repeated after a crash.
 * @returns whether site.json says what `record` does
 */
async function recordOpening(
  parts: { readonly disk: Disk; readonly report: Reporter; readonly leases: DiskLeases },
  record: SiteFile,
  found: FoundSite | undefined,
  isCopy: boolean,
): Promise<boolean> {
  const { disk, report, leases } = parts;
  let isWritten = !(found === undefined || found.isFormer || isCopy || found.record.closedAt !== undefined);
  try {
    if (!isWritten) await writeSite(disk, record);
    isWritten = true;
    await leases.upgrade();
  } catch (error) {
    // On a full disk an existing site starts all the same. A new directory or a copy must not start without its own
    // site.json.
    if (found === undefined || isCopy || !isNoSpace(error)) throw error;
    const message = `${SITE_FILE} could not be written (${asError(error).message}); it is written at the next start`;
    report({ level: 'warn', event: 'site-not-written', message, details: { error } });
  }
  return isWritten;
}

function reportCopy(report: Reporter, original: string, site: string): void {
  const named = site === original ? '' : `, named ${site}, for the original is ${original}`;
  const remedy = named === '' ? `; never run it beside the original, for both are named ${site}` : '';
  const message = `this directory is a copy of another one, and from now on a site of its own${named}; it holds the history up to some moment of the copying${remedy}`;
  report({ level: 'warn', event: 'directory-copied', message, details: { original, site } });
}

/**
 * Reports a history that is shorter than it was when the site was stopped. Something outside this program removed
 * bytes.
 */
function reportLoss(report: Reporter, closedAt: ExactPosition | undefined, last: ExactPosition, isCopy: boolean): void {
  if (closedAt === undefined || closedAt.revision <= last.revision) return;
  if (isCopy) {
    const message = `the original was stopped at ${formatPosition(closedAt)} while this copy was made, and the copy ends at ${formatPosition(last)}: to have it whole, copy it again`;
    report({ level: 'warn', event: 'copy-incomplete', message, details: { closedAt, last } });
    return;
  }
  const message = `the history ended at ${formatPosition(closedAt)} when this site was stopped, and ends at ${formatPosition(last)} now: this directory has lost the commits in between; restore it from a backup, or let a secondary that has it take over`;
  report({ level: 'error', event: 'history-lost', message, details: { closedAt, last } });
}

function openingFailed(error: unknown): EvertreeError {
  const problem = `the site's directory can't be opened (${asError(error).message})`;
  if (isNoSpace(error)) return new EvertreeError('STORAGE_FULL', `${problem}; make room on its disk`, {}, error);
  return new EvertreeError('STORAGE_FAILED', `${problem}; make all files in it readable and writable`, {}, error);
}
