import { hostname } from 'node:os';
import { basename, resolve } from 'node:path';
import type { Role } from '@evertree/core';
import { readConsumerConfiguration, readProducerConfiguration } from '../configuration/reading.ts';
import { openLog } from '../logs/logger.ts';
import { checkWire } from '../site/wire.ts';
import type { LogFormat, LogLevel } from '../logs/options.ts';
import type { HostAndPort } from './arguments.ts';
import { RunningSite, checkHttpAddress } from './running-site.ts';
import { onStopSignals } from './signals.ts';

/** What the command line says of a site. */
export interface SiteOptions {
  readonly config: string;
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
  const configuration = role === 'primary' ? readProducerConfiguration(options.config) : readConsumerConfiguration(options.config);
  checkWire(configuration);
  checkHttpAddress(configuration, options.http);
  const log = openLog({ level: options.logLevel, format: options.log });
  const { promise: ended, resolve: stop, reject: fail } = Promise.withResolvers<void>();
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
