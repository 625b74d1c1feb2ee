import { hostname } from 'node:os';
import { basename, resolve } from 'node:path';
import type { Role } from '@evertree/core';
import { type Command, Option } from 'commander';
import { readConsumerConfiguration, readProducerConfiguration } from '../configuration/reading.ts';
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel, openLog } from '../logs/logger.ts';
import { checkWire } from '../site/wire.ts';
import { type HostAndPort, addressArgument, siteArgument } from './arguments.ts';
import { RunningSite, checkHttpAddress } from './running-site.ts';
import { onStopSignals } from './signals.ts';

/** What a site may take to stop in good order; then it is ended. */
const STOP_LIMIT_MS = 30_000;

interface SiteOptions {
  readonly config: string;
  readonly data: string;
  readonly http: HostAndPort | 'off';
  readonly site?: string;
  readonly log: LogFormat;
  readonly logLevel: LogLevel;
}

export function addPrimary(program: Command): void {
  addSite(program, 'primary', 'configs/nettyProducer.json')
    .summary('run a site that takes writes and feeds secondaries')
    .description(
      'Runs a primary: it takes writes and feeds the secondaries that its configuration names, until it is stopped. They may be started before or after it.',
    )
    .addHelpText('after', '\nExample:\n  evertree primary --config configs/nettyProducer.json --data a');
}

export function addSecondary(program: Command): void {
  addSite(program, 'secondary', 'configs/nettyConsumer.json')
    .summary('run a site that follows a primary')
    .description(
      'Runs a secondary: it listens for its primary and follows it, and takes reads, until it is stopped. Either may be started first.',
    )
    .addHelpText('after', '\nExample:\n  evertree secondary --config configs/nettyConsumer.json --data b --http 127.0.0.1:8182');
}

function addSite(program: Command, role: Role, sample: string): Command {
  return program
    .command(role)
    .requiredOption('--config <file>', `its configuration; ${sample} is a sample`)
    .option('--data <dir>', 'its data directory, made if there is none', `data/${role}`)
    .addOption(
      new Option('--http <host:port>', 'where HTTP listens, or off')
        .default({ host: '127.0.0.1', port: 8181 }, '127.0.0.1:8181')
        .argParser(text => (text === 'off' ? 'off' : addressArgument(text))),
    )
    .addOption(new Option('--site <name>', 'its name, told to its peers (default: that of the directory)').argParser(siteArgument))
    .addOption(new Option('--log <format>', 'how the log on stderr is written').choices(LOG_FORMATS).default('auto'))
    .addOption(new Option('--log-level <level>', 'the least important that is logged').choices(LOG_LEVELS).default('info'))
    .action((options: SiteOptions) => runSite(role, options));
}

/** Checks everything, starts, waits for a signal, and stops in order. */
async function runSite(role: Role, options: SiteOptions): Promise<void> {
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
