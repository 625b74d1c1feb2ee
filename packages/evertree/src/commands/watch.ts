import { type Position, formatPosition, parseJson } from '@evertree/core';
import { type Command, Option } from 'commander';
import pico from 'picocolors';
import { pathArgument } from './arguments.ts';
import { followEvents } from './events.ts';
import { WHEN_HELP, localTime, whenOption } from './moment-text.ts';
import { type ClientOptions, clientOf, withClient } from './options.ts';
import type { ServerSentEvent } from '../client/server-sent-events.ts';
import { targetOf } from '../client/site-client.ts';
import { printLine } from './terminal.ts';

interface WatchOptions extends ClientOptions {
  readonly from?: string;
  readonly json?: true;
}

export function addWatch(program: Command): void {
  withClient(program.command('watch <path>'))
    .summary('print what changes at a path, as it happens')
    .description(
      'Prints the state at a path, then each change set that touches it, until it is interrupted. A * as a whole segment stands for any key. After a cut it goes on from the last event. With --from it prints the changes since that moment first, instead of the state, and none is missing where the history ends and what happens begins.',
    )
    .addOption(new Option('--from <when>', 'a moment of the history to begin after, instead of the state').argParser(whenOption('--from')))
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      `\n${WHEN_HELP}\n\nExamples:\n  evertree watch /host/load\n  evertree watch '/devices/*/up' --json\n  evertree watch /devices --from -1h`,
    )
    .action(async (path: string, options: WatchOptions) => {
      const target = targetOf('watch', pathArgument(path), { from: options.from });
      await followEvents(clientOf(options), target, event => printLine(options.json ? jsonLine(event) : eventLines(event)));
    });
}

function jsonLine({ event, data }: ServerSentEvent): string {
  return JSON.stringify({ event, ...(parseJson(data) as object) });
}

interface ChangeData {
  readonly position: Position;
  readonly path?: string;
  readonly value?: unknown;
  readonly values?: Readonly<Record<string, unknown>>;
  readonly time?: number;
  readonly author?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly operations?: readonly (readonly [type: string, path: string, value?: unknown])[];
}

function eventLines({ event, data }: ServerSentEvent): string {
  const change = parseJson(data) as ChangeData;
  if (event === 'reset') return pico.yellow(`reset: the history after the last position is not here (${change.reason}); the state follows`);
  const head = pico.bold(formatPosition(change.position));
  if (event !== 'change') {
    const values = change.values ?? ('value' in change ? { [change.path ?? '']: change.value } : {});
    const lines = Object.entries(values).map(([path, value]) => `  ${pico.dim('=')} ${path || '""'} ${JSON.stringify(value)}`);
    return [`${head} ${event}`, ...(lines.length === 0 ? [pico.dim('  nothing is there')] : lines)].join('\n');
  }
  const time = change.time === undefined ? '' : ` ${pico.dim(localTime(change.time))}`;
  const note = [change.author, change.message].filter(part => part !== undefined).join(': ');
  const lines = (change.operations ?? []).map(([type, path, value]) =>
    type === 'delete' ? `  ${pico.red('delete')} ${path || '""'}` : `  ${pico.green(type)} ${path || '""'} ${JSON.stringify(value)}`,
  );
  return [`${head}${time}${note === '' ? '' : `  ${note}`}`, ...lines].join('\n');
}
