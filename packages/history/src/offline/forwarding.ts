import type { Clock, Disk, Epoch, ExactPosition, Random } from '@evertree/core';
import { EvertreeError, formatPosition, type Frame, FrameWriter, samePosition } from '@evertree/core';
import {
  removeUnfinished,
  SEGMENT_DIRECTORY,
  segmentPath,
  SegmentWriter,
  settleIdentity,
  TEMPORARY_SUFFIX,
  writeSite,
} from '@evertree/journal/files';
import { assertStream, type CopiedSite, findForward, FORWARD_REASON, readCopied } from './copied-site.ts';
import { DamageList } from './damage.ts';
import { listSite } from './directory-listing.ts';
import type { Timestamp } from './timestamp-file.ts';

/** A timestamp whose epoch is further ahead of the copy's than this is none of its site. */
const FORWARD_LIMIT_EPOCHS = 1_000_000;
const HIGHEST_EPOCH = 0xffff_ffff;

export interface ForwardingOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  /** That which was fetched after the copy was made. */
  readonly second: Timestamp;
  /** The name of the site that the copy becomes. By default that of the original, or for a secondary's a new one. */
  readonly site?: string;
}

/** A copy on which a site can start. */
export interface Forwarded {
  readonly site: string;
  readonly stream: string;
  /** The end of the history that was copied. */
  readonly base: ExactPosition;
  /** Where the site goes on: the first position of its own epoch. */
  readonly position: ExactPosition;
  readonly digest: string;
  /** It was forwarded as far already: nothing was changed. */
  readonly already: boolean;
}

/**
 * Lets a cleaned copy go on in an epoch above all that it may have seen, so that it writes no position that exists
 * already. From then on a site can start on it. Repeating it does no harm.
 * @throws EvertreeError DIRECTORY_IN_USE; UNFINISHED if the copy is not clean; STREAM_MISMATCH; HISTORY_MISMATCH if the
 *   second timestamp does not prove that the history was held for this copy; VALUE_INVALID if it can't be its
 */
export async function forwardCopy(options: ForwardingOptions): Promise<Forwarded> {
  const { disk, second } = options;
  await using _ = await disk.lock();
  const copied = await readCopied(disk);
  if (copied === undefined) return alreadyForwarded(disk, second);
  assertStream(second, copied.stream);
  if (copied.state !== 'cleaned') {
    throw new EvertreeError('UNFINISHED', 'this copy is not clean yet: run "evertree timestamp clean-transactions" again before');
  }
  assertFits(copied, second);
  return carryOut(options, copied, second);
}

function assertFits(copied: CopiedSite, second: Timestamp): void {
  const isHeld =
    (second.first !== null && second.lease === copied.lease) ||
    (second.lease !== copied.lease &&
      second.held.some(({ lease, position }) => lease === copied.lease && samePosition(position, copied.position)));
  if (!isHeld) {
    const reason =
      second.lease === copied.lease
        ? 'it is the first one, from before the copy; fetch the second one after the copy'
        : 'it does not say that the history was held for this copy until then: the lease was lost, or it is of another copy';
    throw new EvertreeError('HISTORY_MISMATCH', `the timestamp is no proof for this copy: ${reason}`, { lease: copied.lease });
  }
  const { position, epoch } = second;
  const highest = Math.max(...copied.epochs.map(({ number }) => number), copied.position.epoch);
  if (position.revision < copied.position.revision || epoch.number < highest) {
    const message = `the timestamp is of ${formatPosition(position)}, before the copy's own ${formatPosition(copied.position)}`;
    throw new EvertreeError('VALUE_INVALID', message, { position });
  }
  if (epoch.number <= highest + FORWARD_LIMIT_EPOCHS && epoch.number < HIGHEST_EPOCH - 2) return;
  throw new EvertreeError(
    'VALUE_INVALID',
    `the timestamp names epoch ${epoch.number}, and the copy ends in epoch ${highest}: that can't be`,
    { epoch },
  );
}

async function carryOut({ disk, clock, random, site }: ForwardingOptions, copied: CopiedSite, second: Timestamp): Promise<Forwarded> {
  const mark = await disk.mark();
  const identity = settleIdentity(copied.site, site === undefined ? {} : { site }, random, true);
  const { position: base, digest, stream, epochs, chain } = copied;
  const known = [
    second.epoch.number,
    copied.site.fencedBy?.number ?? 0,
    copied.site.heard?.number ?? 0,
    ...epochs.map(({ number }) => number),
  ];
  // After a handover its own site leaves the next number to its successor.
  const number = Math.max(...known) + (epochs.at(-1)?.end === undefined ? 1 : 2);
  const id = Buffer.from(random.bytes(8)).toString('hex');
  const epoch: Epoch = { number, id, site: identity.site, base, reason: FORWARD_REASON, time: clock.now() };
  const frame = new FrameWriter('binary', 0).sealEpoch({ stream, last: base, chain }, digest, epoch);
  await writeSegment(disk, random, frame, copied.generation);
  const { last } = frame.header;
  const { fencedBy, heard, declined } = copied.site;
  await writeSite(disk, { site: identity.site, role: 'primary', directory: mark, fencedBy, heard, declined, closedAt: last });
  await removeUnfinished(disk);
  return { site: identity.site, stream, base, position: last, digest, already: false };
}

/** A segment of the one frame that begins the epoch. One that an earlier attempt left is replaced. */
async function writeSegment(disk: Disk, random: Random, frame: Frame, generation: number): Promise<void> {
  const { stream, base, last } = frame.header;
  const path = segmentPath(last);
  const file = await disk.open(path + TEMPORARY_SUFFIX, { create: true, write: true });
  try {
    await file.truncate(0);
    const writer = new SegmentWriter(file, { stream, base, salt: Buffer.from(random.bytes(4)).readUInt32LE(0), generation });
    await writer.write({ frame, trailer: undefined });
    await writer.seal();
  } finally {
    await file.close();
  }
  await disk.rename(path + TEMPORARY_SUFFIX, path);
  await disk.syncDirectory(SEGMENT_DIRECTORY);
}

/** A directory on which sites start: was it forwarded above the timestamp? */
async function alreadyForwarded(disk: Disk, second: Timestamp): Promise<Forwarded> {
  const directory = await listSite(disk, new DamageList(undefined));
  if (directory.site === undefined) throw new EvertreeError('NOT_FOUND', "this is no copy of a site's directory");
  const { site } = directory.site.record;
  const forward = await findForward(disk, directory, ({ epoch }) => epoch > second.epoch.number);
  if (forward === undefined) {
    const message = 'this directory is not a copy that "evertree timestamp clean-transactions" has cleaned: run that before';
    throw new EvertreeError('UNFINISHED', message);
  }
  const { stream, base, last, digest } = forward;
  assertStream(second, stream);
  return { site, stream, base, position: last, digest, already: true };
}
