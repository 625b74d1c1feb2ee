import { formatPosition } from '@evertree/core';
import type { Verification } from '@evertree/history';
import type { Command } from 'commander';
import pico from 'picocolors';
import { directoryArgument } from './arguments.ts';
import { FAILED } from './exit-status.ts';
import { WorkProgress, printLine } from './terminal.ts';
import { formatBytes, formatCount, formatDuration } from './units.ts';

interface VerifyOptions {
  readonly checksumsOnly?: true;
  readonly json?: true;
}

export function addVerify(program: Command): void {
  program
    .command('verify <directory>')
    .summary('prove that a directory holds a whole and sound history')
    .description(
      'Reads everything in the directory of a site, changes nothing and takes no lock: the site may run meanwhile, and is read up to its end when this began. Checks every checksum, the chain of the frames, positions, times, snapshots and divergences, rebuilds the tree to compare its digest after each frame, and compares the index with the frames. Names each damaged place by file and offset. Exit status: 0 sound, 1 not.',
    )
    .option(
      '--checksums-only',
      'rebuild no tree and only check the checksums of the index: several times as fast, and needs no memory for a tree',
    )
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExamples:\n  evertree verify ./data/primary\n  evertree verify /backups/today --checksums-only --json')
    .action(verify);
}

async function verify(directory: string, { checksumsOnly, json }: VerifyOptions): Promise<void> {
  // Loaded on demand: other commands start faster without it.
  const { verifyDirectory } = await import('../site/directories.ts');
  const progress = new WorkProgress('read');
  let verification: Verification;
  try {
    verification = await verifyDirectory(directoryArgument(directory), {
      checksumsOnly: checksumsOnly === true,
      progress: progress.tell,
    });
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

function count(number: number, what: string): string {
  return `${formatCount(number)} ${what}${number === 1 ? '' : 's'}`;
}
