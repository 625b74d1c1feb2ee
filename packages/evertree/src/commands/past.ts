import { ORIGIN, type Position, formatPosition, parsePath, parsePosition } from '@evertree/core';
import { type Command, Option } from 'commander';
import pico from 'picocolors';
import type { SiteAnswer } from '../client/site-answer.ts';
import { queryOf } from '../client/site-client.ts';
import { visible } from '../logs/visible.ts';
import { countArgument, pathArgument } from './arguments.ts';
import { UsageError } from './exit-status.ts';
import {
  type ChangeView,
  type OperationView,
  WHEN_HELP,
  alignedLines,
  changeHead,
  localTime,
  momentText,
  pathText,
  tellMoment,
  valueText,
  whenArgument,
  whenOption,
} from './moment-text.ts';
import { type ClientOptions, clientOf, withSite } from './options.ts';
import { SEARCHING, print, printLine, tellNote, whileTelling } from './terminal.ts';

/** Columns are as wide as they have to be for so many lines. */
const ALIGNED_LINES = 1_000;
const DEFAULT_FINDINGS = 100;
const LINES = { Accept: 'application/x-ndjson' };

interface PastOptions extends ClientOptions {
  readonly json?: true;
}

export function addPast(program: Command): void {
  addDiff(program);
  addBlame(program);
  addFind(program);
}

/** Asks for lines, or for the answer that is printed as it comes. */
function ask(target: string, options: PastOptions): Promise<SiteAnswer> {
  const headers = options.json ? {} : { headers: LINES };
  return whileTelling(SEARCHING, clientOf(options).request(target, { patient: true, ...headers }));
}

function addDiff(program: Command): void {
  withSite(program.command('diff <from> <to> [path]'))
    .summary('print what differs between two moments')
    .description(
      'Prints what turns the tree, or the subtree at a path, of one moment into that of another: - for what was there and is not since, + for what is there since.',
    )
    .option('--json', 'print a JSON patch (RFC 6902): applied to the first it gives the second')
    // A time ago begins as an option does: -10m.
    .allowUnknownOption()
    .allowExcessArguments()
    .addHelpText(
      'after',
      `\n${WHEN_HELP}\n\nExamples:\n  evertree diff -1h -0s\n  evertree diff before-upgrade 4-1201 /devices\n  evertree diff 4-1201 4-1200 --json | evertree patch -    # takes the commit 4-1201 back`,
    )
    .action(async (fromText: string, toText: string, path: string | undefined, options: PastOptions, command: Command) => {
      checkArguments(command.args, 3);
      const [from, to] = [whenArgument('from', fromText), whenArgument('to', toText)];
      const pointer = path ?? '';
      pathArgument(pointer);
      const target = `/diff${queryOf({ from, to, path: pointer })}`;
      const answer = await ask(target, options);
      if (options.json) {
        for await (const chunk of answer.body()) await print(chunk);
        return;
      }
      await printDifferences(answer);
    });
}

/** @throws UsageError for an option that is none, and for an argument too many */
function checkArguments(given: readonly string[], most: number): void {
  const option = given.find(argument => /^-\D/.test(argument));
  if (option !== undefined) throw new UsageError(`there is no option ${JSON.stringify(option)} here; --help lists those that there are`);
  if (given.length > most) throw new UsageError(`${JSON.stringify(given[most])} is one argument too many; --help tells how it is used`);
}

async function printDifferences(answer: SiteAnswer): Promise<void> {
  let count = 0;
  for await (const difference of answer.lines()) {
    if (count++ === 0) {
      await printLine(pico.red(`--- ${momentHeader(answer, 'evertree-from')}`));
      await printLine(pico.green(`+++ ${momentHeader(answer, 'evertree')}`));
    }
    await printLine(differenceLines(difference as DifferenceView).join('\n'));
  }
  if (count === 0) tellNote(`nothing differs between ${answer.header('evertree-from-position')} and ${answer.header('evertree-position')}`);
}

function momentHeader(answer: SiteAnswer, prefix: string): string {
  const position = parsePosition(answer.header(`${prefix}-position`) ?? '') ?? ORIGIN;
  return momentText(position, Date.parse(answer.header(`${prefix}-time`) ?? ''));
}

/** One path at which two states differ, as HTTP tells of it. */
export interface DifferenceView {
  readonly path: string;
  readonly kind: 'put' | 'delete';
  readonly before?: unknown;
  readonly after?: unknown;
}

export function differenceLines({ path, before, after }: Omit<DifferenceView, 'kind'>): string[] {
  return [
    ...(before === undefined ? [] : [pico.red(`- ${pathText(path)}  ${valueText(before)}`)]),
    ...(after === undefined ? [] : [pico.green(`+ ${pathText(path)}  ${valueText(after)}`)]),
  ];
}

interface BlameView {
  readonly path: string;
  readonly position: Position;
  /** Absent where the commit is not here. */
  readonly time?: number;
  readonly author?: string;
  readonly message?: string;
  readonly kind: 'put' | 'above' | 'below' | 'before';
}

