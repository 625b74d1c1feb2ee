import type { BackupListing, ListedLine, ListedMark, ListedStates } from '@evertree/archive';
import { formatPosition } from '@evertree/core';
import type { Command } from 'commander';
import pico from 'picocolors';
import { visible } from '../logs/visible.ts';
import { FAILED } from './exit-status.ts';
import { alignedLines, localTime } from './moment-text.ts';
import {
  type IdentityOptions,
  identitiesOf,
  openTargetOf,
  TARGET_HELP,
  type TargetOptions,
  withIdentity,
  withTarget,
} from './target-options.ts';
import { printLine } from './terminal.ts';
import { count, formatBytes, formatCount, formatDuration } from './units.ts';

type BackupsOptions = TargetOptions & IdentityOptions & { readonly json?: true };

/** Images, gaps and marks that are listed of a line; `--json` has them all. */
const SHOWN_ROWS = 20;

const GAP_REASONS = {
  'spool-full': 'the target was away for too long',
  'history-gone': 'the site had dropped that history before it was archived',
  pruned: 'pruned',
} as const;

export function addBackups(program: Command): void {
  const command = program
    .command('backups <target>')
    .summary('list what an archive can give back')
    .description(
      'Lists for each line, the history that one site archived: from where to where every revision can be restored, images, gaps, marks and sizes; the newest drill and verification; and what is wrong. What the archive names is looked for in the target, and its bytes are not read: that is for "evertree verify". Without --identity the names of sites and marks in an encrypted archive stay unknown. Exit status: 0 healthy, 1 not.',
    );
  withIdentity(withTarget(command))
    .option('--json', 'print the list as JSON')
    .addHelpText(
      'after',
      `${TARGET_HELP}\n\nExamples:\n  evertree backups /backups/site\n  evertree backups s3://bucket/site --identity key.txt --json`,
    )
    .action(backups);
}

async function backups(name: string, options: BackupsOptions): Promise<void> {
  const identities = await identitiesOf(options);
  await using target = await openTargetOf(name, options);
  // Loaded on demand: other commands start faster without it.
  const { Archive, backupListing } = await import('@evertree/archive');
  const listing = await backupListing(await Archive.open(target, { identities }));
  await printLine(options.json ? JSON.stringify(listing) : listingLines(listing).join('\n'));
  if (!listing.healthy) process.exitCode = FAILED;
}

function listingLines(listing: BackupListing): string[] {
  const { target, encrypted, lines, bytes, plainBytes, condemned, problems, conditions, healthy } = listing;
  const how = encrypted ? 'encrypted' : 'not encrypted';
  const sizes = lines.length === 0 ? 'nothing was archived yet' : `${formatBytes(bytes)} stored, ${formatBytes(plainBytes)} of history`;
  const waiting =
    condemned.objects === 0
      ? []
      : [
          `  ${formatBytes(condemned.bytes)} in objects that are not needed any more wait to be deleted (${formatCount(condemned.objects)})`,
        ];
  const single = conditions === false ? ['  this target does not refuse what its conditions forbid: only one site may write here'] : [];
  return [
    `${pico.bold(visible(target))}  ${how}, ${sizes}`,
    ...waiting,
    ...single,
    ...lines.flatMap(lineLines),
    ...proofLines(listing),
    ...problems.map(({ text }) => `${pico.red('problem')}  ${visible(text)}`),
    healthy ? pico.green('healthy') : pico.red('NOT healthy'),
  ];
}

function lineLines(line: ListedLine): string[] {
  const { id, site, stands, states, images, gaps, marks, objects, tailObjects, commits, bytes, plainBytes } = line;
  const name = site === null ? 'of a site whose name is encrypted' : `of ${visible(site)}`;
  const role = stands ? pico.green('stands: a restore takes it') : pico.dim(`for --line ${id}`);
  const tail = tailObjects === 0 ? '' : `, ${formatCount(tailObjects)} of them in the tail`;
  const size = `${count(commits, 'commit')}, ${count(objects, 'object')}${tail}, ${formatBytes(bytes)} (${formatBytes(plainBytes)})`;
  const rows = [
    ...states.map(statesRow),
    ...newest(images).map(({ position, time, bytes: stored }) => ['image', formatPosition(position), localTime(time), formatBytes(stored)]),
    ...newest(gaps).map(({ from, to, reason }) => [
      pico.yellow('gap'),
      `after ${formatPosition(from)}`,
      `up to ${formatPosition(to)}`,
      GAP_REASONS[reason],
    ]),
    ...newest(marks).map(markRow),
  ];
  const left = [images, gaps, marks].reduce((sum, list) => sum + Math.max(0, list.length - SHOWN_ROWS), 0);
  return [
    '',
    `${pico.bold(`line ${id}`)} ${name}  ${role}`,
    `  ${size}`,
    ...alignedLines(rows).map(text => `  ${text}`),
    ...(left > 0 ? [pico.dim(`  and ${formatCount(left)} older ones; --json lists them`)] : []),
  ];
}

function statesRow({ from, fromTime, to, toTime }: ListedStates): string[] {
  const first = from === null ? 'the first commit' : formatPosition(from);
  return ['states', `${first} to ${formatPosition(to)}`, `${localTime(fromTime)} to ${localTime(toTime)}`, 'every revision'];
}

function markRow({ name, revision, restorable }: ListedMark): string[] {
  const shown = name === null ? pico.dim('(its name is encrypted; give --identity)') : visible(name);
  return ['mark', `revision ${revision}`, shown, restorable ? '' : pico.yellow('its state is not here any more')];
}

function proofLines({ drilled, verified }: BackupListing): string[] {
  return [
    '',
    drilled === null
      ? 'drilled   never: "evertree drill" proves that a restore works'
      : `drilled   ${localTime(drilled.time)}  ${resultText(drilled.passed)} at ${formatPosition(drilled.position)} in ${formatDuration(drilled.milliseconds)}`,
    verified === null
      ? 'verified  never: "evertree verify" reads what is stored'
      : `verified  ${localTime(verified.time)}  ${resultText(verified.passed)} at level ${verified.level}`,
  ];
}

function resultText(passed: boolean): string {
  return passed ? pico.green('passed') : pico.red('FAILED');
}

function newest<T>(items: readonly T[]): readonly T[] {
  return items.slice(-SHOWN_ROWS);
}
