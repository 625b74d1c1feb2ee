import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { RestoreForecast } from '@evertree/archive';
import { formatPosition, type Reporter } from '@evertree/core';
import { optional } from '../optional.ts';
import { UsageError } from './exit-status.ts';
import { forecastLines } from './restore-report.ts';
import { commandClock, type IdentityOptions, identitiesOf, openTargetOf, type TargetOptions } from './target-options.ts';
import { WorkProgress } from './terminal.ts';
import { formatBytes, formatDuration } from './units.ts';

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

/** What says that a directory is a site's, unless the other one says that something did not end there. */
const SITE_FILE = 'site.json';
const UNFINISHED_FILE = 'unfinished.json';

/** Restores the directory of a site that is about to start, if it is empty or a restore did not end in it. */
export async function restoreBeforeStart(options: RestoredStart, report: Reporter): Promise<void> {
  const { restore: target, data, site, to, line } = options;
  if (target === undefined) {
    if (to === undefined && line === undefined) return;
    throw new UsageError(`${to === undefined ? '--line' : '--to'} names what is restored: it goes with --restore`);
  }
  if (existsSync(join(data, SITE_FILE)) && !existsSync(join(data, UNFINISHED_FILE))) {
    const message = `${data} holds a site already, which starts as it is: nothing is restored; --restore restores into an empty directory only`;
    report({ level: 'info', event: 'restore-not-needed', message, details: { data, target } });
    return;
  }
  const { restoreFrom } = await import('../archive/restoring.ts');
  const progress = process.stderr.isTTY ? new WorkProgress('restored') : new LoggedProgress(report);
  const wish = {
    data,
    planned: (plan: RestoreForecast) => tellPlan(plan, report),
    ...optional('site', site),
    ...optional('to', to),
    ...optional('line', line),
  };
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

/** As lines of the log, so that whoever reads that as JSON finds nothing else. */
function tellPlan(plan: RestoreForecast, report: Reporter): void {
  for (const line of forecastLines(plan)) report({ level: 'info', event: 'restore-plan', message: line.replace(/ {2,}/, ': ') });
}

/** The pause between two lines of the log. */
const LOG_PAUSE_MS = 10_000;

/** The progress of a restore, in the log. */
class LoggedProgress {
  readonly #report: Reporter;
  readonly #began = performance.now();
  #toldAt = this.#began;
  readonly tell = (doneBytes: number, totalBytes: number): void => {
    const now = performance.now();
    if (now - this.#toldAt < LOG_PAUSE_MS) return;
    this.#toldAt = now;
    const rate = (doneBytes * 1_000) / (now - this.#began);
    const leftMs = ((totalBytes - doneBytes) * 1_000) / Math.max(1, rate);
    const message = `restored ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}, ${formatBytes(Math.round(rate))}/s, ${formatDuration(leftMs)} left`;
    this.#report({ level: 'info', event: 'restore-progress', message, details: { doneBytes, totalBytes, leftMs: Math.round(leftMs) } });
  };

  constructor(report: Reporter) {
    this.#report = report;
  }

  end(): void {}
}
