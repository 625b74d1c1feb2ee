import type { Disk, ExactPosition, Frame, FrameHeader, HistoryHead } from '@evertree/core';
import { decodeFrame, EvertreeError } from '@evertree/core';
import { readUnfinished, type SiteFile, writeUnfinished } from '@evertree/journal/files';
import { DamageList } from './damage.ts';
import type { ListedDirectory } from './directory-listing.ts';
import { HistoryCheck } from './history-check.ts';
import type { Timestamp } from './timestamp-file.ts';

/**
 * What unfinished.json holds of a copy that is made into a directory on which a site can start. From the moment that it
 * is written it decides: what is in the directory beside it is made to fit.
 */
export interface CopiedSite {
  /** `cleaning`: files may still have to go. `cleaned`: the history is the commits up to `position`, and nothing else. */
  readonly state: 'cleaning' | 'cleaned';
  readonly stream: string;
  readonly lease: string;
  readonly position: ExactPosition;
  readonly digest: string;
  /** SHA-256 of the last frame, 64 hex digits. */
  readonly chain: string;
  readonly epochs: HistoryHead['epochs'];
  readonly generation: number;
  readonly commits: number;
  /** The segments and snapshots that stay. */
  readonly keep: readonly string[];
  /** The segment that holds the position, and the offset after its record; missing if a snapshot is all that stays. */
  readonly newest?: { readonly path: string; readonly end: number };
  /** What site.json said. It comes back when the copy is forwarded. */
  readonly site: SiteFile;
}

/** @throws EvertreeError UNFINISHED if other work is under way in the directory */
export async function readCopied(disk: Disk): Promise<CopiedSite | undefined> {
  const found = await readUnfinished(disk);
  if (found === undefined) return undefined;
  if (found.work === 'timestamp') return found as unknown as CopiedSite;
  throw new EvertreeError('UNFINISHED', `in this directory "evertree ${found.work}" did not end; it is no copy of a running site`);
}

export async function writeCopied(disk: Disk, copied: CopiedSite): Promise<void> {
  await writeUnfinished(disk, { ...copied, work: 'timestamp' });
}

/** The reason that the table of epochs gives for an epoch that a forwarded copy began. */
export const FORWARD_REASON = 'fast-forward';

/** The newest frame of a directory's history that began an epoch when the directory was forwarded. */
export async function findForward(
  disk: Disk,
  directory: ListedDirectory,
  isWanted: (header: FrameHeader) => boolean,
): Promise<FrameHeader | undefined> {
  let found: FrameHeader | undefined;
  const take = ({ frame }: { readonly frame: Frame }) => {
    const { header } = frame;
    if (header.beginsEpoch && isWanted(header) && decodeFrame(frame).note?.epoch?.reason === FORWARD_REASON) found = header;
  };
  await new HistoryCheck(disk, directory, new DamageList(undefined), { checksumsOnly: true, take }).run();
  return found;
}

/** @throws EvertreeError STREAM_MISMATCH */
export function assertStream({ stream, site }: Pick<Timestamp, 'stream' | 'site'>, found: string | undefined): void {
  if (found === stream) return;
  const message = `the timestamp is of the stream ${stream} (from ${site}), and the directory holds the stream ${found ?? 'of nobody'}`;
  throw new EvertreeError('STREAM_MISMATCH', message, { expected: stream, found });
}
