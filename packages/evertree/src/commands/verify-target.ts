import { type ArchiveVerification, type Rotation, type VerificationLevel, verifyArchive } from '@evertree/archive';
import { formatPosition, isBefore } from '@evertree/core';
import { formatTime } from '@evertree/history';
import pico from 'picocolors';
import { optional } from '../optional.ts';
import { nodeRandom } from '../site/machine.ts';
import { FAILED } from './exit-status.ts';
import { onSignals } from './signals.ts';
import { commandClock, type IdentityOptions, identitiesOf, openTargetOf, type TargetOptions } from './target-options.ts';
import { printLine, WorkProgress } from './terminal.ts';
import { count, formatBytes, formatCount, formatDuration } from './units.ts';

export interface VerifyTargetCommand extends TargetOptions, IdentityOptions {
  readonly level?: VerificationLevel;
  readonly part?: Rotation;
  readonly bytes?: Rotation;
  readonly all?: true;
  readonly seed?: number;
  readonly json?: true;
}

/** Verifies an archive, and prints what was found. A signal ends it; what it did is remembered. */
export async function verifyTarget(target: string, options: VerifyTargetCommand): Promise<void> {
  const { level, part, bytes, all, seed, json } = options;
  const identities = await identitiesOf(options);
  await using opened = await openTargetOf(target, options);
  const stop = new AbortController();
  using _ = onSignals({ stop: () => stop.abort() });
  const progress = new WorkProgress('verified', json);
  let verification: ArchiveVerification;
  try {
    verification = await verifyArchive({
      target: opened,
      clock: commandClock,
      random: nodeRandom,
      signal: stop.signal,
      progress: progress.tell,
      ...optional('identities', identities),
      ...optional('level', level),
      ...optional('rotation', part ?? bytes ?? (all === true ? 'all' : undefined)),
      ...optional('seed', seed),
    });
  } finally {
    progress.end();
  }
  await printLine(json ? JSON.stringify(verification) : verificationLines(verification).join('\n'));
  if (!verification.passed) process.exitCode = FAILED;
}

function verificationLines(verification: ArchiveVerification): string[] {
  const { findings, findingCount, remarks, drawn } = verification;
  const unlisted = findingCount - findings.length;
  return [
    ...remarks.map(text => `${pico.dim('note')}    ${text}`),
    ...findings.map(({ object, problem, restorable }) => `${pico.red('damage')}  ${object}: ${problem}; ${restorable}`),
    ...(unlisted > 0 ? [`and ${formatCount(unlisted)} more`] : []),
    ...(drawn === null
      ? []
      : [
          `${pico.dim('drawn')}   ${formatPosition(drawn.position)} of ${formatTime(drawn.time)}, digest ${drawn.digest} (--seed ${drawn.seed})`,
        ]),
    proofLine(verification),
  ];
}

/** The last line: one sentence that says all that was proven. */
function proofLine(verification: ArchiveVerification): string {
  const { images, stretches, tailObjects, commits, lines, level, objectsRead, objectsRemembered, bytesRead, milliseconds } = verification;
  const things = [count(images, 'image'), `${formatCount(stretches)} stretch${stretches === 1 ? '' : 'es'}`];
  if (tailObjects > 0) things.push(`${count(tailObjects, 'object')} of tails`);
  things.push(count(commits, 'commit'));
  if (lines.length > 1) things.push(`${formatCount(lines.length)} lines`);
  const ends = lines.flatMap(({ position, digest }) => (position === null ? [] : [{ position, digest }]));
  const end = ends.toSorted((a, b) => (isBefore(b.position, a.position) ? -1 : 1))[0];
  const to = end === undefined ? 'to an unknown end' : `to ${formatPosition(end.position)}, digest ${end.digest}`;
  const read = `level ${level}, ${count(objectsRead, 'object')} read, ${formatCount(objectsRemembered)} remembered`;
  const what = `${things.join(', ')}, ${to}, ${read}`;
  const effort = pico.dim(`  ${formatBytes(bytesRead)} in ${formatDuration(milliseconds)}`);
  const { findingCount, finished } = verification;
  if (findingCount > 0) return `${pico.red('NOT sound')}: ${count(findingCount, 'finding')} among ${what}${effort}`;
  if (!finished) return `${pico.yellow('ended early')}: nothing was wrong so far among ${what}; the next run goes on${effort}`;
  if (stretches + images + tailObjects === 0) return `${pico.green('verified')} an archive that is still empty${effort}`;
  return `${pico.green('verified')} ${what}${effort}`;
}
