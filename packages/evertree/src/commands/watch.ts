import { setTimeout as pause } from 'node:timers/promises';
import { type ErrorCode, type Position, formatPosition, isEvertreeError } from '@evertree/core';
import type { Command } from 'commander';
import pico from 'picocolors';
import { pathArgument } from './arguments.ts';
import { type ClientOptions, clientOf, withClient } from './options.ts';
import { EventReader, type ServerSentEvent } from '../client/server-sent-events.ts';
import { type SiteClient, targetOf } from '../client/site-client.ts';
import { printError, printLine } from './terminal.ts';

const RECONNECT_MS = 1_000;
/** A site sends something every 15 s. After three times that without a byte, it hangs or the network is cut. */
const SILENCE_MS = 45_000;

/** Errors that may pass: the site is away, or it stops. */
const TEMPORARY: ReadonlySet<string> = new Set(['UNREACHABLE', 'CLOSED'] satisfies ErrorCode[]);

interface WatchOptions extends ClientOptions {
  readonly json?: true;
}

export function addWatch(program: Command): void {
  withClient(program.command('watch <path>'))
    .summary('print what changes at a path, as it happens')
    .description(
      'Prints the state at a path, then each change set that touches it, until it is interrupted. A * as a whole segment stands for any key. After a cut it goes on from the last event.',
    )
    .option('--json', 'one JSON object a line')
    .addHelpText('after', "\nExamples:\n  evertree watch /host/load\n  evertree watch '/devices/*/up' --json")
    .action(async (path: string, options: WatchOptions) => {
      await watch(clientOf(options), targetOf('watch', pathArgument(path)), options.json === true);
    });
}

/** Goes on through cuts and restarts of the site. The first attempt has to succeed, and a refusal ends the command. */
async function watch(client: SiteClient, target: string, json: boolean): Promise<void> {
  const reader = new EventReader();
  let isConnected: boolean | undefined;
  for (;;) {
    let problem = `${client.url.origin} ended the stream`;
    try {
      const headers = { Accept: 'text/event-stream', ...(reader.lastEventId === '' ? {} : { 'Last-Event-ID': reader.lastEventId }) };
      const answer = await client.request(target, { headers, silenceMs: SILENCE_MS });
      if (isConnected === false) printError('connected again');
      isConnected = true;
      for await (const event of reader.read(answer.body())) await printLine(json ? jsonLine(event) : eventLines(event));
    } catch (error) {
      if (isConnected === undefined || !isEvertreeError(error) || !TEMPORARY.has(error.code)) throw error;
      problem = error.message;
    }
    if (isConnected) printError(`${problem}; asking again every ${RECONNECT_MS / 1000} s`);
    isConnected = false;
    await pause(RECONNECT_MS);
  }
}

function jsonLine({ event, data }: ServerSentEvent): string {
  return JSON.stringify({ event, ...(JSON.parse(data) as object) });
}

interface ChangeData {
  readonly position: Position;
  readonly path?: string;
  readonly value?: unknown;
  readonly values?: Readonly<Record<string, unknown>>;
  readonly time?: number;
  readonly reason?: string;
  readonly operations?: readonly (readonly [type: string, path: string, value?: unknown])[];
}

function eventLines({ event, data }: ServerSentEvent): string {
  const change = JSON.parse(data) as ChangeData;
  if (event === 'reset') return pico.yellow(`reset: the history after the last position is not here (${change.reason}); the state follows`);
  const head = pico.bold(formatPosition(change.position));
  if (event !== 'change') {
    const values = change.values ?? ('value' in change ? { [change.path ?? '']: change.value } : {});
    const lines = Object.entries(values).map(([path, value]) => `  ${pico.dim('=')} ${path || '""'} ${JSON.stringify(value)}`);
    return [`${head} ${event}`, ...(lines.length === 0 ? [pico.dim('  nothing is there')] : lines)].join('\n');
  }
  const time = change.time === undefined ? '' : ` ${pico.dim(new Date(change.time).toISOString())}`;
  const lines = (change.operations ?? []).map(([type, path, value]) =>
    type === 'delete' ? `  ${pico.red('delete')} ${path || '""'}` : `  ${pico.green(type)} ${path || '""'} ${JSON.stringify(value)}`,
  );
  return [`${head}${time}`, ...lines].join('\n');
}
