import { isEvertreeError, type Position, formatPosition } from '@evertree/core';
import { parseWhen } from '@evertree/history/when';
import pico from 'picocolors';
import type { SiteAnswer } from '../client/site-answer.ts';
import { visible } from '../logs/visible.ts';
import { UsageError } from './exit-status.ts';
import { isTerminal, tellNote } from './terminal.ts';

/** Longer values are cut at a terminal. */
const SHOWN_CHARACTERS = 160;

export const WHEN_HELP = `A moment is written as
  4-1201                     a position: the state after that commit
  2026-11-27T10:00:00+01:00  a time with its zone: after the last commit that is not after it
  -10m, "10m ago"            so long ago by the clock of the site (ms, s, m, h, d, w)
  before-upgrade             the name of a mark`;

/**
 * Checks what is to name a moment. The text itself is sent: the site's clock says what «ago» is.
 * @param name of the option or argument
 */
export function whenArgument(name: string, text: string): string {
  try {
    parseWhen(text, Date.now());
    return text;
  } catch (error) {
    if (isEvertreeError(error)) throw new UsageError(`${name}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** As `whenArgument`, for the parser of an option. */
export function whenOption(name: string): (text: string) => string {
  return text => whenArgument(name, text);
}

/** `4-1201  2026-11-27T11:00:00.000+01:00`; the empty tree before the first commit has no time. */
export function momentText(position: Position, time: number): string {
  return `${formatPosition(position)}  ${position.revision === 0 ? 'before the first commit' : localTime(time)}`;
}

/** RFC 3339 in the zone of this machine: a person reads it at once, and `--at` takes it back. */
export function localTime(milliseconds: number): string {
  const minutes = -new Date(milliseconds).getTimezoneOffset();
  const local = new Date(milliseconds + minutes * 60_000).toISOString().slice(0, -1);
  if (minutes === 0) return `${local}Z`;
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `${local}${minutes < 0 ? '-' : '+'}${String(hours).padStart(2, '0')}:${String(rest).padStart(2, '0')}`;
}

/** Tells on stderr which commit an answer took, unless the question named it by its position. */
export function tellMoment(answer: SiteAnswer, asked: string): void {
  const taken = answer.header('evertree-taken');
  if (taken !== undefined && answer.position !== undefined && asked !== formatPosition(answer.position)) {
    tellNote(decodeURIComponent(taken));
  }
}

/** JSON on one line; `none` where there is nothing. At a terminal a long one is cut. */
export function valueText(value: unknown): string {
  const text = value === undefined ? 'none' : visible(JSON.stringify(value));
  return isTerminal() && text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}

export function pathText(path: string): string {
  return path === '' ? '""' : visible(path);
}

/** Rows in columns; the last column has no width. */
export function alignedLines(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>((most, row) => row.map((cell, index) => Math.max(most[index] ?? 0, cell.length)), []);
  return rows.map(row =>
    row
      .map((cell, index) => (index === row.length - 1 ? cell : cell.padEnd(widths[index] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

/** A commit, as HTTP tells of it. */
export interface ChangeView {
  readonly position: Position;
  readonly time: number;
  readonly author?: string;
  readonly message?: string;
  readonly begins?: { readonly site: string; readonly reason: string };
  readonly ends?: { readonly to: string };
  readonly mark?: { readonly name: string; readonly position: Position; readonly removed: boolean };
  readonly operations: readonly OperationView[];
}

export interface OperationView {
  readonly path: string;
  readonly kind: 'put' | 'delete';
  readonly above?: true;
  readonly before?: unknown;
  readonly after?: unknown;
}

/** `4-1201  2026-11-27T11:00:00.000+01:00  ada: why` */
export function changeHead({ position, time, author, message }: Pick<ChangeView, 'position' | 'time' | 'author' | 'message'>): string {
  const note = [author, message].filter(part => part !== undefined).join(': ');
  return `${pico.bold(formatPosition(position))}  ${pico.dim(localTime(time))}${note === '' ? '' : `  ${note.split('\n').map(visible).join('\n    ')}`}`;
}

export function changeLines(change: ChangeView, withValues: boolean): string[] {
  const { epoch } = change.position;
  const { begins, ends, mark, operations } = change;
  return [
    changeHead(change),
    ...(begins === undefined ? [] : [`  epoch ${epoch} begins at ${begins.site}: ${begins.reason}`]),
    ...(ends === undefined ? [] : [`  epoch ${epoch} ends: ${ends.to} follows`]),
    ...(mark === undefined ? [] : [`  ${markText(mark)}`]),
    ...operations.map(operation => operationLine(operation, withValues)),
  ];
}

function markText({ name, position, removed }: NonNullable<ChangeView['mark']>): string {
  return removed ? `the mark ${JSON.stringify(name)} is removed` : `the mark ${JSON.stringify(name)} names ${formatPosition(position)}`;
}

function operationLine({ path, kind, above, before, after }: OperationView, withValues: boolean): string {
  const name = kind === 'delete' ? pico.red('delete') : `${pico.green('put')}   `;
  const where = above === true ? ' (above)' : '';
  const values = withValues ? `  ${valueText(before)} → ${valueText(after)}` : '';
  return `  ${name} ${pathText(path)}${where}${values}`;
}
