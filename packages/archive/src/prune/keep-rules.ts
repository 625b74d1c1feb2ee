import { EvertreeError } from '@evertree/core';

const DAY_MS = 86_400_000;

/** Which states are kept, as restic's users know the rules. At least one is needed. */
export interface KeepRules {
  /** The newest states, and everything after the oldest of them. */
  readonly last?: number;
  /** So many milliseconds back from the newest state: every moment in them. */
  readonly withinMs?: number;
  /** One state of each of so many days, weeks, … that have one. */
  readonly daily?: number;
  readonly weekly?: number;
  readonly monthly?: number;
  readonly yearly?: number;
  /** Everything: only what no state needs goes. */
  readonly all?: true;
  /** Fewer states than these are never left in a line that has so many. */
  readonly atLeast?: number;
}

export const DEFAULT_AT_LEAST = 3;
/** The most that a rule counts. */
const COUNT_LIMIT = 100_000;

export type CalendarRule = 'daily' | 'weekly' | 'monthly' | 'yearly';

export const CALENDAR_RULES: readonly CalendarRule[] = ['daily', 'weekly', 'monthly', 'yearly'];

/** @throws EvertreeError VALUE_INVALID */
export function checkRules(rules: KeepRules): void {
  const { withinMs, all, atLeast, last } = rules;
  const counts = { last, ...Object.fromEntries(CALENDAR_RULES.map(name => [name, rules[name]])), atLeast };
  for (const [name, count] of Object.entries(counts)) {
    if (count === undefined || (Number.isSafeInteger(count) && count >= 1 && count <= COUNT_LIMIT)) continue;
    throw invalid(`"${name}" is ${String(count)}; write a whole number from 1 to ${COUNT_LIMIT}`);
  }
  if (withinMs !== undefined && !(Number.isSafeInteger(withinMs) && withinMs > 0)) {
    throw invalid(`"withinMs" is ${String(withinMs)}; write a whole number of milliseconds above 0`);
  }
  if (all === true || withinMs !== undefined || last !== undefined || CALENDAR_RULES.some(name => rules[name] !== undefined)) return;
  throw invalid(
    'nothing says what to keep, and without a rule nothing would be kept: give one or more of --keep-last, --keep-within, ' +
      '--keep-daily, --keep-weekly, --keep-monthly, --keep-yearly; or --keep-all, which only removes what no state needs',
  );
}

/** Days, weeks (from Monday), months and years are those of UTC. */
export interface Bucket {
  /** Grows with time. */
  readonly number: number;
  /** For people: `2026-11-27`, `the week of 2026-11-23`, `2026-11`, `2026`. */
  readonly text: string;
}

export function bucketOf(rule: CalendarRule, time: number): Bucket {
  const date = new Date(Math.min(time, 8.64e15));
  const day = Math.floor(date.getTime() / DAY_MS);
  const iso = date.toISOString();
  // Years beyond 9999 have a sign and six digits.
  const dayText = iso.slice(0, iso.indexOf('T'));
  switch (rule) {
    case 'daily':
      return { number: day, text: dayText };
    case 'weekly': {
      // 1970-01-01 was a Thursday.
      const week = Math.floor((day + 3) / 7);
      const monday = new Date((week * 7 - 3) * DAY_MS).toISOString();
      return { number: week, text: `the week of ${monday.slice(0, monday.indexOf('T'))}` };
    }
    case 'monthly':
      return { number: date.getUTCFullYear() * 12 + date.getUTCMonth(), text: dayText.slice(0, -3) };
    case 'yearly':
      return { number: date.getUTCFullYear(), text: dayText.slice(0, -6) };
  }
}

function invalid(message: string): EvertreeError {
  return new EvertreeError('VALUE_INVALID', message);
}
