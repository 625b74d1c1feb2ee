import type { BackupProgress } from '@evertree/archive';
import { EvertreeError, type ErrorCode, type Position, isEvertreeError } from '@evertree/core';
import type { Command } from 'commander';
import pico from 'picocolors';
import type { InitOutcome } from '../archive/initialization.ts';
import type { SiteClient } from '../client/site-client.ts';
import { optional } from '../optional.ts';
import { directoryArgument } from './arguments.ts';
import { type BackupAnswer, type BackupForecastAnswer, backupLines, forecastLines } from './backup-report.ts';
import { type ClientOptions, clientOf, withSite } from './options.ts';
import {
  type RecipientsOptions,
  TARGET_HELP,
  type TargetOptions,
  recipientTexts,
  settingsOf,
  targetArgument,
  withRecipients,
  withTarget,
} from './target-options.ts';
import { WorkProgress, printLine, tellNote } from './terminal.ts';
import { formatDuration } from './units.ts';

interface BackupCommandOptions extends ClientOptions, TargetOptions, RecipientsOptions {
  readonly data?: string;
  readonly dryRun?: true;
  readonly json?: true;
}

interface InitCommandOptions extends TargetOptions, RecipientsOptions {
  readonly json?: true;
}

export function addBackup(program: Command): void {
  const backup = withRecipients(withTarget(withSite(program.command('backup <target>').enablePositionalOptions())))
    .summary('archive what is committed into a directory or an S3 bucket')
    .description(
      'Archives everything that is committed now into TARGET, a directory or s3://bucket/prefix: the first time all of the history that the site keeps, later what the archive lacks. The running site does it, while it goes on as before, with its own credentials for the bucket; with --data this command does it from the site\'s directory, whether the site runs or not. An empty place becomes an archive. The section "archive" of a site\'s file does the same continuously.',
    )
    .option('--data <directory>', "read the history from a site's directory here, instead of asking the running site")
    .option('--dry-run', 'say what would be written, and change nothing')
    .option('--json', 'print the result as JSON; off a terminal with lines of progress before it')
    .addHelpText(
      'after',
      `${TARGET_HELP}\n\nExamples:\n  evertree backup /mnt/backups/north\n  evertree backup s3://backups/north --recipients operators.txt\n  evertree backup /mnt/backups/north --data ./data/primary --dry-run`,
    )
    .action(backUp);
  withRecipients(withTarget(backup.command('init <target>')))
    .summary('make an archive, and find out whether its place can be trusted')
    .description(
      'Makes an archive in TARGET, a directory or s3://bucket/prefix. First it finds out whether the place really refuses what it must refuse, so that two sites can write there, whether all rights are there, and how far its clock is off. With --recipients everything but positions, times, sizes and hashes is encrypted for them, for as long as the archive lives.',
    )
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `${TARGET_HELP}\n\nExamples:\n  evertree backup init /mnt/backups/north\n  age-keygen -o identity.txt && age-keygen -y identity.txt > operators.txt\n  evertree backup init s3://backups/north --recipients operators.txt`,
    )
    .action(initialize);
}

async function backUp(text: string, options: BackupCommandOptions): Promise<void> {
  const target = targetArgument(text);
  const recipients = recipientTexts(options);
  const request = { ...settingsOf(target, options), ...optional('recipients', recipients) };
  const progress = new WorkProgress('archived', options.json === true, 'Commits');
  const tell = ({ commits, ofCommits }: BackupProgress) => progress.tell(commits, ofCommits);
  try {
    if (options.dryRun === true) {
      const forecast = await forecastOf(target, options, request);
      await printLine(options.json ? JSON.stringify(forecast) : forecastLines(forecast).join('\n'));
      return;
    }
    const answer = await (options.data === undefined
      ? askSite(target, options, request, tell)
      : fromDirectory(options.data, target, request, tell));
    progress.end();
    await printLine(options.json ? JSON.stringify(answer) : backupLines(answer).join('\n'));
    if (answer.made && recipients === undefined) tellNote(NOT_ENCRYPTED);
  } finally {
    progress.end();
  }
}

const NOT_ENCRYPTED = 'the archive is not encrypted: whoever can read it reads the data';

/** What is asked of whoever makes the backup, with the keys of `POST /admin/backup`. */
type BackupRequest = ReturnType<typeof settingsOf> & { readonly recipients?: readonly string[] };

async function forecastOf(target: string, options: BackupCommandOptions, request: BackupRequest): Promise<BackupForecastAnswer> {
  if (options.data === undefined) {
    const client = clientOf(options);
    const asked = client.json('/admin/backup', post({ ...request, target, dryRun: true }));
    return (await asked.catch((error: unknown) => {
      throw ofTheSite(error, client.url.origin, target);
    })) as BackupForecastAnswer;
  }
  const { forecastDirectory } = await import('../archive/one-backup.ts');
  const forecast = await forecastDirectory(directoryArgument(options.data), target, request);
  return { ...forecast, from: forecast.from && plainPosition(forecast.from), to: plainPosition(forecast.to) };
}

