import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { formatPosition } from '@evertree/core';
import type { Cleaned, Timestamp } from '@evertree/history';
import type { Command } from 'commander';
import pico from 'picocolors';
import { optional } from '../optional.ts';
import { directoryArgument, siteArgument } from './arguments.ts';
import { UsageError } from './exit-status.ts';
import { type ClientOptions, clientOf, withClient } from './options.ts';
import { printLine, WorkProgress } from './terminal.ts';
import { formatCount } from './units.ts';
import { writeWholeFile } from './whole-file.ts';

const ABOUT =
  "Makes a backup of a copy of a site's directory that any tool made, file by file, while the site ran. It holds exactly the commits up to the first timestamp, proven by digest.";

const AFTER = `
Before the copy, and after it:
  evertree timestamp fetch --file F1
  rsync -a data/ backup/
  evertree timestamp fetch --file F2 --first F1

On the copy, any time later; then a site can start on it:
  evertree timestamp clean-transactions --data backup --file F1
  evertree timestamp fast-forward --data backup --file F2`;

interface FetchOptions extends ClientOptions {
  readonly file: string;
  readonly first?: string;
  readonly force?: true;
  readonly json?: true;
}

interface CopyOptions {
  readonly data: string;
  readonly file: string;
  readonly json?: true;
}

export function addTimestamp(program: Command): void {
  const timestamp = program
    .command('timestamp')
    .summary('a consistent copy of a directory with any tool, while the site runs')
    .description(ABOUT)
    .helpCommand(false)
    .addHelpText('after', AFTER)
    .enablePositionalOptions();
  withClient(timestamp.command('fetch'))
    .summary('take a timestamp, before the copy and after it')
    .description(
      'The first timestamp makes the site hold its history for the copy, for a day at most. The second one, with --first, fails if the history was not held all the time: then the copy is no backup. Without --first another copy begins; the timestamp then also says for which copies the history is held.',
    )
    .requiredOption('--file <file>', 'where the timestamp is written')
    .option('--first <file>', 'the timestamp that was fetched before the copy')
    .option('--force', 'overwrite the file if it exists')
    .option('--json', 'print the timestamp, too')
    .action(fetchTimestamp);
  withClient(timestamp.command('release'))
    .summary('give a copy up: the site holds no history for it any more')
    .requiredOption('--file <file>', 'the timestamp that was fetched before the copy')
    .option('--json', 'print the answer as JSON')
    .action(release);
  timestamp
    .command('clean-transactions')
    .summary('remove from a copy all that is not before the first timestamp')
    .description(
      'Rebuilds the copy up to the first timestamp, compares the digest with what the site said then, and removes everything else. Changes nothing if the copy lacks something. No site starts on the copy until it is fast-forwarded. May be repeated.',
    )
    .requiredOption('--data <directory>', 'the copy; no site may run on it')
    .requiredOption('--file <file>', 'the timestamp that was fetched before the copy')
    .option('--force', 'the directory is the snapshot of a disk, and so looks like the original')
    .option('--json', 'print the result as JSON')
    .action(clean);
  timestamp
    .command('fast-forward')
    .summary('let a cleaned copy go on in an epoch above all that it may have seen')
    .description(
      'Begins an epoch in the copy above all epochs that the site had heard of when the copy was finished, so that a site which starts on it writes no position that exists already. The site outranks the original: do not let both run in one replication unless the copy is to take over. May be repeated.',
    )
    .requiredOption('--data <directory>', 'the cleaned copy')
    .requiredOption('--file <file>', 'the timestamp that was fetched after the copy')
    .option('--site <name>', "the name of the copy's site (default: that of the original; for a secondary's, a new one)")
    .option('--json', 'print the result as JSON')
    .action(forward);
}

