import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Identities, Opening, Recipients, Target, TargetSettings } from '@evertree/archive';
import { isEvertreeError } from '@evertree/core';
import { type Command, Option } from 'commander';
import { parseRecipients } from '../configuration/recipients-file.ts';
import { exposureOf } from '../configuration/secret-file.ts';
import { optional } from '../optional.ts';
import { nodeRandom, workClock } from '../site/machine.ts';
import { UsageError } from './exit-status.ts';
import { printError } from './terminal.ts';

// What the commands share that work on an archive: TARGET, how a service is found, and keys of age.

const KEY_FILE_LIMIT_BYTES = 64 * 1024;
/** The heading of these options in the help. */
const S3_GROUP = 'An archive in S3:';

/** How an S3 service is found; what is left out is found as AWS tools find it. */
export interface TargetOptions {
  readonly endpoint?: string;
  readonly region?: string;
  readonly profile?: string;
  readonly pathStyle?: true;
}

export interface RecipientsOptions {
  readonly recipients?: readonly string[];
}

export interface IdentityOptions {
  readonly identity?: readonly string[];
}

/** As TARGET is explained in the help of each command. */
export const TARGET_HELP = `
TARGET is a directory, or s3://bucket/prefix. S3 takes credentials, region and endpoint from where AWS tools take them:
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, ~/.aws/credentials and ~/.aws/config, AWS_REGION,
AWS_ENDPOINT_URL_S3, or the machine's role.`;

/** The options of every command that takes a TARGET. */
export function withTarget(command: Command): Command {
  return command
    .addOption(
      new Option('--endpoint <url>', "the S3 service, if it is not Amazon's (or AWS_ENDPOINT_URL_S3)")
        .argParser(endpointArgument)
        .helpGroup(S3_GROUP),
    )
    .addOption(new Option('--region <region>', "the bucket's region (or AWS_REGION)").helpGroup(S3_GROUP))
    .addOption(new Option('--profile <name>', 'the profile in ~/.aws/config and ~/.aws/credentials (or AWS_PROFILE)').helpGroup(S3_GROUP))
    .addOption(
      new Option('--path-style', 'put the bucket into the path of URLs; the default for every service but Amazon S3').helpGroup(S3_GROUP),
    );
}

/** The option of commands that write what is encrypted. */
export function withRecipients(command: Command): Command {
  return command.option('--recipients <file...>', 'encrypt for these: files with one age1… a line, as age -R takes them');
}

/** The option of commands that decrypt. */
export function withIdentity(command: Command): Command {
  const { EVERTREE_IDENTITY_FILE: file } = process.env;
  return command.addOption(
    new Option('--identity <file...>', 'decrypt with these: files of age-keygen (or EVERTREE_IDENTITY_FILE)').default(
      file === undefined || file === '' ? undefined : [file],
      'EVERTREE_IDENTITY_FILE',
    ),
  );
}

/** For commands that wait for a target: their process has nothing else to do meanwhile. */
export const commandClock = workClock;

/** TARGET as it was given: a directory in full, or `s3://bucket/prefix`. */
export function targetArgument(text: string): string {
  if (text.startsWith('s3://')) return text;
  // "s3:/bucket" is what is left of s3://bucket where something tidied it as a path.
  if (/^(?:[A-Za-z][A-Za-z0-9+.-]*:\/\/|s3:)/i.test(text))
    throw new UsageError(`${JSON.stringify(text)} is no target; write a directory, or s3://bucket/prefix`);
  if (!/\S/.test(text)) throw new UsageError('the target is empty; write a directory, or s3://bucket/prefix');
  return resolve(text);
}

/**
 * Opens TARGET.
 * @param target as `targetArgument` gives it, or as it was written
 * @param make makes a directory that is missing
 */
export async function openTargetOf(
  target: string,
  options: TargetOptions,
  { make = false }: { readonly make?: boolean } = {},
): Promise<Target> {
  const name = targetArgument(target);
  const settings = settingsOf(name, options);
  // Loaded on demand: other commands start faster without it.
  const { openTarget } = await import('@evertree/archive');
  const region = optional('fallbackRegion', process.env['AWS_DEFAULT_REGION'] || undefined);
  return openTarget(name, { clock: workClock, random: nodeRandom, make, ...region, ...settings });
}

