import type { Disk, ExactPosition, FrameHeader } from '@evertree/core';
import { EvertreeError, formatExactPosition, formatPosition, samePosition } from '@evertree/core';
import {
  DETACHED_DIRECTORY,
  DIVERGENCE_DIRECTORY,
  fileName,
  leaseOf,
  LEASES_FILE,
  listDirectory,
  readStateFile,
  removeFiles,
  REWIND_FILE,
  SEGMENT_DIRECTORY,
  SITE_FILE,
  type SiteFile,
  SNAPSHOT_DIRECTORY,
  writeStateFile,
} from '@evertree/journal/files';
import { INDEX_DIRECTORY } from '../index/run-format.ts';
import { assertStream, type CopiedSite, findForward, readCopied, writeCopied } from './copied-site.ts';
import { DamageList, type ReadProgress } from './damage.ts';
import { listSite, type ListedDirectory } from './directory-listing.ts';
import { checkDivergences } from './divergence-check.ts';
import type { FollowedHistory } from './followed-history.ts';
import { HistoryCheck } from './history-check.ts';
import type { Timestamp } from './timestamp-file.ts';

export interface CleaningOptions {
  readonly disk: Disk;
  /** That which was fetched before the copy was made. */
  readonly first: Timestamp;
  /** The directory has the mark that its site.json names: it may be the original itself. It is cleaned nevertheless. */
  readonly force?: boolean;
  readonly progress?: ReadProgress;
}

/** What a cleaned copy holds: exactly the commits up to the first timestamp. */
export interface Cleaned {
  readonly site: string;
  readonly stream: string;
  readonly position: ExactPosition;
  /** Of the tree at `position`: rebuilt from the copy, and equal to what the site said when the copy began. */
  readonly digest: string;
  /** Commits that were read to prove it. */
  readonly commits: number;
  /** Files that went, and those that were cut. */
  readonly removed: readonly string[];
  /** It was clean already: nothing was changed. */
  readonly already: boolean;
}

/** The walk has come to the timestamp. */
class TimestampReached extends Error {}

/**
 * Makes a copy of a directory, made file by file while its site ran, into exactly the commits up to the first timestamp.
 * It is rebuilt and its digest compared before anything is removed. From then on no site starts on it until it is
 * forwarded. Repeating it does no harm, at whatever step it was interrupted.
 * @throws EvertreeError DIRECTORY_IN_USE; DAMAGED if the copy lacks something up to the timestamp (nothing was changed);
 *   STREAM_MISMATCH, HISTORY_MISMATCH, WRONG_ROLE, NOT_FOUND
 */
export async function cleanCopy(options: CleaningOptions): Promise<Cleaned> {
  const { disk, first } = options;
  await using _ = await disk.lock();
  const known = await readCopied(disk);
  if (known !== undefined) return goOn(disk, known, first);
  const found = await prove(options);
  if ('already' in found) return found;
  await writeCopied(disk, found);
  return finish(disk, found);
}

/** Goes on with a copy that is being cleaned, or is clean. */
async function goOn(disk: Disk, known: CopiedSite, first: Timestamp): Promise<Cleaned> {
  assertStream(first, known.stream);
  if (!samePosition(known.position, first.position) || known.lease !== first.lease) {
    const message = `this copy was cleaned up to ${formatPosition(known.position)} of another timestamp; what came after is gone, and ${formatPosition(first.position)} can't be had from it`;
    throw new EvertreeError('HISTORY_MISMATCH', message, { expected: known.position, found: first.position });
  }
  return known.state === 'cleaned' ? { ...resultOf(known, []), already: true } : finish(disk, known);
}

function resultOf({ site, stream, position, digest, commits }: CopiedSite, removed: readonly string[]): Cleaned {
  return { site: site.site, stream, position, digest, commits, removed, already: false };
}

/** Reads the copy up to the timestamp, and decides what stays. Changes nothing. */
async function prove({ disk, first, force = false, progress }: CleaningOptions): Promise<CopiedSite | Cleaned> {
  // What is wrong behind the timestamp does not count.
  const directory = await listSite(disk, new DamageList(undefined));
  const { site, isCopy } = directory;
  if (site === undefined) throw new EvertreeError('NOT_FOUND', `there is no sound ${SITE_FILE}: this is no copy of a site's directory`);
  if (!isCopy) {
    const forward = await findForward(disk, directory, ({ base }) => samePosition(base, first.position));
    if (forward !== undefined) return alreadyForwarded(site.record, forward, first);
    if (!force) throw mayBeOriginal(site.record.site);
  }
  const list = new DamageList(progress);
  list.totalBytes = directory.bytes;
  const walk = new TimestampWalk(disk, directory, list, first);
  const history = await walk.run();
  assertStream(first, history.stream);
  assertProven(history, list, first);
  return {
    state: 'cleaning',
    stream: first.stream,
    lease: first.lease,
    position: first.position,
    digest: first.digest,
    chain: history.tree!.header.chain,
    epochs: history.tree!.head.epochs,
    generation: directory.generation,
    commits: history.counts.rebuiltCommits,
    keep: walk.kept(),
    ...(walk.newest === undefined ? {} : { newest: walk.newest }),
    site: site.record,
  };
}

function alreadyForwarded({ site }: SiteFile, { stream }: FrameHeader, first: Timestamp): Cleaned {
  assertStream(first, stream);
  const { position, digest } = first;
  return { site, stream, position, digest, commits: 0, removed: [], already: true };
}

function mayBeOriginal(site: string): EvertreeError {
  const message = `this directory is where ${site} itself runs, as far as the system tells, and not a copy: cleaning removes what is not before the timestamp. If it is the snapshot of a disk, add --force`;
  return new EvertreeError('WRONG_ROLE', message, { site });
}

