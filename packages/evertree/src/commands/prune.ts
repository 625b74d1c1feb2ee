import type { KeepRules, ObjectCount, PrunedEntry, PrunedLine, PruneOptions, PruneReport } from '@evertree/archive';
import { formatPosition, isEvertreeError } from '@evertree/core';
import type { Command } from 'commander';
import pico from 'picocolors';
import { visible } from '../logs/visible.ts';
import { optional } from '../optional.ts';
import { FAILED, UsageError } from './exit-status.ts';
import { alignedLines, localTime } from './moment-text.ts';
import { openTargetOf, TARGET_HELP, type TargetOptions, withTarget } from './target-options.ts';
import { printLine, WorkProgress } from './terminal.ts';
import { count, formatBytes, formatCount } from './units.ts';

interface PruneCommand extends TargetOptions {
  readonly keepLast?: number;
  readonly keepWithin?: number;
  readonly keepDaily?: number;
  readonly keepWeekly?: number;
  readonly keepMonthly?: number;
  readonly keepYearly?: number;
  readonly keepAll?: true;
  readonly keepAtLeast?: number;
  readonly line?: readonly string[];
  readonly allLines?: true;
  readonly dropLine?: readonly string[];
  readonly grace?: number;
  readonly exclusive?: true;
  readonly dryRun?: true;
  readonly json?: true;
}

const RULES_HELP = `
A state is an image, or the end of a stretch of frames; "evertree backups" lists them. It is kept with all that it needs:
  --keep-last 5        the 5 newest states, and every moment since the oldest of them
  --keep-within 30d    every moment of the last 30 days before the newest state (h, d, w, y; also 1y6w)
  --keep-daily 7       of each of the 7 newest days that have a state the last image; without one, the last state
  --keep-weekly, --keep-monthly, --keep-yearly: the same for weeks (from Monday), months and years; all in UTC
  --keep-all           everything; only what no state needs goes
Always kept: the newest state of each line, marked states, the one that was drilled last, and 3 states at least
(--keep-at-least). Rules add up. They go by the order of the history and the clock of the target: wrong times of commits
let nothing go too early.

Each line, the history that one site archived, is thinned out by itself. Lines that nobody writes any more are left whole
unless --line or --all-lines asks for them.

What is dropped is deleted by the prune that comes 24 hours later or more, if nobody reads it then: so run it every day.
It is safe beside sites that archive, restores, and other prunes, and may be killed at any time.`;

export function addPrune(program: Command): void {
  const command = program
    .command('prune <target>')
    .summary('remove from an archive what no rule keeps')
    .description(
      'Decides by rules which states of an archive stay, and removes what no state needs: dropped images and stretches, what dead writers left behind, and superseded manifests. Each entry is printed with its rule. Needs no identity. Exit status: 0 done, 1 failed, or the target kept what it said it had deleted.',
    );
  withTarget(command)
    .option('--keep-last <n>', 'the newest states', countOption('--keep-last'))
    .option('--keep-within <time>', 'every moment of a time, such as 30d', withinOption)
    .option('--keep-daily <n>', 'one state a day', countOption('--keep-daily'))
    .option('--keep-weekly <n>', 'one state a week', countOption('--keep-weekly'))
    .option('--keep-monthly <n>', 'one state a month', countOption('--keep-monthly'))
    .option('--keep-yearly <n>', 'one state a year', countOption('--keep-yearly'))
    .option('--keep-all', 'every state')
    .option('--keep-at-least <n>', 'never leave a line fewer states than these (default: 3)', countOption('--keep-at-least'))
    .option('--line <id>', 'only this line; may be given again', collected)
    .option('--all-lines', 'also lines that nobody writes any more')
    .option('--drop-line <id>', 'drop all of a line that nobody writes any more; may be given again', collected)
    .option('--grace <time>', 'how long what is dropped stays, from 1h (default: 1d)', graceOption)
    .option('--exclusive', 'nobody else reads or writes the archive meanwhile: allows a --grace below 1h, and a target without conditions')
    .option('--dry-run', 'print what would go, and change nothing')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `${RULES_HELP}\n${TARGET_HELP}\n\nExamples:\n  evertree prune /backups/site --keep-within 30d --keep-weekly 12 --keep-monthly 24 --dry-run\n  evertree prune s3://bucket/site --keep-last 100 --keep-daily 30`,
    )
    .action(pruneCommand);
}

