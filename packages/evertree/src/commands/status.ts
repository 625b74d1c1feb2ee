import { setTimeout as pause } from 'node:timers/promises';
import { isEvertreeError } from '@evertree/core';
import type { Command } from 'commander';
import { type ClientOptions, clientOf, withClient } from './options.ts';
import type { SiteClient } from '../client/site-client.ts';
import { type SiteStatus, statusLine, statusLines } from './status-report.ts';
import { MovingLines, isTerminal, printLine } from './terminal.ts';

const REFRESH_MS = 1_000;

interface StatusOptions extends ClientOptions {
  readonly watch?: true;
  readonly json?: true;
}

export function addStatus(program: Command): void {
  withClient(program.command('status'))
    .summary('role, position, digest and peers of a site')
    .description(
      "Prints a site's role, state, stream, position and digest, and where each of its peers stands. Equal positions in one epoch have equal digests at every site.",
    )
    .option('--watch', 'again and again, until it is interrupted')
    .option('--json', 'as JSON; with --watch one object a line')
    .addHelpText('after', '\nExamples:\n  evertree status\n  evertree status --watch --url http://127.0.0.1:8182')
    .action(async (options: StatusOptions) => {
      const client = clientOf(options);
      if (options.watch) return watchStatus(client, options.json === true);
      const status = (await client.json('/status')) as SiteStatus;
      await printLine(options.json ? JSON.stringify(status) : statusLines(status).join('\n'));
    });
}

/** A site that can't be reached for a while is said so, and asked again. The first answer has to come. */
async function watchStatus(client: SiteClient, json: boolean): Promise<void> {
  const moving = new MovingLines();
  let printed = '';
  for (let first = true; ; first = false) {
    let lines: string[];
    try {
      const status = (await client.json('/status')) as SiteStatus;
      lines = json ? [JSON.stringify(status)] : isTerminal() ? statusLines(status) : [statusLine(status)];
    } catch (error) {
      if (first || !isEvertreeError(error, 'UNREACHABLE')) throw error;
      lines = [json ? JSON.stringify({ state: 'unreachable', error: error.message }) : error.message];
    }
    if (isTerminal() && !json) moving.draw(lines);
    else if (lines.join('\n') !== printed) await printLine(lines.join('\n'));
    printed = lines.join('\n');
    await pause(REFRESH_MS);
  }
}
