import type { Clock, Random } from '@evertree/core';
import { EvertreeError } from '@evertree/core';
import type { Sealing } from '../encryption/sealing.ts';
import type { Target } from '../targets/target.ts';
import type { ArchiveSource } from './archive-source.ts';
import { ARCHIVER_DEFAULTS, type ArchiverEvents, type BackupResult } from './archiver-options.ts';
import { type BackupProgress, CountedSource } from './counted-source.ts';
import type { LineFile } from './line-file.ts';
import type { ContinuationParts } from './line-opening.ts';
import { HistoryMoved, MOVES_LIMIT, unreadableJournal } from './history-moved.ts';
import { LineWriter } from './line-writer.ts';
import { ObjectsPruned, type WrittenCounts } from './object-writer.ts';
import { HeadPublisher } from '../publishing/head-publisher.ts';

export interface BackupParts extends Pick<ContinuationParts, 'siteRuns'> {
  readonly target: Target;
  readonly source: ArchiveSource;
  readonly lines: LineFile;
  readonly sealing: Sealing;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: Pick<ArchiverEvents, 'report' | 'lease'>;
  readonly imageEveryMs?: number;
  /** Called with each frame that was read. */
  readonly progress?: (counted: BackupProgress) => void;
}

/**
 * Archives what the archive lacks of a history, up to its present end, and publishes it.
 * @throws EvertreeError NOT_FOUND (no archive, or nothing to archive), STREAM_MISMATCH, CONFIGURATION_INVALID; DAMAGED; what
 *   the target throws. What was published until then can be restored
 */
export async function backUp(given: BackupParts): Promise<BackupResult> {
  const { clock, progress } = given;
  const parts = progress === undefined ? given : { ...given, source: new CountedSource(given.source, progress) };
  const begun = clock.monotonic();
  const counts: WrittenCounts = { objects: 0, bytes: 0, plainBytes: 0, commits: 0, images: 0 };
  for (let moves = 0; ; moves++) {
    const writer = await open(parts);
    const gaps = writer.gaps.length;
    try {
      await writer.catchUp();
      if (writer.hasNews) await writer.publish([]);
      addCounts(counts, writer.counts);
      const milliseconds = Math.round(clock.monotonic() - begun);
      return resultOf(writer, { counts, milliseconds, gap: writer.gaps[gaps] });
    } catch (error) {
      if (error instanceof ObjectsPruned && moves < MOVES_LIMIT) continue;
      if (!(error instanceof HistoryMoved)) throw error;
      // What could be read is worth keeping, and the next round goes on from there.
      if (writer.hasNews && writer.holdsTails) await writer.publish([]);
      addCounts(counts, writer.counts);
      if (moves >= MOVES_LIMIT) throw unreadableJournal(parts, error);
    }
  }
}

async function open(parts: BackupParts): Promise<LineWriter> {
  const { target, clock, random, imageEveryMs = ARCHIVER_DEFAULTS.imageEveryMs } = parts;
  const publisher = new HeadPublisher({ target, clock, random });
  const options = { ...ARCHIVER_DEFAULTS, imageEveryMs };
  const writer = await LineWriter.open({ ...parts, publisher, options, wasFull: () => false });
  if (writer !== undefined) return writer;
  throw new EvertreeError('NOT_FOUND', `${parts.source.site} has no commit yet: there is nothing to back up`);
}

/** What a backup brought about. */
export function resultOf(
  { owner: { archive, line }, end: { position, time, digest } }: Pick<LineWriter, 'owner' | 'end'>,
  done: { readonly counts: WrittenCounts; readonly milliseconds: number; readonly gap: BackupResult['gap'] | undefined },
): BackupResult {
  const { counts, milliseconds, gap } = done;
  return { archive, line, position, time, digest, ...counts, milliseconds, ...(gap === undefined ? {} : { gap }) };
}

function addCounts(sum: WrittenCounts, added: WrittenCounts): void {
  sum.objects += added.objects;
  sum.bytes += added.bytes;
  sum.plainBytes += added.plainBytes;
  sum.commits += added.commits;
  sum.images += added.images;
}