async function pruneCommand(name: string, options: PruneCommand): Promise<void> {
  const { json } = options;
  await using target = await openTargetOf(name, options);
  // Loaded on demand: other commands start faster without it.
  const { prune } = await import('@evertree/archive');
  const progress = new WorkProgress('deleted', json);
  let report: PruneReport;
  try {
    report = await prune(target, { ...pruneOptions(options), progress: progress.tell });
  } catch (error) {
    if (isEvertreeError(error, 'VALUE_INVALID')) throw new UsageError(error.message, { cause: error });
    throw error;
  } finally {
    progress.end();
  }
  await printLine(json ? JSON.stringify(report) : reportLines(report).join('\n'));
  if (report.stubborn.length > 0) process.exitCode = FAILED;
}

function pruneOptions(options: PruneCommand): PruneOptions {
  const { keepLast, keepWithin, keepDaily, keepWeekly, keepMonthly, keepYearly, keepAll, keepAtLeast } = options;
  const rules: KeepRules = {
    ...optional('last', keepLast),
    ...optional('withinMs', keepWithin),
    ...optional('daily', keepDaily),
    ...optional('weekly', keepWeekly),
    ...optional('monthly', keepMonthly),
    ...optional('yearly', keepYearly),
    ...optional('all', keepAll),
    ...optional('atLeast', keepAtLeast),
  };
  const { line, allLines, dropLine, grace, exclusive, dryRun } = options;
  if (line !== undefined && allLines === true) throw new UsageError('--line and --all-lines say two things; keep one of them');
  return {
    rules,
    ...optional('lines', line),
    ...optional('allLines', allLines),
    ...optional('dropLines', dropLine),
    ...optional('graceMs', grace),
    ...optional('isExclusive', exclusive),
    ...optional('dryRun', dryRun),
  };
}

function reportLines(report: PruneReport): string[] {
  const { lines, dryRun, condemned, unnamed, deleted, waiting, pinned, pins, stubborn } = report;
  const would = (done: string, planned: string) => (dryRun ? planned : done);
  const others = unnamed.objects === 0 ? '' : `, of which no manifest names ${formatCount(unnamed.objects)}`;
  return [
    ...lines.flatMap(lineLines),
    ...(condemned.objects > 0
      ? [`${would('dropped', 'would drop')} ${amount(condemned)}${others}`]
      : [`nothing ${would('was', 'would be')} dropped`]),
    ...(deleted.objects > 0 ? [`${would('deleted', 'would delete')} ${amount(deleted)}`] : []),
    ...(waiting.until === null
      ? []
      : [`${amount(waiting)} ${dryRun ? 'would wait' : 'wait'} to be deleted, the first until ${localTime(waiting.until)}`]),
    ...(pinned.objects > 0 ? [`${amount(pinned)} stay while somebody reads them: ${pins.map(pinText).join(', ')}`] : []),
    ...stubborn.map(key => `${pico.red('not gone')}  ${key}: the target said that it was deleted, and it is there still`),
    ...(stubborn.length > 0 ? ['see whether a lock or a rule of retention keeps them there; the next prune tries again'] : []),
    ...(dryRun ? [pico.dim('nothing was changed')] : []),
  ];
}

function amount({ objects, bytes }: ObjectCount): string {
  return `${count(objects, 'object')}, ${formatBytes(bytes)}`;
}

function pinText({ key, purpose, expiresAt }: PruneReport['pins'][number]): string {
  return purpose === null || expiresAt === null
    ? `${key} (it can't be read)`
    : `${visible(purpose)} until ${localTime(expiresAt)} (${key})`;
}

