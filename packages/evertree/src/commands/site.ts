import type { Role } from '@evertree/core';
import { type Command, Option } from 'commander';
import { LOG_FORMATS, LOG_LEVELS } from '../logs/options.ts';
import { type HostAndPort, addressArgument, checkHttpPort, directoryArgument, siteArgument } from './arguments.ts';
import type { SiteOptions } from './site-run.ts';
import { withIdentity, withTarget } from './target-options.ts';

export function addSites(program: Command): void {
  addPrimary(program);
  addSecondary(program);
}

function addPrimary(program: Command): void {
  withIdentity(withTarget(addSite(program, 'primary', 'configs/nettyProducer.json and kafkaProducer.json').option('--promote', PROMOTE)))
    .option(
      '--restore <target>',
      'all is lost: if the data directory is empty, restore the site from this archive first (see "evertree restore")',
    )
    .option('--to <when>', 'with --restore: the state at a position, a time or a mark (default: the newest)')
    .option('--line <line>', 'with --restore: a line of the archive (default: the one that goes furthest)')
    .summary('run a site that takes writes and feeds secondaries')
    .description(
      'Runs a primary: it takes writes and feeds the secondaries that its configuration names, over WebSocket or through a Kafka topic, until it is stopped. They may be started before or after it. With several --config it feeds the secondaries of all these files.',
    )
    .addHelpText(
      'after',
      `
Examples:
  evertree primary --config configs/nettyProducer.json --data a
  evertree primary --config configs/swap/a-primary.json --standby-config configs/swap/a-secondary.json --data a
  evertree primary --config configs/kafkaProducer.json --data a
  evertree primary --config configs/kafkaProducer.json --config configs/nettyProducer.json --data a
  evertree primary --config configs/nettyProducer.json --data a --restore s3://backups/north --identity identity.txt`,
    );
}

function addSecondary(program: Command): void {
  addSite(program, 'secondary', 'configs/nettyConsumer.json and kafkaConsumer.json')
    .summary('run a site that follows a primary')
    .description(
      'Runs a secondary: it follows its primary, over WebSocket (it listens, and the primary connects) or through a Kafka topic, and answers reads, until it is stopped. Either site may be started first. A later start may use the other kind of file: the secondary goes on from its position.',
    )
    .addHelpText(
      'after',
      `
Examples:
  evertree secondary --config configs/nettyConsumer.json --data b --http 127.0.0.1:8182
  evertree secondary --config configs/swap/b-secondary.json --standby-config configs/swap/b-primary.json --data b --http 127.0.0.1:8182
  evertree secondary --config configs/kafkaConsumer.json --data c --http 127.0.0.1:8183`,
    );
}

function httpArgument(text: string): HostAndPort | 'off' {
  if (text === 'off') return text;
  const address = addressArgument(text);
  checkHttpPort(address.port);
  return address;
}

/** An option that names a file; given again it names one more. */
function filesOption(flags: string, description: string, isSeveral: boolean): Option {
  return new Option(flags, isSeveral ? `${description}; may be given several times` : description).argParser(
    (file: string, before: readonly string[] | undefined) => [...(before ?? []), file],
  );
}

const STANDBY = 'what it needs in the other role, so that the two sites can swap roles while they run';

const PROMOTE =
  "makes a secondary's directory a primary's: commits that only its old primary has are left behind; stop that one before, or let it hand over (switchover)";

function addSite(program: Command, role: Role, samples: string): Command {
  return program
    .command(role)
    .addOption(filesOption('--config <file>', `its configuration; ${samples} are samples`, role === 'primary').makeOptionMandatory())
    .addOption(filesOption('--standby-config <file>', STANDBY, role === 'secondary'))
    .addOption(
      new Option('--data <dir>', 'its data directory; created if it does not exist').default(`data/${role}`).argParser(directoryArgument),
    )
    .addOption(
      new Option('--http <host:port>', 'where HTTP listens, or off')
        .default({ host: '127.0.0.1', port: 8181 }, '127.0.0.1:8181')
        .argParser(httpArgument),
    )
    .addOption(
      new Option(
        '--site <name>',
        'its name, as its peers and status show it (default: that of the directory); a copied directory may get another one',
      ).argParser(siteArgument),
    )
    .addOption(new Option('--log <format>', 'the format of the log on stderr').choices(LOG_FORMATS).default('auto'))
    .addOption(new Option('--log-level <level>', 'the least important level that is logged').choices(LOG_LEVELS).default('info'))
    .action(async (options: SiteOptions) => {
      // Loaded on demand: commands that only talk to a site start faster without it.
      const { runSite } = await import('./site-run.ts');
      await runSite(role, options);
    });
}