async function fromDirectory(
  data: string,
  target: string,
  request: BackupRequest,
  tell: (counted: BackupProgress) => void,
): Promise<BackupAnswer> {
  // Loaded on demand: other commands start faster without it.
  const { backupDirectory } = await import('../archive/one-backup.ts');
  const { position, gap, ...outcome } = await backupDirectory(directoryArgument(data), target, { ...request, progress: tell });
  const lost = gap === undefined ? {} : { gap: { ...gap, from: plainPosition(gap.from), to: plainPosition(gap.to) } };
  return { ...outcome, position: plainPosition(position), ...lost };
}

/** As HTTP answers it. */
function plainPosition({ epoch, revision }: Position): Position {
  return { epoch, revision };
}

/** Codes of what a service, or its client, lacks where variables or files are missing. */
const OF_ENVIRONMENT: ReadonlySet<string> = new Set(['CONFIGURATION_INVALID', 'UNAUTHENTICATED', 'FORBIDDEN'] satisfies ErrorCode[]);

/** The running site reaches the target by its own environment: variables of this command's shell don't help there. */
function ofTheSite(error: unknown, site: string, target: string): unknown {
  if (!isEvertreeError(error) || !target.startsWith('s3://') || !OF_ENVIRONMENT.has(error.code)) return error;
  // The site's own refusal of this command's token is another thing.
  if (error.code !== 'CONFIGURATION_INVALID' && !error.message.includes(target)) return error;
  const whose = `${site} makes this backup, with its own environment and not that of this command: start the site with these settings`;
  return new EvertreeError(error.code, `${error.message}. ${whose}`, error.details, error);
}

async function askSite(
  target: string,
  options: ClientOptions,
  request: BackupRequest,
  tell: (counted: BackupProgress) => void,
): Promise<BackupAnswer> {
  const client = clientOf(options);
  try {
    return await requestBackup(client, target, request, tell);
  } catch (error) {
    throw ofTheSite(error, client.url.origin, target);
  }
}

/** The last line of the answer tells how it ended. */
async function requestBackup(
  client: SiteClient,
  target: string,
  request: BackupRequest,
  tell: (counted: BackupProgress) => void,
): Promise<BackupAnswer> {
  const answer = await client.request('/admin/backup', {
    ...post({ ...request, target }),
    headers: { ...JSON_TYPE, Accept: 'application/x-ndjson' },
    patient: true,
  });
  for await (const line of answer.lines()) {
    const { progress: told, result, error } = line as BackupLine;
    if (told !== undefined) tell(told);
    if (result !== undefined) return result;
    if (error !== undefined) throw new EvertreeError(error.code, error.detail);
  }
  throw new EvertreeError('UNREACHABLE', `${client.url.origin} ended its answer before the backup was over; its log may say why`);
}

/** A line of the answer of `POST /admin/backup`. */
interface BackupLine {
  readonly progress?: BackupProgress;
  readonly result?: BackupAnswer;
  readonly error?: { readonly code: ErrorCode; readonly detail: string };
}

const JSON_TYPE = { 'Content-Type': 'application/json' };

function post(body: object): { readonly method: string; readonly headers: Readonly<Record<string, string>>; readonly body: string } {
  return { method: 'POST', headers: JSON_TYPE, body: JSON.stringify(body) };
}

async function initialize(text: string, options: InitCommandOptions): Promise<void> {
  const target = targetArgument(text);
  const { initArchive } = await import('../archive/initialization.ts');
  const recipients = recipientTexts(options);
  const made = await initArchive(target, { ...settingsOf(target, options), ...optional('recipients', recipients) });
  if (options.json) return printLine(JSON.stringify(made));
  await printLine(initializedLines(made).join('\n'));
}

/** A target's clock that is further off is worth a word: its times decide what is pruned, and services refuse requests. */
const SKEW_NOTED_MS = 60_000;

function initializedLines(made: InitOutcome): string[] {
  const { target, archive, made: isNew, encrypted, recipients, conditions, ignored, refusals, clockSkewMs } = made;
  return [
    ...ignored.map(each => `${pico.red('not safe')}  ${each}`),
    ...(conditions
      ? []
      : [`${pico.red('one writer')}  let only one site write to this archive: the target does not keep two from harming each other`]),
    ...refusals.map(each => `${pico.yellow('refused')}  ${each}`),
    ...(Math.abs(clockSkewMs) < SKEW_NOTED_MS
      ? []
      : [
          `${pico.yellow('clock')}  the target's is ${formatDuration(Math.abs(clockSkewMs))} ${clockSkewMs > 0 ? 'ahead of' : 'behind'} this machine's`,
        ]),
    `${pico.green(isNew ? 'made' : 'there already')} the archive ${archive} in ${target}; ${
      conditions ? 'it refuses what it must refuse' : 'it does not refuse what it must refuse'
    }`,
    ...(encrypted
      ? [
          `encrypted for ${recipients} recipient${recipients === 1 ? '' : 's'}. Whoever loses all of their identities has lost every backup in it: nobody can`,
          'restore them, and no site keeps a copy. Keep each identity in two places, and try one with evertree drill',
        ]
      : [`not encrypted: whoever can read it reads the data. Encryption can't be added later: make another archive with --recipients`]),
    `next: evertree backup ${target}, or "archive": { "target": ${JSON.stringify(target)}${encrypted ? ', "recipients": …' : ''} } in the site's file`,
  ];
}
