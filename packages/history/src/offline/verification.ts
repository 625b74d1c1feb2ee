import type { Clock, Disk, ExactPosition } from '@evertree/core';
import { emptyDigest, EvertreeError, formatPosition, samePosition } from '@evertree/core';
import { leaseOf, LEASES_FILE, LEASES_VERSIONS, readStateFile, UNFINISHED_FILE } from '@evertree/journal/files';
import { type CopiedSite, readCopied } from './copied-site.ts';
import type { Damage, ReadProgress, Remark } from './damage.ts';
import { ChangedMeanwhile, DamageList } from './damage.ts';
import { listSite, type ListedDirectory } from './directory-listing.ts';
import { checkDivergences } from './divergence-check.ts';
import type { FollowedHistory, HistoryCounts } from './followed-history.ts';
import { HistoryCheck } from './history-check.ts';
import { checkIndex } from './index-check.ts';

/** A history that is cut back or replaced while it is read is read again, so many times. */
const ATTEMPTS = 4;

export interface VerificationOptions {
  /** No tree is rebuilt, and the index is compared with nothing: checksums, chain, positions and times only. */
  readonly checksumsOnly?: boolean;
  readonly progress?: ReadProgress;
  /** What errors call the directory. */
  readonly name?: string;
}

/** What a directory was found to hold. It is as FORMAT.md says if `damages` is empty. */
export interface Verification extends Readonly<HistoryCounts> {
  readonly site: string | null;
  readonly stream: string | null;
  /** The history: after `base` up to `last`. */
  readonly base: ExactPosition;
  readonly last: ExactPosition;
  /** Of the tree at `last`; null if that is not known. */
  readonly digest: string | null;
  readonly checksumsOnly: boolean;
  /** The directory is a copy that no site has opened yet. */
  readonly isCopy: boolean;
  readonly divergences: number;
  /** Runs of the index that were checked: compared with the frames, or with `checksumsOnly` their blocks only. */
  readonly indexes: number;
  readonly bytes: number;
  readonly milliseconds: number;
  /** All of them; `damages` lists the first thousand. */
  readonly damageCount: number;
  readonly damages: readonly Damage[];
  readonly remarks: readonly Remark[];
}

/**
 * Reads everything that a site's directory holds and checks it: each checksum, the chain of the frames, positions and
 * times, snapshots, divergences, the digest of the tree after each frame, by rebuilding it, and the index. Takes no lock and changes
 * nothing. A directory in use is read up to its end when this began.
 * @throws EvertreeError NOT_FOUND if there is no history
 */
export async function verifyDirectory(disk: Disk, clock: Clock, options: VerificationOptions = {}): Promise<Verification> {
  const began = clock.monotonic();
  for (let attempt = 1; ; attempt++) {
    const list = new DamageList(options.progress);
    try {
      const verification = await verifyOnce(disk, list, options);
      return { ...verification, milliseconds: Math.round(clock.monotonic() - began) };
    } catch (error) {
      if (!(error instanceof ChangedMeanwhile) || attempt === ATTEMPTS) throw error;
    }
  }
}

async function verifyOnce(
  disk: Disk,
  list: DamageList,
  { checksumsOnly = false, name = 'the directory' }: VerificationOptions,
): Promise<Omit<Verification, 'milliseconds'>> {
  const directory = await listSite(disk, list);
  list.totalBytes = directory.bytes;
  const { segments, snapshots } = directory;
  const copied = await copiedSite(disk, list);
  const site = directory.site?.record ?? copied?.site;
  if (site === undefined && segments.length + snapshots.length === 0 && list.count === 0) {
    throw new EvertreeError(
      'NOT_FOUND',
      `${name} is no directory of a site: it has no site.json and no history; name the directory that a site has as --data`,
    );
  }
  const history = await new HistoryCheck(disk, directory, list, { checksumsOnly }).run();
  if (copied === undefined) checkSite(directory, history.last, list);
  else checkCopied(copied, history, list);
  await checkLeases(disk, list);
  const divergences = await checkDivergences(disk, directory.divergences, history.stream, list);
  const indexes = await checkIndex(disk, directory, history, list, { checksumsOnly });
  return {
    site: site?.site ?? null,
    stream: history.stream ?? null,
    base: history.base,
    last: history.last,
    digest: history.digest ?? (history.last.revision === 0 ? emptyDigest() : null),
    checksumsOnly,
    isCopy: directory.isCopy,
    ...history.counts,
    divergences,
    indexes,
    bytes: list.doneBytes,
    damageCount: list.count,
    damages: list.damages,
    remarks: list.remarks,
  };
}

/** What a copy that is being cleaned says of itself. */
async function copiedSite(disk: Disk, list: DamageList): Promise<CopiedSite | undefined> {
  try {
    return await readCopied(disk);
  } catch (error) {
    list.take(error, UNFINISHED_FILE, 0);
    return undefined;
  }
}

/** A cleaned copy holds the history up to its timestamp, and nothing else. */
function checkCopied({ state, position, digest }: CopiedSite, history: FollowedHistory, list: DamageList): void {
  if (state === 'cleaning') {
    list.damage(UNFINISHED_FILE, 0, 'this copy is not cleaned to its end: run "evertree timestamp clean-transactions" again');
  } else if (!samePosition(history.last, position) || history.digest !== digest) {
    const found = `${formatPosition(history.last)} with the digest ${history.digest ?? 'of nothing'}`;
    list.damage(
      UNFINISHED_FILE,
      0,
      `this copy was cleaned up to ${formatPosition(position)} with the digest ${digest}, and ends at ${found}`,
    );
  } else {
    list.remark(UNFINISHED_FILE, 'this copy is cleaned, and not forwarded yet: no site starts on it');
  }
}

function checkSite({ site, isCopy, rewind }: ListedDirectory, last: ExactPosition, list: DamageList): void {
  if (site === undefined) {
    if (!list.damages.some(({ file }) => file === 'site.json')) list.damage('site.json', 0, 'it is missing, though there is a history');
    return;
  }
  const { closedAt, site: name } = site.record;
  if (rewind !== undefined)
    list.remark('rewind.json', `the history is being cut back to ${formatPosition(rewind.position)}; the next start finishes that`);
  else if (closedAt !== undefined && closedAt.revision > last.revision) {
    const lost = `the history ended at ${formatPosition(closedAt)} when the site was stopped, and ends at ${formatPosition(last)} now`;
    list.damage('site.json', 0, isCopy ? `${lost}: it was stopped while this copy was made, or the copy is not whole` : lost);
  }
  if (isCopy) list.remark('site.json', `this directory is a copy of that of ${name}, and no site has opened it yet`);
}

async function checkLeases(disk: Disk, list: DamageList): Promise<void> {
  const text = await readStateFile(disk, LEASES_FILE);
  if (text === undefined) return;
  try {
    const { format, leases } = JSON.parse(text) as { readonly format?: unknown; readonly leases?: unknown };
    if (!LEASES_VERSIONS.some(version => version === format)) return list.damage(LEASES_FILE, 0, `it has the format ${String(format)}`);
    if (!Array.isArray(leases)) return list.damage(LEASES_FILE, 0, 'it has no list of leases');
    for (const [index, lease] of leases.entries()) {
      if (leaseOf(lease) === undefined) list.damage(LEASES_FILE, 0, `its entry ${index + 1} is no lease`);
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    list.damage(LEASES_FILE, 0, 'it is not JSON');
  }
}
