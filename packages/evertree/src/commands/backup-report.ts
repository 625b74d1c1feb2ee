import { type Position, formatPosition } from '@evertree/core';
import pico from 'picocolors';
import { formatBytes, formatCount, formatDuration } from './units.ts';

/** What a backup answers, over HTTP as well. */
export interface BackupAnswer {
  readonly site: string;
  readonly target: string;
  readonly made: boolean;
  readonly archive: string;
  readonly line: string;
  readonly position: Position;
  readonly time: number;
  readonly digest: string;
  readonly objects: number;
  readonly bytes: number;
  readonly plainBytes: number;
  readonly commits: number;
  readonly images: number;
  readonly milliseconds: number;
  readonly gap?: { readonly from: Position; readonly to: Position };
}

/** What a dry run answers. */
export interface BackupForecastAnswer {
  readonly site: string;
  readonly target: string;
  /** Null where there is no archive yet. */
  readonly archive: string | null;
  readonly from: Position | null;
  readonly to: Position;
  readonly commits: number;
  readonly plainBytes: number;
  readonly image: boolean;
  readonly encrypted: boolean;
  readonly reason: string | null;
}

export function backupLines({
  site,
  target,
  made,
  position,
  digest,
  objects,
  bytes,
  plainBytes,
  commits,
  images,
  milliseconds,
  gap,
}: BackupAnswer): string[] {
  const what = [
    ...(images > 0 ? ['the whole tree'] : []),
    ...(commits > 0 || images === 0 ? [`${formatCount(commits)} commit${commits === 1 ? '' : 's'}`] : []),
  ].join(' and ');
  const effort = pico.dim(`  ${formatDuration(milliseconds)}`);
  const written =
    objects === 0
      ? 'it had everything already'
      : `${what} in ${formatCount(objects)} object${objects === 1 ? '' : 's'}, ${formatBytes(bytes)} for ${formatBytes(plainBytes)} of history`;
  return [
    ...(made ? [`${pico.yellow('made')} an archive in ${target}: there was none`] : []),
    ...(gap === undefined
      ? []
      : [
          `${pico.red('gap')} the history between ${formatPosition(gap.from)} and ${formatPosition(gap.to)} was gone before it could be archived`,
        ]),
    `${pico.green('backed up')} ${site} to ${target}: ${written}${effort}`,
    `restorable up to ${formatPosition(position)}, digest ${digest}`,
  ];
}

export function forecastLines({
  site,
  target,
  archive,
  from,
  to,
  commits,
  plainBytes,
  image,
  encrypted,
  reason,
}: BackupForecastAnswer): string[] {
  const start = archive === null ? `would make an archive in ${target}, ${encrypted ? 'encrypted' : 'not encrypted'},` : 'would';
  const what = image ? `the whole tree and ${formatCount(commits)} commits` : `${formatCount(commits)} commits`;
  const range = from === null ? `up to ${formatPosition(to)}` : `after ${formatPosition(from)}, up to ${formatPosition(to)}`;
  return [
    ...(reason === null ? [] : [reason]),
    commits === 0 && !image
      ? `${target} has all of ${site}, up to ${formatPosition(to)}: nothing would be written`
      : `${start} write ${what} of ${site} ${range}: ${formatBytes(plainBytes)} of history`,
    'nothing was changed',
  ];
}
