import { type Command, Option } from 'commander';
import { countArgument, tokenFromFile, urlArgument } from './arguments.ts';
import { SiteClient } from '../client/site-client.ts';

const DEFAULT_URL = 'http://127.0.0.1:8181';

export interface ClientOptions {
  readonly url: string;
  readonly tokenFile?: string;
}

/** `--url` and `--token-file`, for every command that talks to a running site. */
export function withClient(command: Command): Command {
  return command
    .option('--url <url>', 'the site to talk to', DEFAULT_URL)
    .option('--token-file <file>', 'the file that holds the token this site asks for');
}

export function clientOf(options: ClientOptions): SiteClient {
  return new SiteClient(urlArgument(options.url), options.tokenFile === undefined ? undefined : tokenFromFile(options.tokenFile));
}

export interface WriteOptions extends ClientOptions {
  readonly acknowledge?: number;
  readonly wait?: number;
  readonly json?: true;
}

/** What every write takes. */
export function withWrite(command: Command): Command {
  return withClient(command)
    .addOption(new Option('--acknowledge <count>', 'wait until so many secondaries hold it durably').argParser(countArgument))
    .addOption(new Option('--wait <seconds>', 'how long to wait for them').argParser(countArgument))
    .option('--json', 'print the answer as JSON');
}

export function waitHeaders(options: WriteOptions): Record<string, string> {
  return {
    ...(options.acknowledge === undefined ? {} : { 'Evertree-Acknowledge': String(options.acknowledge) }),
    ...(options.wait === undefined ? {} : { Prefer: `wait=${options.wait}` }),
  };
}
