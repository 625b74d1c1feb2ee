import { type Command, Option } from 'commander';
import { optional } from '../optional.ts';
import { DEFAULT_TIMEOUT_MS, SiteClient } from '../client/site-client.ts';
import { authorityFromFile, countArgument, secondsArgument, tokenFromFile, urlArgument } from './arguments.ts';
import { UsageError } from './exit-status.ts';

const DEFAULT_URL = 'http://127.0.0.1:8181';
/** Headings in the help of options that many commands share; a command's own options stand before them. */
const SITE_GROUP = 'The site that is asked:';
const WRITE_GROUP = 'Every write:';

export interface ClientOptions {
  readonly url: string;
  readonly tokenFile?: string;
  readonly ca?: string;
  /** In seconds. */
  readonly timeout: number;
  readonly follow?: true;
}

/** The options of every command that talks to a running site. An empty environment variable counts as not set. */
export function withSite(command: Command): Command {
  const { EVERTREE_URL: url } = process.env;
  return withConnection(
    command.addOption(
      new Option('--url <url>', 'the site to talk to').default(url || DEFAULT_URL, `EVERTREE_URL, or ${DEFAULT_URL}`).helpGroup(SITE_GROUP),
    ),
  );
}

/** How a site is talked to, of a command that names it in its own way. */
export function withConnection(command: Command): Command {
  const { EVERTREE_TOKEN_FILE: tokenFile, EVERTREE_CA: ca } = process.env;
  return command
    .addOption(
      new Option('--token-file <file>', 'the file with the token that the site asks for (or EVERTREE_TOKEN_FILE)')
        .default(tokenFile || undefined)
        .helpGroup(SITE_GROUP),
    )
    .addOption(
      new Option('--ca <file>', "PEM certificates of the authority behind the site's certificate (or EVERTREE_CA)")
        .default(ca || undefined)
        .helpGroup(SITE_GROUP),
    )
    .addOption(
      new Option('--timeout <seconds>', 'how long the site may be silent before the command gives up')
        .default(DEFAULT_TIMEOUT_MS / 1_000)
        .argParser(secondsArgument)
        .helpGroup(SITE_GROUP),
    );
}

/** The same, of a command that only the primary may answer. */
export function withClient(command: Command): Command {
  return withSite(command).addOption(
    new Option('--follow', 'if the site is not the primary, go on to the one that it names').helpGroup(SITE_GROUP),
  );
}

export function clientOf({ url, tokenFile, ca, timeout, follow }: ClientOptions): SiteClient {
  return new SiteClient(urlArgument(url), {
    ...optional('token', tokenFile === undefined ? undefined : tokenFromFile(tokenFile)),
    ...optional('authority', ca === undefined ? undefined : authorityFromFile(ca)),
    timeoutMs: timeout * 1_000,
    ...optional('follow', follow),
  });
}

/** Who makes a commit, and why. */
export interface NoteOptions {
  readonly author?: string;
  readonly message?: string;
}

/** The options of every command that commits: its author and message stand in the history. */
export function withNote(command: Command): Command {
  const { EVERTREE_AUTHOR: author } = process.env;
  return command
    .addOption(
      new Option('--author <name>', 'who makes the change, for the history (or EVERTREE_AUTHOR); with tokens the site goes by the token')
        .default(author || undefined)
        .helpGroup(WRITE_GROUP),
    )
    .addOption(new Option('--message <text>', 'why, for the history').helpGroup(WRITE_GROUP));
}

/** A header carries ASCII only. */
export function noteHeaders({ author, message }: NoteOptions): Record<string, string> {
  return {
    ...(author === undefined ? {} : { 'Evertree-Author': encodeNote('--author', author) }),
    ...(message === undefined ? {} : { 'Evertree-Message': encodeNote('--message', message) }),
  };
}

function encodeNote(name: string, text: string): string {
  if (text.isWellFormed()) return encodeURIComponent(text);
  throw new UsageError(`${name} is not well-formed text: it has half of a character`);
}

/** The options of a command that waits for secondaries. */
export interface WaitOptions extends ClientOptions {
  readonly acknowledge?: number;
  readonly wait?: number;
  readonly json?: true;
}

export interface WriteOptions extends WaitOptions, NoteOptions {}

/** The options of every write. */
export function withWrite(command: Command): Command {
  return withNote(withWait(command));
}

export function withWait(command: Command): Command {
  return withClient(command)
    .addOption(
      new Option('--acknowledge <count>', 'wait until so many secondaries hold it durably').argParser(countArgument).helpGroup(WRITE_GROUP),
    )
    .addOption(new Option('--wait <seconds>', 'how long to wait for them').argParser(countArgument).helpGroup(WRITE_GROUP))
    .option('--json', 'print the answer as JSON');
}

export function writeHeaders(options: WriteOptions): Record<string, string> {
  return { ...waitHeaders(options), ...noteHeaders(options) };
}

export function waitHeaders({ acknowledge, wait }: WaitOptions): Record<string, string> {
  return {
    ...(acknowledge === undefined ? {} : { 'Evertree-Acknowledge': String(acknowledge) }),
    ...(wait === undefined ? {} : { Prefer: `wait=${wait}` }),
  };
}
