import { type Position, formatPosition } from '@evertree/core';
import pico from 'picocolors';
import { count, formatBytes } from './units.ts';

/** What `GET /status` tells of the history that a secondary took from an archive. */
export interface CatchUpsView {
  readonly last: {
    readonly source: string;
    readonly state: string;
    readonly from: Position;
    readonly base: Position;
    readonly frames: number;
    readonly bytes: number;
    readonly error: string | null;
  } | null;
}

/** The line of `status`; none where nothing was taken. */
export function catchUpLines(catchUps: CatchUpsView | null | undefined): string[] {
  const last = catchUps?.last ?? null;
  if (last === null) return [];
  const { source, state, from, base, frames, bytes, error } = last;
  const way = `${formatPosition(from)} to ${formatPosition(base)} from ${source}`;
  const taken = `${count(frames, 'frame')}, ${formatBytes(bytes)}`;
  if (state === 'running') return [`  catch-up  takes ${way}: ${taken} so far`];
  if (state === 'done') return [`  catch-up  took ${way}: ${taken}`];
  return [`  catch-up  ${pico.yellow(`could not take ${way}: ${error ?? 'the link ended'}`)}`];
}
