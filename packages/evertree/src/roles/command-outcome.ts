import type { CommandOutcome, Epoch } from '@evertree/core';

/**
 * What a site's history and its declined commands say of a switchover's command.
 * - `open`: they do not know it.
 * - `handed-here`: the history ends in its handover, and this site is the one that follows.
 * - `handed-there`: the history ends in its handover to another site.
 * - `begun-here`: this site's epoch follows its handover.
 * - `begun-there`: the epoch of the site that the handover names follows it.
 * - `ended-elsewhere`: the epoch of a site that it does not name follows it.
 * - `declined`: this site has declined it.
 */
export type CommandStanding = 'open' | 'handed-here' | 'handed-there' | 'begun-here' | 'begun-there' | 'ended-elsewhere' | 'declined';

/** @param epochs the table of the site's history, up to its end */
export function commandStanding(command: string, site: string, epochs: readonly Epoch[], declined: ReadonlySet<string>): CommandStanding {
  const at = epochs.findLastIndex(({ end }) => end?.command === command);
  if (at < 0) return declined.has(command) ? 'declined' : 'open';
  const { to } = epochs[at]!.end!;
  const next = epochs[at + 1];
  if (next !== undefined) {
    if (next.site !== to) return 'ended-elsewhere';
    return to === site ? 'begun-here' : 'begun-there';
  }
  if (declined.has(command)) return 'declined';
  return to === site ? 'handed-here' : 'handed-there';
}

/** What became of a command, as whoever gave it is told. */
export interface ToldOutcome {
  readonly outcome: CommandOutcome;
  readonly why: string;
}

/** Undefined where it is under way: the history ends in its handover. */
export function outcomeOf(standing: CommandStanding): ToldOutcome | undefined {
  switch (standing) {
    case 'begun-here':
    case 'begun-there':
      return { outcome: 'done', why: 'the epoch of its target follows its handover' };
    case 'ended-elsewhere':
      return { outcome: 'abandoned', why: 'an epoch of another site than its target follows its handover' };
    case 'declined':
      return { outcome: 'abandoned', why: 'this site, its target, has declined it' };
    case 'open':
      return { outcome: 'unknown', why: 'this site has no record of the command: it ended before its handover, or was given elsewhere' };
    case 'handed-here':
    case 'handed-there':
      return undefined;
  }
}
