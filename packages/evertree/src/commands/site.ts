import type { Role } from '@evertree/core';
import { type Command, Option } from 'commander';
import { LOG_FORMATS, LOG_LEVELS } from '../logs/options.ts';
import { addressArgument, siteArgument } from './arguments.ts';
import type { SiteOptions } from './site-run.ts';

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
    .action(async (options: SiteOptions) => {
      // Loaded now: commands that only talk to a site start faster without.
      const { runSite } = await import('./site-run.ts');
      await runSite(role, options);
    });
}