function assertProven(history: FollowedHistory, { damages }: DamageList, { position, digest }: Timestamp): void {
  const lack = `the copy does not hold all commits up to ${formatPosition(position)}: it is no backup`;
  const last = damages.at(-1);
  const where = last === undefined ? '' : ` (${last.file} at offset ${last.offset}: ${last.problem})`;
  if (!samePosition(history.last, position) || !history.isProven) {
    throw new EvertreeError('DAMAGED', `${lack}; it can be read up to ${formatExactPosition(history.last)}${where}`, {
      file: last?.file ?? SEGMENT_DIRECTORY,
      offset: last?.offset ?? 0,
    });
  }
  const found = history.tree!.digest;
  if (found === digest) return;
  const message = `${lack}: rebuilt, its tree has the digest ${found}, where the site had ${digest}`;
  throw new EvertreeError('DIGEST_MISMATCH', message, { expected: digest, found, position });
}

/** Walks through the history of a copy up to a timestamp. */
class TimestampWalk {
  /** The record that leads to the timestamp; undefined if a snapshot does. */
  newest: CopiedSite['newest'];
  readonly #directory: ListedDirectory;
  readonly #check: HistoryCheck;
  readonly #first: Timestamp;

  constructor(disk: Disk, directory: ListedDirectory, list: DamageList, first: Timestamp) {
    this.#directory = directory;
    this.#first = first;
    this.#check = new HistoryCheck(disk, directory, list, {
      checksumsOnly: false,
      reached: (position, at) => {
        if (position.revision < first.position.revision) return;
        this.newest = at;
        // What comes behind it may be torn or missing.
        throw new TimestampReached();
      },
    });
  }

  async run(): Promise<FollowedHistory> {
    try {
      await this.#check.run();
    } catch (error) {
      if (!(error instanceof TimestampReached)) throw error;
    }
    return this.#check.history;
  }

  /** The files of the history up to the timestamp, from the last beginning on. */
  kept(): string[] {
    const { revision } = this.#first.position;
    const from = this.#check.history.beginning.revision;
    const segments = this.#directory.segments.filter(({ header }) => header.base.revision >= from && header.base.revision < revision);
    const snapshots = this.#directory.snapshots.filter(
      ({ header }) => header.position.revision >= from && header.position.revision <= revision,
    );
    return [...segments, ...snapshots].map(({ path }) => path);
  }
}

/** Makes the directory fit what was decided. Each step can be repeated. */
async function finish(disk: Disk, copied: CopiedSite): Promise<Cleaned> {
  const removed: string[] = [];
  await removeFiles(disk, [SITE_FILE, REWIND_FILE]);
  await disk.syncDirectory('');
  const kept = new Set(copied.keep);
  for (const directory of [SNAPSHOT_DIRECTORY, SEGMENT_DIRECTORY, INDEX_DIRECTORY]) {
    const gone = (await listDirectory(disk, directory)).map(name => `${directory}/${name}`).filter(path => !kept.has(path));
    await removeFiles(disk, gone.toReversed());
    if (gone.length > 0) await disk.syncDirectory(directory);
    if (directory !== INDEX_DIRECTORY) removed.push(...gone);
  }
  if (copied.newest !== undefined && (await cut(disk, copied.newest))) removed.push(copied.newest.path);
  await detachTornDivergences(disk, copied.stream);
  await keepPeers(disk);
  await writeCopied(disk, { ...copied, state: 'cleaned' });
  return resultOf(copied, removed);
}

/** @returns whether there was anything behind the end */
async function cut(disk: Disk, { path, end }: NonNullable<CopiedSite['newest']>): Promise<boolean> {
  const file = await disk.open(path, { write: true });
  try {
    const isLonger = (await file.size()) > end;
    if (isLonger) await file.truncate(end);
    await file.sync();
    return isLonger;
  } finally {
    await file.close();
  }
}

/** Divergences of which the copy has only a part are kept aside: the original has them whole. */
async function detachTornDivergences(disk: Disk, stream: string): Promise<void> {
  const files = await listDirectory(disk, DIVERGENCE_DIRECTORY);
  const list = new DamageList(undefined);
  await checkDivergences(disk, files, stream, list);
  const torn = new Set(list.damages.map(({ file }) => fileName(file).replace(/\.(?:json|evj)$/, '')));
  const moved = files.filter(file => torn.has(file.replace(/\.(?:json|evj)$/, '')));
  if (moved.length === 0) return;
  await disk.makeDirectory(DETACHED_DIRECTORY);
  for (const file of moved) await disk.rename(`${DIVERGENCE_DIRECTORY}/${file}`, `${DETACHED_DIRECTORY}/${file}`);
  await disk.syncDirectory(DETACHED_DIRECTORY);
  await disk.syncDirectory(DIVERGENCE_DIRECTORY);
}

/** The copy holds its history for secondaries only: leases for copies and backups are the original's. */
async function keepPeers(disk: Disk): Promise<void> {
  const text = await readStateFile(disk, LEASES_FILE);
  if (text === undefined) return;
  const peers = peersIn(text);
  if (peers === undefined) await removeFiles(disk, [LEASES_FILE]);
  else await writeStateFile(disk, LEASES_FILE, { format: peers.format, leases: peers.leases });
  await disk.syncDirectory('');
}

function peersIn(text: string): { readonly format: unknown; readonly leases: readonly unknown[] } | undefined {
  try {
    const { format, leases } = JSON.parse(text) as { readonly format: unknown; readonly leases: unknown };
    return Array.isArray(leases) ? { format, leases: leases.filter(lease => leaseOf(lease)?.kind === 'peer') } : undefined;
  } catch {
    // It was copied while it was replaced, or is damaged: secondaries are listed again once they connect.
    return undefined;
  }
}
