import { formatPosition } from '@evertree/core';
import pico from 'picocolors';
import { formatCount, formatDuration } from '../commands/units.ts';
import type { SiteStatus } from '../commands/status-report.ts';

/** What the moving line shows. */
export interface PairView {
  readonly primary: SiteStatus | undefined;
  readonly secondary: SiteStatus | undefined;
  /** Commits a second since the last line. */
  readonly rate: number;
  readonly load: number | undefined;
}

/** `primary 1-1201 → secondary 1-1201 equal │ lag 0, 0 ms │ 1 commit/s │ load 0.42` */
export function pairLine({ primary, secondary, rate, load }: PairView): string {
  const peer = primary?.peers[0];
  const parts = [
    `primary ${stateOf(primary)} → secondary ${stateOf(secondary)} ${agreement(primary, secondary)}`,
    ...(peer === undefined ? [] : [`${peer.state}, lag ${lagText(peer.lagRevisions, peer.lagMs)}`]),
    `${formatCount(Math.round(rate))} commit${Math.round(rate) === 1 ? '' : 's'}/s`,
    ...(load === undefined ? [] : [`load ${load.toFixed(2)}`]),
  ];
  return parts.join(pico.dim(' │ '));
}

/** The states of both sites. Outside a terminal, a change of these is printed at once. */
export function pairState({ primary, secondary }: PairView): string {
  return [primary?.state ?? 'away', secondary?.state ?? 'away', primary?.peers[0]?.state ?? '-'].join(' ');
}

function stateOf(status: SiteStatus | undefined): string {
  return status === undefined ? pico.red('is away') : formatPosition(status.position);
}

function agreement(primary: SiteStatus | undefined, secondary: SiteStatus | undefined): string {
  if (primary === undefined || secondary === undefined) return '';
  if (formatPosition(primary.position) !== formatPosition(secondary.position)) return pico.yellow('follows');
  return primary.digest === secondary.digest ? pico.green('equal') : pico.red('differs');
}

function lagText(revisions: number | null, milliseconds: number | null): string {
  if (revisions === null) return 'unknown';
  return revisions === 0 ? '0' : `${formatCount(revisions)} (${formatDuration(milliseconds ?? 0)})`;
}
