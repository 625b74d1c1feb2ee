import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Rotation, VerificationLevel } from '@evertree/archive';
import { EvertreeError, formatPosition } from '@evertree/core';
import type { Verification } from '@evertree/history';
import { type Command, Option } from 'commander';
import pico from 'picocolors';
import { directoryArgument, seedArgument } from './arguments.ts';
import { FAILED, UsageError } from './exit-status.ts';
import { TARGET_HELP, withIdentity, withTarget } from './target-options.ts';
import { WorkProgress, printLine } from './terminal.ts';
import { count, formatBytes, formatCount, formatDuration } from './units.ts';
import type { VerifyTargetCommand } from './verify-target.ts';

interface VerifyCommand extends VerifyTargetCommand {
  readonly checksumsOnly?: true;
}

export function addVerify(program: Command): void {
  withIdentity(withTarget(program.command('verify <target-or-directory>')))
    .summary('prove that an archive, or the directory of a site, holds a whole and sound history')
    .description(
      `Of an archive (TARGET): level 0 proves that every object is there with its size and follows the one before; 1 compares the stored sums, without an identity; 2 decrypts, follows every frame, rebuilds the tree and compares the images with it; 3 rebuilds a state at random and compares the digest that the live site recorded. What was verified is remembered in the target: the next run reads what is new, and a part of the rest.

Of a directory (DIR): reads everything in it, changes nothing and takes no lock: the site may run meanwhile, and is read up to its end when this began. Checks every checksum, the chain of the frames, positions, times, snapshots and divergences, rebuilds the tree to compare its digest after each frame, and compares the index with the frames.

Names each damaged place, and what can still be restored. Exit status: 0 sound, 1 not.`,
    )
    .addOption(new Option('--level <level>', 'of an archive: 0 to 3 (default: 1)').argParser(levelArgument))
    .addOption(new Option('--part <n/m>', 'read the n-th of m parts of what was verified before, too').argParser(partArgument))
    .addOption(new Option('--bytes <size>', 'read so much of what was verified longest ago, too, such as 500MB').argParser(bytesArgument))
    .option('--all', 'read all of it again (default: a thirtieth)')
    .addOption(new Option('--seed <number>', 'with --level 3: draw the same state again').argParser(seedArgument))
    .option(
      '--checksums-only',
      'of a directory: rebuild no tree and only check the checksums of the index: several times as fast, and needs no memory for a tree',
    )
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `${TARGET_HELP}

Examples:
  evertree verify s3://backups/north
  evertree verify /mnt/backups/north --level 2 --identity identity.txt
  evertree verify ./data/primary
  evertree verify /backups/today --checksums-only --json`,
    )
    .action(verify);
}

async function verify(target: string, options: VerifyCommand): Promise<void> {
  const given = directoryArgument(target);
  const isArchive = isArchiveAt(given);
  assertFits(isArchive, options);
  if (!isArchive) return verifySite(given, options);
  // Loaded on demand: other commands start faster without it.
  const { verifyTarget } = await import('./verify-target.ts');
  return verifyTarget(given, options);
}

/** What an archive and the directory of a site have that the other one has not. */
const ARCHIVE_NAMES = ['HEAD', 'manifest'];
const SITE_NAMES = ['site.json', 'unfinished.json', 'journal', 'snapshots'];

/** Whether a name is that of an archive, or that of a site's directory, by what lies there. */
function isArchiveAt(target: string): boolean {
  if (target.startsWith('s3://')) return true;
  const [isArchive, isSite] = [ARCHIVE_NAMES, SITE_NAMES].map(names => names.some(name => existsSync(join(target, name))));
  if (isArchive && isSite)
    throw new UsageError(`${target} holds an archive and the files of a site: move one of them to a place of its own`);
  if (isArchive || isSite) return isArchive === true;
  const message = `${target} is no directory of a site: it has no site.json and no history; name the directory that a site has as --data. Nor is it an archive: it has no HEAD`;
  throw new EvertreeError('NOT_FOUND', message);
}

