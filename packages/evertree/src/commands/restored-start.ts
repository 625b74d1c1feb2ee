import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { RestoreForecast } from '@evertree/archive';
import { formatPosition, type Reporter } from '@evertree/core';
import { optional } from '../optional.ts';
import { UsageError } from './exit-status.ts';
import { forecastLines } from './restore-report.ts';
import { commandClock, type IdentityOptions, identitiesOf, openTargetOf, type TargetOptions } from './target-options.ts';
import { tellNote, WorkProgress } from './terminal.ts';
import { formatDuration } from './units.ts';

/** The options of `primary` with which a lost site comes back. */
export interface RestoredStartOptions extends TargetOptions, IdentityOptions {
  /** The archive. */
  readonly restore?: string;
  readonly to?: string;
  readonly line?: string;
}

interface RestoredStart extends RestoredStartOptions {
  readonly data: string;
  readonly site?: string;
}

/** What says that a directory is a site's. */
const SITE_FILE = 'site.json';

/** Restores the directory of a site that is about to start, if it is empty or a restore did not end in it. */
export async function restoreBeforeStart(options: RestoredStart, report: Reporter): Promise<void> {
  const { restore: target, data, site, to, line } = options;
  if (target === undefined) {
    if (to === undefined && line === undefined) return;
    throw new UsageError(`${to === undefined ? '--line' : '--to'} names what is restored: it goes with --restore`);
  }
  if (existsSync(join(data, SITE_FILE))) {
    const message = `${data} holds a site already, which starts as it is: nothing is restored; --restore restores into an empty directory only`;
    report({ level: 'info', event: 'restore-not-needed', message, details: { data, target } });
    return;
  }
  const { restoreFrom } = await import('../archive/restoring.ts');
  const progress = new WorkProgress('restored');
  const wish = { data, planned: tellPlan, ...optional('site', site), ...optional('to', to), ...optional('line', line) };
  const identities = await identitiesOf(options);
  await using opened = await openTargetOf(target, options);
  try {
    const done = await restoreFrom(opened, { ...wish, identities, clock: commandClock, log: report, progress: progress.tell });
    if (!('plan' in done)) return;
    const { base, digest, position, milliseconds } = done;
    const message = `restored ${formatPosition(base)}, digest ${digest}, from ${target} into ${data} in ${formatDuration(milliseconds)}; the site ${done.site} goes on at ${formatPosition(position)}`;
    report({ level: 'info', event: 'restored', message, details: { target, data, base, position, digest, milliseconds } });
  } finally {
    progress.end();
  }
}

function tellPlan(plan: RestoreForecast): void {
  for (const line of forecastLines(plan)) tellNote(line);
}
