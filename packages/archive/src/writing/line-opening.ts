import type { ExactPosition, Random, Reporter, StoredSnapshot } from '@evertree/core';
import { covers, EvertreeError, formatPosition } from '@evertree/core';
import type { ArchiveLine } from '../format/manifest.ts';
import type { Target } from '../targets/target.ts';
import type { ArchiveSource, SourceExtent } from './archive-source.ts';
import type { ArchivedEnd } from './frame-batch.ts';
import { findEnd, type ArchivedLineEnd } from './line-end.ts';
import type { LineFile } from './line-file.ts';
import type { ArchiveState } from '../publishing/head-state.ts';

/** How a site goes on in an archive. */
export type Continuation =
  /** In its line, whose end the history holds. */
  | { readonly kind: 'line'; readonly line: ArchiveLine; readonly end: ArchivedLineEnd }
  /** In a new line. */
  | { readonly kind: 'new' };

export interface ContinuationParts {
  readonly target: Target;
  readonly source: ArchiveSource;
  readonly lines: LineFile;
  readonly report: Reporter;
  /** Whether the site of the directory runs beside: then it extends the line that has a tail. Asked only for such a line. */
  readonly siteRuns?: () => Promise<boolean>;
}

/**
 * Decides whether a site goes on in the line that it wrote before. It does if nobody else took the line, and if the site's
 * history holds the line's end, by epoch and by hash. A site that was cut back, one on an older disk and a copy of one
 * begin a line of their own, and leave the other as it is.
 */
export async function chooseLine(
  { target, source, lines, report, siteRuns }: ContinuationParts,
  state: ArchiveState,
): Promise<Continuation> {
  const { archive } = state.head;
  const note = lines.find(archive);
  if (note === undefined) return { kind: 'new' };
  const line = state.manifest?.lines.find(({ id }) => id === note.line);
  const begin = (why: string): Continuation => {
    const message = `${source.site} begins a new line in the archive ${target.name}, with all its data: ${why}; what is there stays`;
    report({ level: 'warn', event: 'archive-line-begun', message, details: { archive, line: note.line } });
    return { kind: 'new' };
  };
  if (line === undefined) return note.next === undefined ? begin('its line was pruned') : { kind: 'new' };
  if (line.run !== note.run && line.run !== note.next) return begin('another process writes the line that this directory wrote');
  if (line.tails.length > 0 && (await siteRuns?.()) === true) throw siteFollows(source.site, target.name);
  const end = await findEnd(target, line);
  if (await goesThrough(source, end.tails)) return { kind: 'line', line, end };
  return begin(`this site's history does not hold ${formatPosition(end.tails.position)}, where its line ends`);
}

function siteFollows(site: string, target: string): EvertreeError {
  const message = `${site} runs and archives to ${target} all the time: ask the running site for a backup, "evertree backup" without --data does`;
  return new EvertreeError('DIRECTORY_IN_USE', message, { target });
}

/** Whether the history of a site goes through a position: by its hash, or, where the journal begins later, by its epoch. */
async function goesThrough(source: ArchiveSource, { position, chain }: ArchivedEnd): Promise<boolean> {
  const extent = await source.extent();
  if (position.revision > extent.stable.revision) return false;
  if (position.revision >= extent.base.revision) return (await source.chainAt(position)) === chain;
  return wentThrough(source, extent, position);
}

/** Where the frames are gone the table of epochs tells: within an epoch's id there is one history. */
async function wentThrough(source: ArchiveSource, { base }: SourceExtent, position: ExactPosition): Promise<boolean> {
  const { header } = await needSnapshot(source, base);
  return covers({ epochs: header.epochs, last: header.position }, position);
}

/**
 * The snapshot that a line begins with: the oldest one.
 * @throws EvertreeError COMPACTED if there is none and nobody makes one
 */
export async function needSnapshot(source: ArchiveSource, base: ExactPosition): Promise<StoredSnapshot> {
  const present = await source.oldestSnapshot();
  if (present !== undefined) return present;
  const made = (await source.makeSnapshot()) ? await source.oldestSnapshot() : undefined;
  if (made !== undefined) return made;
  const message = `the journal of ${source.site} begins at ${formatPosition(base)}, and there is no snapshot to begin an archive with; start the site, make one with "evertree snapshot", and try again`;
  throw new EvertreeError('COMPACTED', message, { base });
}

/** 16 hex digits. */
export function drawId(random: Random): string {
  return Buffer.from(random.bytes(8)).toString('hex');
}
