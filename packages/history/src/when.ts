import { EvertreeError, isMarkName, parsePosition, type ExactPosition, type Position } from '@evertree/core';

/**
 * How a moment of a history is named: by a position (with its epoch's id where it is known), by a time in milliseconds
 * since 1970, or by a mark.
 */
export type When = Position | ExactPosition | { readonly time: number } | { readonly mark: string };

/** A `When`, or what people write for one: see `parseWhen`. */
export type WhenLike = When | string;

/** The moment that a `When` named in the history that stands. */
export interface Moment {
  readonly position: ExactPosition;
  /** Commit time of that position, milliseconds since 1970; 0 for the empty tree before the first commit. */
  readonly time: number;
  /** In words: which commit was taken, and which epoch where epochs overlap in time. */
  readonly taken: string;
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const RELATIVE = /^(?:-(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d|w)|(\d{1,12}(?:\.\d{1,6})?) ?(ms|s|m|h|d|w) ago)$/;
const RFC_3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,12}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;

/**
 * What people write for a moment: `4-1201`, `2026-11-27T10:00:00Z` (RFC 3339, with a zone), `-10m` or `10m ago` (ms, s,
 * m, h, d, w), or the name of a mark, which starts with a letter.
 * @param now milliseconds since 1970
 * @throws EvertreeError VALUE_INVALID
 */
export function parseWhen(text: string, now: number): When {
  const position = parsePosition(text);
  if (position !== undefined) return position;
  const time = parseTime(text, now);
  if (time !== undefined) return { time };
  if (isMarkName(text)) return { mark: text };
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
  const forms = 'a position (4-1201), a time with its zone (2026-11-27T10:00:00Z), a time ago (-10m, "10m ago") or the name of a mark';
  throw new EvertreeError('VALUE_INVALID', `${shown} names no moment; write ${forms}`, { value: text.toWellFormed().slice(0, 80) });
}

/** The time that a text names, milliseconds since 1970, fractions dropped; undefined if it names none. */
export function parseTime(text: string, now: number): number | undefined {
  const relative = RELATIVE.exec(text);
  if (relative !== null) {
    const amount = Number(relative[1] ?? relative[3]);
    return Math.floor(now - amount * UNITS_MS[(relative[2] ?? relative[4])!]!);
  }
  const match = RFC_3339.exec(text);
  return match === null ? undefined : calendarTime(match);
}

/** RFC 3339, for people. */
export function formatTime(time: number): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? `${time} ms after 1970` : date.toISOString();
}

/** Date.parse would make a March 3rd of a February 31st. */
function calendarTime(match: RegExpExecArray): number | undefined {
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [number, number, number, number, number, number];
  const ms = Number(`${match[7] ?? ''}000`.slice(0, 3));
  const [zoneHour, zoneMinute] = [Number(match[9] ?? 0), Number(match[10] ?? 0)];
  const date = new Date(Date.UTC(2000, month - 1, day, hour, minute, second, ms));
  date.setUTCFullYear(year, month - 1, day);
  const isReal = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  if (!isReal || month < 1 || hour > 23 || minute > 59 || second > 59 || zoneHour > 23 || zoneMinute > 59) return undefined;
  const offsetMs = (zoneHour * 60 + zoneMinute) * 60_000 * (match[8] === '-' ? -1 : 1);
  return date.getTime() - offsetMs;
}