function addBlame(program: Command): void {
  withSite(program.command('blame <path>'))
    .summary('print who set each leaf last, when, and why')
    .description(
      'Prints for each leaf at a path or below it the commit that set it last: position, time, author, path and message. A leaf that was set by replacing something above it is marked ^; one that is as it was in the oldest state that the site keeps is marked <: its commit is not here.',
    )
    .addOption(new Option('--at <when>', 'as it was at a moment of the history').argParser(whenOption('--at')))
    .option('--json', 'print the answer as JSON')
    .addHelpText('after', `\n${WHEN_HELP}\n\nExamples:\n  evertree blame /devices/r1\n  evertree blame "" --at before-upgrade`)
    .action(async (path: string, options: PastOptions & { at?: string }) => {
      pathArgument(path);
      const target = `/blame${queryOf({ path, at: options.at })}`;
      const answer = await ask(target, options);
      if (options.at !== undefined) tellMoment(answer, options.at);
      if (options.json) {
        for await (const chunk of answer.body()) await print(chunk);
        return;
      }
      await printBlame(answer);
    });
}

async function printBlame(answer: SiteAnswer): Promise<void> {
  let rows: string[][] = [];
  for await (const line of answer.lines()) {
    if (rows.push(blameRow(line as BlameView)) === ALIGNED_LINES) {
      await printLine(alignedLines(rows).join('\n'));
      rows = [];
    }
  }
  if (rows.length > 0) await printLine(alignedLines(rows).join('\n'));
}

const SIGNS: Readonly<Record<BlameView['kind'], string>> = { put: ' ', above: '^', below: ' ', before: '<' };

function blameRow({ path, position, time, author, message, kind }: BlameView): string[] {
  return [
    `${SIGNS[kind]}${formatPosition(position)}`,
    time === undefined ? '-' : localTime(time),
    visible(author ?? '-'),
    pathText(path),
    visible(message?.split('\n', 1)[0] ?? ''),
  ];
}

interface SearchCommandOptions extends PastOptions {
  readonly deleted?: true;
  readonly where?: string;
  readonly changedBy?: string;
  readonly from?: string;
  readonly to?: string;
  readonly limit: number;
}

interface FindingView {
  readonly path: string;
  readonly before: Position;
  readonly change: ChangeView;
}

function addFind(program: Command): void {
  withSite(program.command('find <path>'))
    .summary('find the commit that deleted or set something, and the moment before it')
    .description(
      'Finds commits at a path or below it, newest first: those that deleted something (--deleted), those after which a value fulfils a condition (--where), those of an author (--changed-by); given together, all have to hold. For each it prints the moment before, ready for --at. What does not exist any more is found, too.',
    )
    .option('--deleted', 'something there was deleted')
    .option('--where <condition>', 'a value there became so: = != < <= > >= and a value in JSON, such as "= 9000"')
    .option('--changed-by <author>', 'the commit is by this author')
    .addOption(new Option('--from <when>', 'only what came after this moment').argParser(whenOption('--from')))
    .addOption(new Option('--to <when>', 'only what came up to this moment').argParser(whenOption('--to')))
    .addOption(new Option('--limit <count>', 'the most findings').default(DEFAULT_FINDINGS).argParser(countArgument))
    .option('--json', 'print the answer as JSON')
    .addHelpText(
      'after',
      `\n${WHEN_HELP}\n\nExamples:\n  evertree find /devices --deleted\n  evertree find /devices/r1/mtu --where '= 9000' --limit 1\n  evertree find "" --changed-by ada --from -1h`,
    )
    .action(find);
}

async function find(path: string, options: SearchCommandOptions): Promise<void> {
  pathArgument(path);
  const { deleted, where, changedBy, from, to, limit } = options;
  if (deleted === undefined && where === undefined && changedBy === undefined) {
    throw new UsageError("nothing is looked for; add --deleted, --where (such as '= 9000') or --changed-by");
  }
  const target = `/find${queryOf({ path, deleted, where, changedBy, from, to, limit })}`;
  const answer = await ask(target, options);
  if (options.json) {
    for await (const chunk of answer.body()) await print(chunk);
    return;
  }
  let count = 0;
  for await (const line of answer.lines()) {
    count++;
    await printLine(findingLines(line as FindingView).join('\n'));
  }
  if (count === 0) tellNote(`no commit is found for ${pathText(path)}`);
}

export function findingLines({ path, before, change }: FindingView): string[] {
  // The operation may be above the path; of several at and above it the last one made the value.
  const operation = change.operations.findLast(each => path === each.path || path.startsWith(`${each.path}/`));
  // Values are looked up only where they were asked for.
  const hasValues = operation !== undefined && ('before' in operation || 'after' in operation);
  const values = hasValues ? `  ${valueText(under(operation, path, 'before'))} → ${valueText(under(operation, path, 'after'))}` : '';
  const kind = operation === undefined ? '' : `${operation.kind.padEnd(6)} `;
  return [changeHead(change), `  ${kind}${pathText(path)}${values}`, `  the moment before: --at ${formatPosition(before)}`];
}

/** What an operation says of a path at or below its own. */
function under(operation: OperationView, path: string, when: 'before' | 'after'): unknown {
  let value = operation[when];
  for (const key of parsePath(path.slice(operation.path.length))) {
    value = typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
  }
  return value;
}
