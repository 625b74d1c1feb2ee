import { type Position, formatPosition } from '@evertree/core';
import pico from 'picocolors';
import { formatBytes, formatCount, formatDuration } from './units.ts';

/** What `GET /status` tells of a site's archive. */
export interface ArchiveView {
  readonly target: string;
  readonly state: string;
  readonly encrypted: boolean;
  readonly position: Position | null;
  readonly lag: { readonly revisions: number; readonly ms: number };
  readonly lastSuccess: number | null;
  readonly spool: { readonly bytes: number; readonly maxBytes: number; readonly isFull: boolean };
  readonly gaps: readonly { readonly from: Position; readonly to: Position; readonly reason: string; readonly time: number }[];
  readonly lastError: { readonly code: string; readonly message: string; readonly since: number; readonly attempts: number } | null;
  readonly drilled: { readonly time: number; readonly passed: boolean; readonly position: Position; readonly milliseconds: number } | null;
}

/** The newest gaps that are printed. */
const GAPS_SHOWN = 3;
/** An archive that was not drilled for so long is worth a word. */
const DRILL_OLD_MS = 31 * 86_400_000;

/** The lines of `status`. @param now for ages */
export function archiveLines(archive: ArchiveView | null | undefined, now: number): string[] {
  if (archive === null || archive === undefined) return [];
  const { target, state, encrypted, position, lag, gaps } = archive;
  const isBehind = lag.revisions > 0;
  const facts = [
    state === 'archiving' ? pico.green(state) : state === 'waiting' || state === 'starting' ? pico.yellow(state) : pico.red(state),
    ...(position === null ? ['nothing archived yet'] : [`at ${formatPosition(position)}`]),
    `lag ${formatCount(lag.revisions)} revision${lag.revisions === 1 ? '' : 's'}${isBehind ? ` (${formatDuration(lag.ms)})` : ''}`,
    encrypted ? 'encrypted' : 'not encrypted',
  ];
  return [
    `  archive   ${target}  ${facts.join(', ')}`,
    ...outageLines(archive),
    ...gaps.slice(-GAPS_SHOWN).map(gapLine),
    ...(gaps.length > GAPS_SHOWN ? [`    and ${gaps.length - GAPS_SHOWN} gap${gaps.length - GAPS_SHOWN === 1 ? '' : 's'} before`] : []),
    drillLine(archive, now),
  ];
}

/** The archive in a line that tells other things, too; undefined without one. */
export function archiveWord(archive: ArchiveView | null | undefined): string | undefined {
  if (archive === null || archive === undefined) return undefined;
  const { state, spool } = archive;
  return `archive ${spool.isFull ? `${state}, spool full` : state}`;
}

function outageLines({ lastError, spool, lastSuccess }: ArchiveView): string[] {
  if (lastError === null) return [];
  const { message, since, attempts } = lastError;
  const success = lastSuccess === null ? '' : `, last success ${new Date(lastSuccess).toISOString()}`;
  const tried = `since ${new Date(since).toISOString()}, ${formatCount(attempts)} attempt${attempts === 1 ? '' : 's'}${success}`;
  const room = `${formatBytes(spool.bytes)} of ${formatBytes(spool.maxBytes)} wait for it`;
  return [
    `    ${pico.yellow(message)}`,
    `    ${tried}; ${spool.isFull ? pico.red(`${room}: the history is no longer kept for it, a gap may follow`) : room}`,
  ];
}

function gapLine({ from, to, reason, time }: ArchiveView['gaps'][number]): string {
  const why = reason === 'spool-full' ? 'the target was away for too long' : 'the site no longer had it';
  return `    ${pico.yellow('gap')}  between ${formatPosition(from)} and ${formatPosition(to)}: ${why}, ${new Date(time).toISOString()}`;
}

function drillLine({ drilled, target }: ArchiveView, now: number): string {
  if (drilled === null) return `    never drilled: evertree drill ${target}`;
  const { time, passed, position, milliseconds } = drilled;
  const age = now - time;
  const when = `${new Date(time).toISOString()}${age > DRILL_OLD_MS ? pico.yellow(`, ${formatDuration(age)} ago`) : ''}`;
  const result = passed ? pico.green('passed') : pico.red('FAILED');
  return `    last drill ${result} ${when}, at ${formatPosition(position)} in ${formatDuration(milliseconds)}`;
}
