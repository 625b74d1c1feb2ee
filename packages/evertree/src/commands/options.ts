import { type Command, Option } from 'commander';
import { optional } from '../optional.ts';
import { DEFAULT_TIMEOUT_MS, SiteClient } from '../client/site-client.ts';
import { authorityFromFile, countArgument, secondsArgument, tokenFromFile, urlArgument } from './arguments.ts';

const DEFAULT_URL = 'http://127.0.0.1:8181';

export interface ClientOptions {
  readonly url: string;
  readonly tokenFile?: string;
  readonly ca?: string;
  /** In seconds. */
  readonly timeout: number;
  readonly follow?: true;
}

/** The options of every command that talks to a running site. An empty environment variable counts as not set. */
export function withClient(command: Command): Command {
  const { EVERTREE_URL: url, EVERTREE_TOKEN_FILE: tokenFile, EVERTREE_CA: ca } = process.env;
  return command
    .addOption(new Option('--url <url>', 'the site to talk to').default(url || DEFAULT_URL, `EVERTREE_URL, or ${DEFAULT_URL}`))
    .addOption(
      new Option('--token-file <file>', 'the file with the token that the site asks for (or EVERTREE_TOKEN_FILE)').default(
        tokenFile || undefined,
      ),
    )
    .addOption(
      new Option('--ca <file>', "PEM certificates of the authority behind the site's certificate (or EVERTREE_CA)").default(
        ca || undefined,
      ),
    )
    .addOption(
      new Option('--timeout <seconds>', 'how long the site may be silent before the command gives up')
        .default(DEFAULT_TIMEOUT_MS / 1_000)
        .argParser(secondsArgument),
    )
    .option('--follow', 'if the site is not the primary, go on to the one that it names');
}

export function clientOf({ url, tokenFile, ca, timeout, follow }: ClientOptions): SiteClient {
  return new SiteClient(urlArgument(url), {
    ...optional('token', tokenFile === undefined ? undefined : tokenFromFile(tokenFile)),
    ...optional('authority', ca === undefined ? undefined : authorityFromFile(ca)),
    timeoutMs: timeout * 1_000,
    ...optional('follow', follow),
  });
}

export interface WriteOptions extends ClientOptions {
  readonly acknowledge?: number;
  readonly wait?: number;
  readonly json?: true;
}

/** The options of every write. */
export function withWrite(command: Command): Command {
  return withClient(command)
    .addOption(new Option('--acknowledge <count>', 'wait until so many secondaries hold it durably').argParser(countArgument))
    .addOption(new Option('--wait <seconds>', 'how long to wait for them').argParser(countArgument))
    .option('--json', 'print the answer as JSON');
}

export function waitHeaders({ acknowledge, wait }: WriteOptions): Record<string, string> {
  return {
    ...(acknowledge === undefined ? {} : { 'Evertree-Acknowledge': String(acknowledge) }),
    ...(wait === undefined ? {} : { Prefer: `wait=${wait}` }),
  };
}
