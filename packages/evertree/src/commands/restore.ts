import type { RestoreForecast } from '@evertree/archive';
import type { Role } from '@evertree/core';
import { type Command, Option } from 'commander';
import { optional } from '../optional.ts';
import { directoryArgument, siteArgument } from './arguments.ts';
import { UsageError } from './exit-status.ts';
import { withConnection, withNote } from './options.ts';
import type { SubtreeRestoreOptions } from './subtree-restore.ts';
import { commandClock, identitiesOf, openTargetOf, TARGET_HELP, withIdentity, withTarget } from './target-options.ts';
import { printLine, tellWarnings, WorkProgress } from './terminal.ts';

interface RestoreCommand extends SubtreeRestoreOptions {
  readonly data?: string;
  readonly site?: string;
  readonly role?: Role;
  readonly asNewStream?: true;
  readonly path?: string;
}

const WHEN = 'the state at a position, a time or a mark: 4-1201, 2026-11-27T10:00:00Z, -10m, before-upgrade (default: the newest)';

export function addRestore(program: Command): void {
  const command = program
    .command('restore <target>')
    .summary('bring a state back from an archive: a whole site, or one subtree')
    .description(
      'Restores a state from TARGET, a directory or s3://bucket/prefix, into a directory on which a site can then be started. The plan comes first; every sum, the chain of the frames and the digest of the rebuilt tree are compared. The restored site begins an epoch of its own above all that the archive knows, so that it never gives a position twice. An interrupted restore goes on when the same command is run again; where it is refused, nothing was changed. With --path it brings back one subtree, as a document or into a running site, and no site. If all is lost, "evertree primary --restore TARGET" restores and starts in one command.',
    )
    .addOption(new Option('--data <dir>', 'the directory to restore into: empty or absent').argParser(directoryArgument))
    .option('--to <when>', WHEN)
    .option('--line <line>', 'a line of the archive, by its id or the name of its site (default: the one that goes furthest)')
    .option('--without <object...>', 'do without damaged objects of the archive, where there is another way to the state')
    .addOption(
      new Option('--site <name>', 'the name of the restored site (default: that of the primary, or of the line)').argParser(siteArgument),
    )
    .addOption(
      new Option('--role <role>', 'a secondary takes no writes, and follows its primary from there').choices(['primary', 'secondary']),
    )
    .option('--as-new-stream', 'begin another stream: for a copy that no site of the original may take for one of theirs')
    .option('--path <pointer>', 'only the subtree at a path')
    .option('--output <file>', 'with --path: write the JSON document to a file (default: print it)')
    .option('--into <url>', 'with --path: make it one commit of the running site there')
    .option('--at <path>', 'with --into: where it is to stand (default: the same path)')
    .option('--yes', 'with --into: do not ask before the whole tree is replaced')
    .option('--dry-run', 'print the plan, and change nothing')
    .option('--json', 'print plan and result as JSON; off a terminal with lines of progress before it');
  withNote(withConnection(withIdentity(withTarget(command))))
    .addHelpText(
      'after',
      `${TARGET_HELP}

Examples:
  evertree restore /mnt/backups/north --data ./data --dry-run
  evertree restore s3://backups/north --data ./data --to 2026-11-27T10:00:00Z --identity identity.txt
  evertree restore /mnt/backups/north --data ./b --role secondary --site north-2
  evertree restore /mnt/backups/north --path /devices/r1 --to -1h > r1.json
  evertree restore /mnt/backups/north --path /devices/r1 --to before-upgrade --into http://127.0.0.1:8181`,
    )
    .action(restoreCommand);
}

async function restoreCommand(target: string, options: RestoreCommand): Promise<void> {
  checkOptions(options);
  if (options.path === undefined) return restoreSite(target, options);
  const { restoreSubtree } = await import('./subtree-restore.ts');
  await restoreSubtree(target, options.path, options);
}

function checkOptions({ data, path, output, into, at, role, site, asNewStream }: RestoreCommand): void {
  if (path === undefined) {
    if (data === undefined) throw new UsageError('name the directory to restore into with --data, or one subtree with --path');
    const given = { '--output': output, '--into': into, '--at': at };
    for (const [name, value] of Object.entries(given))
      if (value !== undefined) throw new UsageError(`${name} is for one subtree: it goes with --path`);
    if (asNewStream === true && role === 'secondary')
      throw new UsageError('a secondary has the stream of its primary: leave --as-new-stream or --role out');
    return;
  }
  const given = { '--data': data, '--role': role, '--site': site, '--as-new-stream': asNewStream };
  for (const [name, value] of Object.entries(given))
    if (value !== undefined) throw new UsageError(`${name} is for a whole site: it does not go with --path`);
  if (output !== undefined && into !== undefined) throw new UsageError('--output and --into name two places; keep one of them');
  if (at !== undefined && into === undefined) throw new UsageError('--at is a path of a running site: it goes with --into');
}

async function restoreSite(target: string, options: RestoreCommand): Promise<void> {
  const { json, dryRun, role, site, to, line, without, asNewStream } = options;
  const data = options.data!;
  // Loaded on demand: other commands start faster without it.
  const [{ restoreFrom }, { forecastLines, restoredLines }] = await Promise.all([
    import('../archive/restoring.ts'),
    import('./restore-report.ts'),
  ]);
  const progress = new WorkProgress('restored', json);
  const planned = async (plan: RestoreForecast) => {
    if (!json) await printLine(forecastLines(plan).join('\n'));
  };
  const state = { ...optional('to', to), ...optional('line', line), ...optional('without', without) };
  const wish = { data, ...state, ...optional('role', role), ...optional('site', site), ...optional('asNewStream', asNewStream), planned };
  const identities = await identitiesOf(options);
  await using opened = await openTargetOf(target, options);
  try {
    const done = await restoreFrom(opened, {
      ...wish,
      identities,
      clock: commandClock,
      log: tellWarnings,
      ...optional('dryRun', dryRun),
      progress: progress.tell,
    });
    progress.end();
    if (json) await printLine(JSON.stringify(done));
    else await printLine('plan' in done ? restoredLines(done, data).join('\n') : 'nothing was changed');
  } finally {
    progress.end();
  }
}
