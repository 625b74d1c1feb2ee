import type { Role } from '@evertree/core';
import { type Command, Option } from 'commander';
import { LOG_FORMATS, LOG_LEVELS } from '../logs/options.ts';
import { type HostAndPort, addressArgument, checkHttpPort, siteArgument } from './arguments.ts';
import type { SiteOptions } from './site-run.ts';

export function addPrimary(program: Command): void {
  addSite(program, 'primary', 'configs/nettyProducer.json and kafkaProducer.json')
    .summary('run a site that takes writes and feeds secondaries')
    .description(
      'Runs a primary: it takes writes and feeds the secondaries that its configuration leads to, by WebSocket or through a topic of Kafka, until it is stopped. They may be started before or after it. With --config more than once it goes all these ways, from one journal.',
    )
    .addHelpText(
      'after',
      `
Examples:
  evertree primary --config configs/nettyProducer.json --data a
  evertree primary --config configs/kafkaProducer.json --data a
  evertree primary --config configs/kafkaProducer.json --config configs/nettyProducer.json --data a`,
    );
}

export function addSecondary(program: Command): void {
  addSite(program, 'secondary', 'configs/nettyConsumer.json and kafkaConsumer.json')
    .summary('run a site that follows a primary')
    .description(
      'Runs a secondary: it listens for its primary, or reads from a topic of Kafka, follows it and takes reads, until it is stopped. Either may be started first. It may be started with the other kind of file later: it goes on from its position.',
    )
    .addHelpText(
      'after',
      `
Examples:
  evertree secondary --config configs/nettyConsumer.json --data b --http 127.0.0.1:8182
  evertree secondary --config configs/kafkaConsumer.json --data c --http 127.0.0.1:8183`,
    );
}

function httpArgument(text: string): HostAndPort | 'off' {
  if (text === 'off') return text;
  const address = addressArgument(text);
  checkHttpPort(address.port);
  return address;
}

function addSite(program: Command, role: Role, samples: string): Command {
  return program
    .command(role)
    .addOption(
      new Option('--config <file>', `its configuration; ${samples} are samples${role === 'primary' ? '; may be given several times' : ''}`)
        .argParser((file: string, before: readonly string[] | undefined) => [...(before ?? []), file])
        .makeOptionMandatory(),
    )
    .option('--data <dir>', 'its data directory, made if there is none', `data/${role}`)
    .addOption(
      new Option('--http <host:port>', 'where HTTP listens, or off')
        .default({ host: '127.0.0.1', port: 8181 }, '127.0.0.1:8181')
        .argParser(httpArgument),
    )
    .addOption(new Option('--site <name>', 'its name, told to its peers (default: that of the directory)').argParser(siteArgument))
    .addOption(new Option('--log <format>', 'how the log on stderr is written').choices(LOG_FORMATS).default('auto'))
    .addOption(new Option('--log-level <level>', 'the least important that is logged').choices(LOG_LEVELS).default('info'))
    .action(async (options: SiteOptions) => {
      // Loaded on demand: commands that only talk to a site start faster without it.
      const { runSite } = await import('./site-run.ts');
      await runSite(role, options);
    });
}
