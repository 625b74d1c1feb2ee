import type { Drilled } from '../archive/drilling.ts';
import { formatPosition, isEvertreeError } from '@evertree/core';
import { formatTime } from '@evertree/history';
import { type Command, Option } from 'commander';
import pico from 'picocolors';
import { durationMs } from '../configuration/fields.ts';
import { optional } from '../optional.ts';
import { directoryArgument, seedArgument } from './arguments.ts';
import { exitStatusOf, FAILED, UsageError } from './exit-status.ts';
import { onSignals } from './signals.ts';
import {
  commandClock,
  type IdentityOptions,
  identitiesOf,
  openTargetOf,
  TARGET_HELP,
  type TargetOptions,
  withIdentity,
  withTarget,
} from './target-options.ts';
import { printError, printLine, tellNote, WorkProgress } from './terminal.ts';
import { formatBytes, formatCount, formatDuration } from './units.ts';

/** A name and what is told under it. */
type Fact = readonly [string, string];

/** The width of the names. */
const NAME_COLUMN = 9;

interface DrillCommand extends TargetOptions, IdentityOptions {
  readonly check?: string;
  readonly every?: number;
  readonly to?: string;
  readonly seed?: number;
  readonly scratch?: string;
  readonly keep?: true;
  readonly json?: true;
}

export function addDrill(program: Command): void {
  withIdentity(withTarget(program.command('drill <target>')))
    .summary('restore an archive to scratch, and prove that what comes back is what was')
    .description(
      'Restores a state that is drawn from all that the archive can give back into a scratch directory, as "evertree restore" does; opens it as a site that takes no writes and contacts nobody; compares its digest with the one that the live site recorded; runs your own check on it; and flips a bit in a copy of an object, which reading has to find. The scratch directory is removed. The result is written to the target: the status and the metrics of the sites that archive into it tell how old it is. Exit status: 0 passed, 1 not.',
    )
    .option(
      '--check <command>',
      'run in a shell while the restored site answers at $EVERTREE_URL, with its directory in $EVERTREE_DATA; it passes with 0',
    )
    .addOption(new Option('--every <time>', 'stay, and repeat it so often, such as 24h').argParser(everyArgument))
    .option('--to <when>', 'this state: 4-1201, 2026-11-27T10:00:00Z, -10m, before-upgrade (default: one that is drawn)')
    .addOption(new Option('--seed <number>', 'draw the same again, as an earlier drill printed it').argParser(seedArgument))
    .addOption(
      new Option('--scratch <dir>', 'where to restore to (default: the directory for temporary files)').argParser(directoryArgument),
    )
    .option('--keep', 'keep the restored directory')
    .option('--json', 'print the result as JSON, one line a drill')
    .addHelpText(
      'after',
      `${TARGET_HELP}

Examples:
  evertree drill s3://backups/north --identity identity.txt
  evertree drill /mnt/backups/north --check 'curl -sf "$EVERTREE_URL/data/devices" | jq -e "length > 100"'
  evertree drill s3://backups/north --every 24h --scratch /var/tmp --identity identity.txt`,
    )
    .action(drill);
}

async function drill(target: string, options: DrillCommand): Promise<void> {
  if (options.keep && options.every !== undefined) throw new UsageError('--keep would fill the disk with --every; leave one of them out');
  const stop = new AbortController();
  using _ = onSignals({ stop: () => stop.abort() });
  let isFirst = true;
  do {
    const began = commandClock.monotonic();
    try {
      process.exitCode = (await drillOnce(target, options, stop.signal)) ? 0 : FAILED;
    } catch (error) {
      if (stop.signal.aborted && isEvertreeError(error, 'CLOSED')) return ended(isFirst, error.message);
      // The next one may find the target again. Before the first one has passed a person is there to mend the command.
      if (isFirst || options.every === undefined) throw error;
      printError((error as Error).message);
      process.exitCode = exitStatusOf(error);
    }
    isFirst = false;
    if (options.every !== undefined) await waitUntil(began + options.every, stop.signal);
  } while (options.every !== undefined && !stop.signal.aborted);
}

/** A drill that was ended early is none; what counts is how the one before it went. */
function ended(isFirst: boolean, message: string): void {
  tellNote(message);
  if (isFirst) process.exitCode = FAILED;
}

async function drillOnce(target: string, options: DrillCommand, signal: AbortSignal): Promise<boolean> {
  const { check, to, seed, scratch, keep, json } = options;
  // Loaded on demand: other commands start faster without it.
  const { drillTarget } = await import('../archive/drilling.ts');
  const identities = await identitiesOf(options);
  await using opened = await openTargetOf(target, options);
  const progress = new WorkProgress('restored', json);
  let drilled: Drilled;
  try {
    drilled = await drillTarget(opened, {
      clock: commandClock,
      signal,
      output: json ? 'stderr' : 'stdout',
      progress: progress.tell,
      restored: () => progress.end(),
      ...optional('identities', identities),
      ...optional('check', check),
      ...optional('to', to),
      ...optional('seed', seed),
      ...optional('scratch', scratch),
      ...optional('keep', keep),
    });
  } finally {
    progress.end();
  }
  await printLine(json ? JSON.stringify(drilled) : drilledLines(drilled).join('\n'));
  return drilled.passed;
}

/** A fact a line, the result last. What the user's command printed stands before it, and may end without a newline. */
function drilledLines(drilled: Drilled): string[] {
  const { remarks, scratch, problem, failed, position, time, check, seed, bytes, milliseconds } = drilled;
  const facts: Fact[] = [
    ...remarks.map((text): Fact => ['note', text]),
    ...fact('kept', scratch, `${scratch}/data`),
    ...fact('state', position, position && `${formatPosition(position)} of ${formatTime(time!)}`),
    ...(problem === null ? proofOf(drilled) : []),
    ['took', phasesText(drilled)],
    ['again', `--seed ${seed}`],
  ];
  return [
    ...(check === null ? [] : ['']),
    ...facts.map(([name, text]) => `${pico.dim(name.padEnd(NAME_COLUMN))}${text}`),
    problem === null
      ? `${pico.green('drill passed')}${pico.dim(`  ${formatBytes(bytes)} in ${formatDuration(milliseconds)}`)}`
      : `${pico.red('drill FAILED')} in phase ${failed}: ${problem}`,
  ];
}

/** All that was proven. */
function proofOf({ digest, found, comparisons, check, flip }: Drilled): Fact[] {
  return [
    ['digest', digest === null ? found! : `${digest}, as the live site recorded it`],
    ['frames', `${formatCount(comparisons)} compared`],
    ...fact('check', check, 'your command passed'),
    ...fact('flip', flip, `a bit flipped in a copy of ${flip?.object} was found`),
  ];
}

function fact(name: string, known: unknown, text: string | null): Fact[] {
  return known === null || text === null ? [] : [[name, text]];
}

function phasesText({ phases }: Drilled): string {
  return Object.entries(phases)
    .filter((entry): entry is [string, number] => entry[1] !== null)
    .map(([phase, milliseconds]) => `${phase} ${formatDuration(milliseconds)}`)
    .join(', ');
}

function everyArgument(text: string): number {
  const milliseconds = durationMs(text);
  if (milliseconds >= 1_000) return milliseconds;
  throw new UsageError(`--every ${JSON.stringify(text)} is no time from 1s on; write one such as 24h, 90m or 7d`);
}

async function waitUntil(monotonic: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using _ = commandClock.after(Math.max(0, monotonic - commandClock.monotonic()), resolve);
  signal.addEventListener('abort', () => resolve());
  if (signal.aborted) resolve();
  await promise;
}
