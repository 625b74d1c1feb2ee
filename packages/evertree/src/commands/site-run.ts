import { hostname } from 'node:os';
import { basename, resolve } from 'node:path';
import type { Role } from '@evertree/core';
import { readConsumerConfiguration, readPrimaryConfiguration } from '../configuration/reading.ts';
import { openLog } from '../logs/logger.ts';
import type { LogFormat, LogLevel } from '../logs/options.ts';
import type { HostAndPort } from './arguments.ts';
import { UsageError } from './exit-status.ts';
import { RunningSite, checkHttpAddress } from './running-site.ts';
import { onStopSignals } from './signals.ts';

/** What the command line says of a site. */
export interface SiteOptions {
  /** One file; a primary may have several. */
  readonly config: readonly string[];
  readonly data: string;
  readonly http: HostAndPort | 'off';
  readonly site?: string;
  readonly log: LogFormat;
  readonly logLevel: LogLevel;
}

/** What a site may take to stop in good order; then it is ended. */
const STOP_LIMIT_MS = 30_000;

/** Checks everything, starts, waits for a signal, and stops in order. */
export async function runSite(role: Role, options: SiteOptions): Promise<void> {
  const configuration = role === 'primary' ? readPrimaryConfiguration(options.config) : readConsumerConfiguration(onlyOne(options.config));
  checkHttpAddress(configuration, options.http);
  const log = openLog({ level: options.logLevel, format: options.log });
  const { promise: ended, resolve: stop, reject: fail } = Promise.withResolvers<void>();
  // It may fail while it still starts; whoever waits for the end learns of it then.
  ended.catch(() => undefined);
  const signals = onStopSignals(stop);
  try {
    const { data, http, site } = options;
    const running = await RunningSite.start({
      role,
      configuration,
      data,
      http,
      site,
      defaultSite: defaultSite(data),
      report: log.report,
      failed: fail,
    });
    try {
      await ended;
    } finally {
      limitStop();
      await running.close();
    }
  } finally {
    signals[Symbol.dispose]();
    await log.close();
  }
}

function onlyOne(files: readonly string[]): string {
  const [file, ...others] = files;
  if (file !== undefined && others.length === 0) return file;
  throw new UsageError(`a secondary follows one primary in one way, and --config is given ${files.length} times; keep one`);
}

/** Two sites on one machine have two directories, so this names them apart. */
function defaultSite(data: string): string {
  return (
    `${hostname()}-${basename(resolve(data))}`
      .replaceAll(/[^A-Za-z0-9._-]/g, '-')
      .replace(/^[^A-Za-z0-9]+/, '')
      .slice(0, 64) || 'site'
  );
}

function limitStop(): void {
  setTimeout(() => {
    process.stderr.write(`evertree: the site did not stop within ${STOP_LIMIT_MS / 1_000} s; it is ended, what was durable stays\n`);
    process.exit(1);
  }, STOP_LIMIT_MS).unref();
}
