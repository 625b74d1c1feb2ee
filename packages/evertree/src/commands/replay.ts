import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { formatPath, formatPosition, parsePosition, type Position, type RewriteConflict } from '@evertree/core';
import type { LeftOutCommit, Replayed } from '@evertree/history';
import { type Command, Option } from 'commander';
import pico from 'picocolors';
import { visible } from '../logs/visible.ts';
import { optional } from '../optional.ts';
import { findForeign } from '../site/unfinished-directory.ts';
import { directoryArgument } from './arguments.ts';
import { UsageError } from './exit-status.ts';
import { printLine, WorkProgress } from './terminal.ts';
import { formatCount } from './units.ts';

/** More conflicts are only counted. */
const SHOWN_CONFLICTS = 100;

interface ReplayCommand {
  readonly into: string;
  readonly to?: string;
  readonly without?: readonly Position[];
  readonly json?: true;
}

export function addReplay(program: Command): void {
  program
    .command('replay <directory>')
    .summary('rebuild a directory from its events, up to a moment, or without some commits')
    .description(
      "Rebuilds the history in a site's directory from its first event, or from its oldest snapshot, into another directory, and compares the digest after each frame. The original is neither locked nor changed. With --without it gives what would be had some commits not happened: operations that can't be done then are listed and left out, too. Such a directory is of another stream and belongs to another site, so that nobody can take it for the real one.",
    )
    .requiredOption('--into <directory>', 'where the rebuilt history goes: a directory that is empty or absent')
    .option('--to <when>', 'only up to a position, a time or a mark: 4-1201, 2026-11-27T10:00:00Z, -10m, before-upgrade')
    .addOption(
      new Option('--without <position...>', 'leave out these commits, such as 4-1201').argParser(
        (text: string, before: readonly Position[] | undefined) => [...(before ?? []), positionOf(text)],
      ),
    )
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  evertree replay ./data --into ./rebuilt\n  evertree replay ./data --to "10m ago" --into ./before\n  evertree replay ./data --without 4-1201 4-1203 --into ./what-if',
    )
    .action(replay);
}

function positionOf(text: string): Position {
  const position = parsePosition(text);
  if (position === undefined) throw new UsageError(`${JSON.stringify(text)} is no position of a commit; write one such as 4-1201`);
  return position;
}

async function replay(directory: string, { into, to, without, json }: ReplayCommand): Promise<void> {
  const from = directoryArgument(directory);
  assertFree(directoryArgument(into), from);
  // Loaded on demand: other commands start faster without it.
  const [{ replayDirectory }, { parseWhen }] = await Promise.all([import('../site/directories.ts'), import('@evertree/history')]);
  const progress = new WorkProgress('replayed');
  let replayed: Replayed;
  try {
    replayed = await replayDirectory(from, into, {
      ...optional('to', to === undefined ? undefined : parseWhen(to, Date.now())),
      ...optional('without', without),
      progress: progress.tell,
    });
  } finally {
    progress.end();
  }
  await printLine(json ? JSON.stringify(replayed) : replayedLines(replayed, into).join('\n'));
}

function assertFree(into: string, from: string): void {
  if (real(into) === real(from)) throw new UsageError('--into names the directory that is to be replayed; name another one');
  if (isInside(into, from))
    throw new UsageError(`--into ${JSON.stringify(into)} lies in the directory that is to be replayed; name one beside it`);
  if (isInside(from, into))
    throw new UsageError(`--into ${JSON.stringify(into)} holds the directory that is to be replayed; name one beside it`);
  const found = existsSync(into) ? findForeign(into) : undefined;
  if (found !== undefined) throw new UsageError(`--into ${JSON.stringify(into)} holds ${found}; name a directory that is empty or absent`);
}

/** Whether a path lies below a directory, where links lead. */
function isInside(path: string, directory: string): boolean {
  const steps = relative(real(directory), real(path));
  return steps !== '' && steps.split(sep)[0] !== '..' && !isAbsolute(steps);
}

/** The path that links lead to; what does not exist yet is taken as it is written. */
function real(path: string): string {
  const whole = resolve(path);
  if (existsSync(whole)) return realpathSync(whole);
  const parent = dirname(whole);
  return parent === whole ? whole : join(real(parent), basename(whole));
}

function replayedLines(replayed: Replayed, into: string): string[] {
  const { leftOut, conflicts, conflictCount, commits, comparisons, base, last, digest, isWhatIf, stream, site } = replayed;
  const begin = base.revision === 0 ? 'the first event' : `the snapshot at ${formatPosition(base)}`;
  const lines = [
    ...leftOut.map(leftOutLine),
    ...conflicts.slice(0, SHOWN_CONFLICTS).map(conflictLine),
    ...(conflictCount > SHOWN_CONFLICTS ? [`and ${formatCount(conflictCount - SHOWN_CONFLICTS)} more conflicts; --json lists them`] : []),
    `${pico.green('replayed')} ${formatCount(commits)} commits from ${begin} to ${formatPosition(last)}, digest ${digest}; the digests of ${formatCount(comparisons)} frames were equal`,
  ];
  if (!isWhatIf) return lines;
  return [
    ...lines,
    `${pico.yellow('what if')}: ${into} is of another stream, ${stream}, and of the site ${site}: it is not the real history, and takes no writes`,
  ];
}

function leftOutLine({ position, author, message, operations }: LeftOutCommit): string {
  const by = author === undefined ? '' : ` by ${visible(author)}`;
  const note = message === undefined ? '' : `: ${visible(message)}`;
  return `left out  ${formatPosition(position)}${by}${note}  (${formatCount(operations)} operation${operations === 1 ? '' : 's'})`;
}

const REASONS: Readonly<Record<RewriteConflict['reason'], string>> = {
  parent: 'the object that held it is not there',
  absent: 'there is nothing to delete',
};

function conflictLine({ position, kind, path, reason }: RewriteConflict): string {
  return `${pico.yellow('conflict')}  ${formatPosition(position)} ${kind} ${JSON.stringify(formatPath(path))}: ${REASONS[reason]}`;
}