/**
 * How TARGET is reached, for whoever opens it.
 * @throws UsageError for options that concern S3 only, where TARGET is a directory
 */
export function settingsOf(target: string, { endpoint, region, profile, pathStyle }: TargetOptions): TargetSettings {
  if (!target.startsWith('s3://')) {
    const useless = Object.entries({ '--endpoint': endpoint, '--region': region, '--profile': profile, '--path-style': pathStyle });
    for (const [option, value] of useless)
      if (value !== undefined) throw new UsageError(`${option} concerns s3://bucket/prefix, and ${target} is a directory; leave it out`);
  }
  return {
    ...optional('endpoint', endpoint),
    ...optional('region', region),
    ...optional('profile', profile),
    ...optional('pathStyle', pathStyle),
  };
}

/** Whom the command encrypts for; undefined where `--recipients` was not given. */
export async function recipientsOf({ recipients: files }: RecipientsOptions): Promise<Recipients | undefined> {
  if (files === undefined) return undefined;
  const { Recipients } = await import('@evertree/archive');
  return Recipients.parse(files.map(file => keyFile(file, 'the file of recipients', RECIPIENTS_REMEDY)));
}

/**
 * The recipients as texts, for whoever encrypts elsewhere; undefined where `--recipients` was not given.
 * @throws UsageError with each line that is none
 */
export function recipientTexts({ recipients: files }: RecipientsOptions): readonly string[] | undefined {
  if (files === undefined) return undefined;
  const read = files.map(file => ({ file, ...parseRecipients(keyFile(file, 'the file of recipients', RECIPIENTS_REMEDY)) }));
  const problems = read.flatMap(({ file, problems: found }) => found.map(problem => `${file} ${problem}`));
  if (problems.length > 0) throw new UsageError(problems.join('\n'));
  const texts = [...new Set(read.flatMap(({ recipients }) => recipients))];
  if (texts.length > 0) return texts;
  throw new UsageError(`${files.join(', ')} has no recipient; write one age1… a line, as age-keygen -y prints it`);
}

/** What the command decrypts with; undefined where nothing was given. A file that others can read gets a warning. */
export async function identitiesOf({ identity: files }: IdentityOptions): Promise<Opening> {
  if (files === undefined) return undefined;
  const { Identities: identities } = await import('@evertree/archive');
  const texts = files.map(file => {
    const text = keyFile(file, 'the file of identities', 'it is the one that age-keygen wrote with -o, for the recipients of the archive');
    assertIdentities(identities, file, text);
    const exposure = exposureOf(statSync(file), file);
    if (exposure !== undefined) printError(`warning: the file of identities ${file} ${exposure}`);
    return text;
  });
  return identities.parse(texts);
}

/** @throws UsageError that names the file, for one without an identity, or with something else in it */
function assertIdentities(identities: typeof Identities, file: string, text: string): void {
  try {
    identities.parse([text]);
  } catch (error) {
    if (!isEvertreeError(error, 'CONFIGURATION_INVALID')) throw error;
    throw new UsageError(`${file}: ${error.message}`, { cause: error });
  }
}

function endpointArgument(text: string): string {
  const url = URL.parse(text);
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:') && url.search === '' && url.username === '') return text;
  throw new UsageError(`--endpoint ${JSON.stringify(text)} is no address of a service; write one such as https://s3.example:9000`);
}

const RECIPIENTS_REMEDY = '"age-keygen -o identity.txt" makes an identity, and "age-keygen -y identity.txt" prints its recipient';

function keyFile(file: string, what: string, remedy: string): string {
  try {
    const { size } = statSync(file);
    if (size <= KEY_FILE_LIMIT_BYTES) return readFileSync(file, 'utf8');
    throw new UsageError(`${what} ${file} has ${size} bytes; at most ${KEY_FILE_LIMIT_BYTES} are read. Is it another file?`);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${what} ${file} can't be read: ${(error as Error).message}; ${remedy}`, { cause: error });
  }
}
