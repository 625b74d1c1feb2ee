import { createInterface } from 'node:readline/promises';
import { type Position, formatPosition } from '@evertree/core';
import { type Command, Option } from 'commander';
import pico from 'picocolors';
import type { SiteClient, WriteAnswer } from '../client/site-client.ts';
import { visible } from '../logs/visible.ts';
import { pathArgument } from './arguments.ts';
import { REFUSED_BY_STATE, UsageError } from './exit-status.ts';
import { WHEN_HELP, localTime, momentText, pathText, whenOption } from './moment-text.ts';
import { type WriteOptions, clientOf, withWrite, writeHeaders } from './options.ts';
import { type DifferenceView, differenceLines } from './past.ts';
import { positionArgument } from './history.ts';
import { printLine, tellNote, whileTelling } from './terminal.ts';
import { formatCount } from './units.ts';
import { writerStatus } from './whole-tree.ts';

/** So many differences are shown before a reversal; a dry run shows all. */
const SHOWN_DIFFERENCES = 100;

interface RevertOptions extends WriteOptions {
  readonly to?: string;
  readonly commit?: string;
  readonly conflicts?: 'overwrite' | 'skip';
  readonly dryRun?: true;
  readonly yes?: true;
}

/** What a dry run of `POST /admin/revert` answers. */
interface RevertForecast {
  readonly to?: Position;
  readonly time?: number;
  readonly base: Position;
  readonly empties: boolean;
  readonly conflicts: readonly ConflictView[];
  readonly differences: readonly DifferenceView[];
}

interface ConflictView {
  readonly path: string;
  readonly position: Position | null;
  readonly time?: number;
  readonly author?: string;
  /** What stands there now, and what overwriting it would leave. */
  readonly before?: unknown;
  readonly after?: unknown;
}

export function addRevert(program: Command): void {
  withWrite(program.command('revert [path]'))
    .summary('make a subtree what it was, or undo one commit')
    .description(
      'With --to: makes the subtree at a path what it was at a moment. With --commit: undoes the operations of one commit; where a later commit changed the same path, that is a conflict, which is shown, and nothing is done unless --conflicts says what. Either is one new commit: nothing of the history is rewritten, and a revert can be reverted. What it changes is shown first. Exit status 3: nothing was done because of conflicts.',
    )
    .addOption(new Option('--to <when>', 'the moment whose state comes back').argParser(whenOption('--to')))
    .addOption(new Option('--commit <position>', 'the commit to undo, such as 4-1201').argParser(positionArgument))
    .addOption(
      new Option('--conflicts <how>', 'what becomes of paths that later commits changed: set back all the same, or left').choices([
        'overwrite',
        'skip',
      ]),
    )
    .option('--dry-run', 'only show what would change')
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      `\n${WHEN_HELP}\n\nExamples:\n  evertree revert /devices --to -10m --dry-run\n  evertree revert /devices/r1 --to 4-1200 --message 'wrong file'\n  evertree revert --commit 4-1201`,
    )
    .action(revert);
}

async function revert(path: string | undefined, options: RevertOptions): Promise<void> {
  const wanted = requestOf(path, options);
  const client = clientOf(options);
  // What would change there counts, and a secondary's history may be shorter.
  if (client.follows) await writerStatus(client);
  const forecast = (await post(client, { ...wanted, dryRun: true })) as RevertForecast;
  if (options.dryRun) {
    await printLine(options.json ? JSON.stringify(forecast) : forecastLines(forecast, Infinity).join('\n'));
    return;
  }
  const { conflicts } = forecast;
  const isUndecided = conflicts.length > 0 && options.conflicts === undefined;
  if (!options.json || isUndecided) process.stderr.write(`${forecastLines(forecast, SHOWN_DIFFERENCES).join('\n')}\n`);
  if (isUndecided) {
    tellNote('nothing was changed; --conflicts overwrite sets these paths back all the same, --conflicts skip leaves them');
    process.exitCode = REFUSED_BY_STATE;
    return;
  }
  await confirm(forecast, options);
  // A time ago would be another moment by the time of the answer.
  const exact = forecast.to === undefined ? {} : { to: formatPosition(forecast.to) };
  const answer = (await post(client, { ...wanted, ...exact }, writeHeaders(options))) as WriteAnswer & { readonly changes: number };
  await printLine(options.json ? JSON.stringify(answer) : doneLine(answer));
}

function requestOf(path: string | undefined, { to, commit, conflicts }: RevertOptions): Readonly<Record<string, unknown>> {
  const how = conflicts === undefined ? {} : { conflicts };
  if (commit !== undefined && path === undefined && to === undefined) return { commit, ...how };
  if (commit !== undefined || path === undefined || to === undefined) {
    throw new UsageError('say what is to come back: a path and --to, such as "revert /devices --to -10m", or --commit alone');
  }
  pathArgument(path);
  return { path, to, ...how };
}

async function post(client: SiteClient, body: object, headers: Readonly<Record<string, string>> = {}): Promise<unknown> {
  const options = {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify(body),
    patient: true,
  };
  return whileTelling('comparing with what was …', client.json('/admin/revert', options));
}

function forecastLines({ to, time, base, differences, conflicts }: RevertForecast, most: number): string[] {
  const shown = differences.slice(0, most);
  const more = differences.length - shown.length;
  return [
    ...(to === undefined || time === undefined ? [] : [`to ${momentText(to, time)}`]),
    ...shown.flatMap(differenceLines),
    ...(more > 0 ? [`… and ${formatCount(more)} more; --dry-run shows all`] : []),
    ...conflicts.flatMap(conflictLines),
    ...(differences.length + conflicts.length === 0 ? [`nothing differs at ${formatPosition(base)}`] : []),
  ];
}

function conflictLines({ path, position, time, author, before, after }: ConflictView): string[] {
  const when = time === undefined ? '' : ` of ${localTime(time)}`;
  const by = author === undefined ? '' : ` by ${visible(author)}`;
  const where = position === null ? 'a commit that is not here any more' : `${formatPosition(position)}${when}${by}`;
  return [`${pico.yellow('conflict')} ${pathText(path)} was changed since, in ${where}`, ...differenceLines({ path, before, after })];
}

/** Asks at a terminal. Elsewhere only what would empty the whole tree needs `--yes`. */
async function confirm({ empties, differences, conflicts }: RevertForecast, { yes, conflicts: how }: RevertOptions): Promise<void> {
  const changes = differences.length + (how === 'overwrite' ? conflicts.length : 0);
  if (yes || changes === 0) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    if (empties) throw new UsageError('this would leave nothing of the whole tree; add --yes if that is meant');
    return;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const what = changes === 1 ? 'this change' : `these ${formatCount(changes)} changes`;
  const loss = empties ? ' Nothing of the tree would be left.' : '';
  const answer = await terminal.question(`Commit ${what}?${loss} [y/N] `);
  terminal.close();
  if (!/^y(?:es)?$/i.test(answer.trim())) throw new UsageError('nothing was changed');
}

function doneLine({ position, changes }: WriteAnswer & { readonly changes: number }): string {
  if (changes === 0) return 'nothing differs; nothing was committed';
  return `${formatPosition(position)}: ${formatCount(changes)} ${changes === 1 ? 'path is' : 'paths are'} as before`;
}