async function fetchTimestamp({ file, first, force, json, ...options }: FetchOptions): Promise<void> {
  const begun = first === undefined ? undefined : await readTimestamp(first);
  if (first !== undefined && first === file) throw new UsageError('--file names the first timestamp; it is needed: name another file');
  if (force !== true && existsSync(file)) throw overwrites(file);
  const client = clientOf(options);
  const answer = (await client.json('/admin/timestamp', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(begun === undefined ? {} : { first: begun }),
  })) as Timestamp;
  await writeTimestamp(file, answer);
  if (json) return printLine(JSON.stringify(answer));
  const { position, site, held, lease } = answer;
  if (begun === undefined) {
    await printLine(`${site} is at ${formatPosition(position)}, and holds its history for a copy: ${lease}`);
    const others = held.filter(each => each.lease !== lease);
    if (others.length > 0)
      await printLine(`it holds it for ${others.length} other ${others.length === 1 ? 'copy' : 'copies'}, too; --first FILE ends one`);
  } else {
    await printLine(
      `${site} is at ${formatPosition(position)}; its history was held from ${formatPosition(begun.position)} on: the copy is good`,
    );
  }
}

/** The file may be all that names a lease: without it the history is held until the lease ends. */
function overwrites(file: string): UsageError {
  return new UsageError(
    `--file ${JSON.stringify(file)} exists, and the site may hold its history for the copy that it names: write to another file, give that copy up first with "evertree timestamp release --file ${file}" and remove the file, or overwrite it with --force`,
  );
}

async function release({ file, json, ...options }: FetchOptions): Promise<void> {
  const { lease } = await readTimestamp(file);
  const answer = await clientOf(options).json('/admin/timestamp', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ release: lease }),
  });
  await printLine(json ? JSON.stringify(answer) : `the history is no longer held for ${lease}`);
}

async function clean({ data, file, force, json }: CopyOptions & { readonly force?: true }): Promise<void> {
  const first = await readTimestamp(file);
  const { cleanCopy } = await import('../site/directories.ts');
  const progress = new WorkProgress('read');
  let cleaned: Cleaned;
  try {
    cleaned = await cleanCopy(existing(data), first, { ...optional('force', force), progress: progress.tell });
  } finally {
    progress.end();
  }
  if (json) return printLine(JSON.stringify(cleaned));
  const { position, digest, commits, removed, already, site } = cleaned;
  const state = `to ${formatPosition(position)} of ${site}, digest ${digest}`;
  if (already) return printLine(`${data} is clean already, ${state}`);
  const files = `${formatCount(removed.length)} file${removed.length === 1 ? '' : 's'} removed or cut`;
  await printLine(
    `${pico.green('cleaned')} ${formatCount(commits)} commits read, ${state}; ${files}\nnext: evertree timestamp fast-forward --data ${data} --file F2`,
  );
}

async function forward({ data, file, site, json }: CopyOptions & { readonly site?: string }): Promise<void> {
  const second = await readTimestamp(file);
  const name = site === undefined ? undefined : siteArgument(site);
  const { forwardCopy } = await import('../site/directories.ts');
  const forwarded = await forwardCopy(existing(data), second, optional('site', name));
  if (json) return printLine(JSON.stringify(forwarded));
  const { base, position, already, digest } = forwarded;
  const state = `${forwarded.site} goes on from ${formatPosition(base)} at ${formatPosition(position)}, digest ${digest}`;
  await printLine(
    already ? `${data} is forwarded already: ${state}` : `${pico.green('forwarded')} ${state}; a primary can start on ${data}`,
  );
}

function existing(data: string): string {
  if (!existsSync(directoryArgument(data))) throw new UsageError(`--data ${JSON.stringify(data)} does not exist`);
  return data;
}

async function readTimestamp(file: string): Promise<Timestamp> {
  // Loaded on demand: other commands start faster without it.
  const { parseTimestamp } = await import('@evertree/history');
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new UsageError(
      `the timestamp ${file} can't be read: ${(error as Error).message}; "evertree timestamp fetch --file ${file}" writes one`,
      { cause: error },
    );
  }
  return parseTimestamp(text, file, Date.now());
}

/** Durably: without it the copy is worth nothing. */
function writeTimestamp(file: string, timestamp: Timestamp): Promise<void> {
  return writeWholeFile(file, [`${JSON.stringify(timestamp, undefined, 2)}\n`]);
}