function assertFits(isArchive: boolean, { checksumsOnly, level, part, bytes, all, seed }: VerifyCommand): void {
  if (isArchive && checksumsOnly)
    throw new UsageError('--checksums-only is for the directory of a site; of an archive --level 1 does that');
  const ofArchives = Object.entries({ '--level': level, '--part': part, '--bytes': bytes, '--all': all, '--seed': seed });
  const given = ofArchives.filter(([, value]) => value !== undefined).map(([name]) => name);
  if (!isArchive && given.length > 0)
    throw new UsageError(`${given[0]} is for an archive, and this is the directory of a site: all of it is read`);
  const rotations = given.filter(name => ['--part', '--bytes', '--all'].includes(name));
  if (rotations.length > 1) throw new UsageError(`${rotations.join(' and ')} say two things of what is read again; keep one of them`);
  if (seed !== undefined && level !== 3) throw new UsageError('--seed draws what level 3 rebuilds: it goes with --level 3');
}

async function verifySite(directory: string, { checksumsOnly, json }: VerifyCommand): Promise<void> {
  const { verifyDirectory } = await import('../site/directories.ts');
  const progress = new WorkProgress('read');
  let verification: Verification;
  try {
    verification = await verifyDirectory(directory, { checksumsOnly: checksumsOnly === true, progress: progress.tell });
  } finally {
    progress.end();
  }
  await printLine(json ? JSON.stringify(verification) : verificationLines(verification).join('\n'));
  if (verification.damageCount > 0) process.exitCode = FAILED;
}
function verificationLines(verification: Verification): string[] {
  const { damages, damageCount, remarks } = verification;
  const unlisted = damageCount - damages.length;
  return [
    ...remarks.map(({ file, text }) => `${pico.dim('note')}    ${file}: ${text}`),
    ...damages.map(({ file, offset, problem }) => `${pico.red('damage')}  ${file} at offset ${offset}: ${problem}`),
    ...(unlisted > 0 ? [`and ${formatCount(unlisted)} more`] : []),
    ...notRebuiltLines(verification),
    proofLine(verification),
  ];
}

/** Frames before the oldest snapshot: their chain leads to it, but there is no tree to apply them to. */
function notRebuiltLines({ checksumsOnly, commits, rebuiltCommits, damageCount }: Verification): string[] {
  const left = commits - rebuiltCommits;
  if (checksumsOnly || left === 0 || damageCount > 0) return [];
  return [
    `${pico.dim('note')}    ${formatCount(left)} commits are from before the oldest snapshot: proven by checksums and the chain that it names`,
  ];
}

/** The last line: one sentence that says all that was proven. */
function proofLine(verification: Verification): string {
  const { damageCount, snapshots, segments, commits, divergences, indexes, last, digest, checksumsOnly, bytes, milliseconds } =
    verification;
  const things = [count(snapshots, 'snapshot'), count(segments, 'segment'), count(commits, 'commit')];
  if (divergences > 0) things.push(count(divergences, 'divergence'));
  if (indexes > 0) things.push(`${count(indexes, 'run')} of the index`);
  const what = `${things.join(', ')}, to ${formatPosition(last)}, digest ${digest ?? 'unknown'}`;
  const how = checksumsOnly ? ' (checksums only: no tree was rebuilt)' : '';
  const effort = pico.dim(`  ${formatBytes(bytes)} in ${formatDuration(milliseconds)}`);
  if (damageCount === 0) return `${pico.green('verified')} ${what}${how}${effort}`;
  return `${pico.red('NOT sound')}: ${count(damageCount, 'damaged place')} among ${what}${how}${effort}`;
}

function levelArgument(text: string): VerificationLevel {
  if (/^[0-3]$/.test(text)) return Number(text) as VerificationLevel;
  throw new UsageError(`--level ${JSON.stringify(text)} is none; write 0, 1, 2 or 3`);
}

function partArgument(text: string): Rotation {
  const match = /^(\d{1,6})\/(\d{1,6})$/.exec(text);
  const [part, of] = [Number(match?.[1]), Number(match?.[2])];
  if (part >= 1 && part <= of) return { part, of };
  throw new UsageError(`--part ${JSON.stringify(text)} is none; write the part and how many there are, such as 3/30`);
}

const BYTES: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
};

function bytesArgument(text: string): Rotation {
  const match = /^(\d{1,12}(?:\.\d{1,3})?) ?([A-Za-z]{0,3})$/.exec(text);
  const unit = BYTES[match?.[2]?.toUpperCase() ?? '?'];
  if (match !== null && unit !== undefined) return { bytes: Math.round(Number(match[1]) * unit) };
  throw new UsageError(`--bytes ${JSON.stringify(text)} is no size; write one such as 500MB or 2GiB`);
}
