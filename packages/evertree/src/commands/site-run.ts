import { hostname } from 'node:os';
import { basename, resolve } from 'node:path';
import { type Reporter, type Role, formatPosition, isEvertreeError } from '@evertree/core';
import { checkArchivePlace } from '../archive/opening.ts';
import type { RoleConfigurations } from '../configuration/configuration.ts';
import { joinRoles } from '../configuration/joining.ts';
import { collect, readConsumerConfiguration, readPrimaryConfiguration } from '../configuration/reading.ts';
import { openLog } from '../logs/logger.ts';
import type { LogFormat, LogLevel } from '../logs/options.ts';
import { optional } from '../optional.ts';
import { type ReadConfigurations, openUnstarted } from '../site/store.ts';
import { checkWires } from '../site/wire.ts';
import { checkOptions } from '../site/options.ts';
import type { Site } from '../site/site.ts';
import { VERSION } from '../version.ts';
import type { HostAndPort } from './arguments.ts';
import { UsageError } from './exit-status.ts';
import { restoreBeforeStart, type RestoredStartOptions } from './restored-start.ts';
import { onSignals } from './signals.ts';
import { tellWhileOpening } from './opening-notice.ts';
import { checkHttpAddress, checkHttpPort, loadHttp, reachableAddress, startListening, withAdvertised } from './site-http.ts';

/** The options of `primary` and `secondary`. */
export interface SiteOptions extends RestoredStartOptions {
  /** One file; a primary may have several. */
  readonly config: readonly string[];
  /** Of the other role: one file, of which a secondary may have several. */
  readonly standbyConfig?: readonly string[];
  readonly data: string;
  readonly http: HostAndPort | 'off';
  readonly site?: string;
  /** Makes a secondary's directory a primary's. */
  readonly promote?: boolean;
  readonly log: LogFormat;
  readonly logLevel: LogLevel;
}

/** The time that a site has to stop in order; then the process ends. */
const STOP_LIMIT_MS = 30_000;

/** Checks everything, starts, waits for a signal, and stops in order. */
export async function runSite(role: Role, options: SiteOptions): Promise<void> {
  const configurations = readConfigurations(role, options);
  const settings = joinRoles([configurations.primary, configurations.standby].filter(configuration => configuration !== undefined));
  checkHttpPort(configurations.standby, options.http);
  const advertised = settings.http.advertised ?? reachableAddress(options.http, settings, configurations);
  const log = openLog({ level: options.logLevel, format: options.log });
  const { promise: ended, resolve: stop, reject: fail } = Promise.withResolvers<void>();
  // The site may fail while it still starts. Nobody awaits `ended` yet, so the rejection is handled here and met again
  // later.
  ended.catch(() => undefined);
  const reloads = new Reloads();
  const signals = onSignals({
    stop: reason => {
      const message = `stops in order, because of ${reason}; a second signal ends it at once, and what was durable stays`;
      log.report({ level: 'info', event: 'stopping', message, details: { reason } });
      stop();
    },
    reload: () => reloads.ask(),
  });
  try {
    // Opening the site checks these, too. A restore comes before it, and would leave its directory.
    checkArchivePlace(options.data, settings.archive);
    await checkWires(configurations.primary, configurations.standby);
    await restoreBeforeStart(options, log.report);
    if (options.http !== 'off') void loadHttp();
    await using stack = new AsyncDisposableStack();
    const read = () => withAdvertised(readConfigurations(role, options), advertised);
    const site = stack.use(await openTold(role, options, { configurations: withAdvertised(configurations, advertised), read }, log.report));
    stack.use(site.on('failed', fail));
    await site.start();
    await startListening(stack, site, options.http, settings);
    log.report({
      level: 'info',
      event: 'started',
      message: `${site.name} is a ${site.role} at ${formatPosition(site.store.position)}`,
      details: { version: VERSION, data: options.data, stream: site.store.stream },
    });
    reloads.begin(site);
    try {
      await ended;
    } finally {
      limitStop();
    }
    await stack.disposeAsync();
    const message = `${site.name} has stopped at ${formatPosition(site.store.position)}`;
    log.report({ level: 'info', event: 'stopped', message, details: { data: options.data } });
  } finally {
    signals[Symbol.dispose]();
    await log.close();
  }
}

/** What SIGHUP asks for: one that comes while the site starts is for the end of that. */
class Reloads {
  #site: Site | undefined;
  #isDue = false;

  ask(): void {
    this.#isDue = true;
    this.#reload();
  }

  begin(site: Site): void {
    this.#site = site;
    this.#reload();
  }

  #reload(): void {
    if (this.#site === undefined || !this.#isDue) return;
    this.#isDue = false;
    try {
      this.#site.reload();
    } catch (error) {
      // The site has told what is wrong with its files, and goes on.
      if (!isEvertreeError(error, 'CONFIGURATION_INVALID')) throw error;
    }
  }
}

/**
 * Reads the files of both roles, so that everything that is wrong with them is told at once.
 * @throws EvertreeError CONFIGURATION_INVALID, also where HTTP would be open to others without a token
 */
function readConfigurations(role: Role, { config, standbyConfig = [], http }: SiteOptions): RoleConfigurations {
  const [primary, secondary] = role === 'primary' ? [config, standbyConfig] : [standbyConfig, config];
  const secondaryFile = onlyOne(secondary, role === 'primary' ? '--standby-config' : '--config');
  const readers: (() => RoleConfigurations)[] = [];
  if (primary.length > 0) readers.push(() => ({ primary: readPrimaryConfiguration(primary) }));
  if (secondaryFile !== undefined) readers.push(() => ({ standby: readConsumerConfiguration(secondaryFile) }));
  const configurations = Object.assign({}, ...collect(readers)) as RoleConfigurations;
  const read = [configurations.primary, configurations.standby].filter(configuration => configuration !== undefined);
  checkHttpAddress(read.map(({ source }) => source).join(', '), joinRoles(read), http);
  return configurations;
}

/** As openSiteOf, and tells while it takes long. */
async function openTold(role: Role, options: SiteOptions, configurations: ReadConfigurations, report: Reporter): Promise<Site> {
  using _ = tellWhileOpening(options.data, report);
  return await openSiteOf(role, options, configurations, report);
}

function openSiteOf(
  role: Role,
  { data, site, promote = false }: SiteOptions,
  configurations: ReadConfigurations,
  log: Reporter,
): Promise<Site> {
  const options = checkOptions({ data, role, ...optional('site', site), defaultSite: defaultSite(data), log }, 'openStore');
  // A secondary without the other role's file has to follow, whatever its directory was.
  const changesRole = role === 'primary' ? promote : configurations.configurations.primary === undefined;
  return openUnstarted({ ...options, changesRole }, configurations);
}

function onlyOne(files: readonly string[], option: string): string | undefined {
  const [file, ...others] = files;
  if (others.length === 0) return file;
  throw new UsageError(`a secondary follows one primary in one way, and ${option} is given ${files.length} times; keep one`);
}

/** Two sites on one machine have two directories: the directory's name is part of the site's. */
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