const FATES = { pruned: '', left: ', left as it is: --line or --all-lines asks for it', dropped: ', dropped whole' } as const;

function lineLines({ line, site, isWritten, fate, states, statesBefore, entries }: PrunedLine): string[] {
  const name = site === null ? 'of a site whose name is encrypted' : `of ${visible(site)}`;
  const writer = isWritten ? '' : ', which nobody writes any more';
  const head = `${pico.bold(`line ${line}`)} ${name}${writer}${FATES[fate]}: ${formatCount(states)} of ${count(statesBefore, 'state')} kept`;
  return [head, ...(fate === 'left' ? [] : alignedLines(grouped(entries).map(entryRow)).map(text => `  ${text}`)), ''];
}

interface EntryGroup {
  readonly first: PrunedEntry;
  last: PrunedEntry;
  entries: number;
  bytes: number;
}

/** Entries of one kind that follow one another and have the same rules are one row. */
function grouped(entries: readonly PrunedEntry[]): EntryGroup[] {
  const groups: EntryGroup[] = [];
  for (const entry of entries) {
    const group = groups.at(-1);
    if (group?.last.kind === entry.kind && group.last.keptBy.join('\n') === entry.keptBy.join('\n')) {
      group.last = entry;
      group.entries++;
      group.bytes += entry.bytes;
    } else groups.push({ first: entry, last: entry, entries: 1, bytes: entry.bytes });
  }
  return groups;
}

function entryRow({ first, last, entries, bytes }: EntryGroup): string[] {
  const isImage = first.kind === 'image';
  const what = isImage ? count(entries, 'image') : `${formatCount(entries)} stretch${entries === 1 ? '' : 'es'}`;
  const isOne = isImage && entries === 1;
  const where = isOne
    ? `at ${formatPosition(first.to)}`
    : `${formatPosition(isImage ? first.to : first.from)} to ${formatPosition(last.to)}`;
  const isKept = first.keptBy.length > 0;
  const rule = isKept ? first.keptBy.join('; ') : 'no rule keeps it';
  return [isKept ? pico.green('keep') : pico.red('drop'), what, where, localTime(last.time), formatBytes(bytes), rule];
}

function collected(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function countOption(name: string): (text: string) => number {
  return text => {
    const number = /^\d{1,6}$/.test(text) ? Number(text) : 0;
    if (number >= 1 && number <= 100_000) return number;
    throw new UsageError(`${name} ${JSON.stringify(text)} is no count; write a whole number from 1 to 100000`);
  };
}

const HOUR_MS = 3_600_000;
const UNITS_MS: Readonly<Record<string, number>> = {
  h: HOUR_MS,
  d: 24 * HOUR_MS,
  w: 7 * 24 * HOUR_MS,
  y: 365 * 24 * HOUR_MS,
};

/** `30d`, `1y6w`: an «m» would be a month to some and a minute to others. */
function withinOption(text: string): number {
  const parts = /^(?:\d{1,6}[hdwy])+$/.test(text) ? [...text.matchAll(/(\d+)([hdwy])/g)] : [];
  const milliseconds = parts.reduce((sum, [, amountText, unit]) => sum + Number(amountText) * UNITS_MS[unit!]!, 0);
  if (milliseconds > 0 && milliseconds <= 1_000 * UNITS_MS['y']!) return milliseconds;
  const months = /m/.test(text) ? '; "m" may be months or minutes: write 30d for a month' : '';
  throw new UsageError(`--keep-within ${JSON.stringify(text)} is no time; write one such as 12h, 30d, 8w or 1y6w${months}`);
}

function graceOption(text: string): number {
  const match = /^(\d{1,6})(s|min|h|d)?$/.exec(text);
  const unit = { s: 1_000, min: 60_000, h: HOUR_MS, d: 24 * HOUR_MS }[(match?.[2] ?? '') as 's'];
  if (match !== null && (unit !== undefined || text === '0')) return Number(match[1]) * (unit ?? 0);
  throw new UsageError(`--grace ${JSON.stringify(text)} is no time; write one such as 1d, 36h or 90min`);
}
