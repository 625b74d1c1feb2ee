import { setTimeout as pause } from 'node:timers/promises';
import { isEvertreeError } from '@evertree/core';
import type { Command } from 'commander';
import pico from 'picocolors';
import { type ClientOptions, clientOf, withClient } from './options.ts';
import type { SiteClient } from '../client/site-client.ts';
import { type SiteStatus, statusLine, statusLines } from './status-report.ts';
import { MovingLines, isTerminal, printLine } from './terminal.ts';
import { formatDuration } from './units.ts';

const REFRESH_MS = 1_000;
/** An answer that is older is shown as stale. */
const FRESH_MS = 3_000;

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
    .option('--watch', 'again and again, until it is interrupted; an answer that is old is marked as stale')
    .option('--json', 'as JSON; with --watch one object a line')
    .addHelpText('after', '\nExamples:\n  evertree status\n  evertree status --watch --url http://127.0.0.1:8182')
    .action(async (options: StatusOptions) => {
      const client = clientOf(options);
      if (options.watch) return watchStatus(client, options.json === true);
      const status = (await client.json('/status')) as SiteStatus;
      await printLine(options.json ? JSON.stringify(status) : statusLines(status, client.url.origin).join('\n'));
    });
}

/** An answer, and when it came. */
interface Seen {
  readonly status: SiteStatus;
  readonly at: number;
}

/** The first answer has to come. While a later one does not come, the last one is shown as stale. */
async function watchStatus(client: SiteClient, json: boolean): Promise<void> {
  const view = json || !isTerminal() ? new StatusPrinter(json) : new StatusPainter(client.url.origin);
  let last: Seen = { status: (await client.json('/status')) as SiteStatus, at: Date.now() };
  for (;;) {
    await view.live(last.status);
    await pause(REFRESH_MS);
    last = await nextStatus(client, last, view);
  }
}

/** Asks until an answer comes. Until then it shows how old the last answer is, and why no new one came. */
async function nextStatus(client: SiteClient, last: Seen, view: StatusView): Promise<Seen> {
  let reason = `${client.url.origin} is silent`;
  for (;;) {
    const tellAge = () => {
      if (Date.now() - last.at > FRESH_MS) void view.stale(last, reason);
    };
    const timer = setInterval(tellAge, REFRESH_MS);
    try {
      return { status: (await client.json('/status')) as SiteStatus, at: Date.now() };
    } catch (error) {
      if (!isEvertreeError(error, 'UNREACHABLE')) throw error;
      reason = error.message;
      await view.stale(last, reason);
    } finally {
      clearInterval(timer);
    }
    await pause(REFRESH_MS);
  }
}

interface StatusView {
  live(status: SiteStatus): Promise<void>;
  stale(last: Seen, reason: string): Promise<void>;
}

/** Draws the whole status in place. */
class StatusPainter implements StatusView {
  readonly #url: string;
  readonly #moving = new MovingLines();

  constructor(url: string) {
    this.#url = url;
  }

  async live(status: SiteStatus): Promise<void> {
    this.#moving.draw(statusLines(status, this.#url));
  }

  async stale({ status, at }: Seen, reason: string): Promise<void> {
    const age = `stale: no answer for ${formatDuration(Date.now() - at)}, since ${new Date(at).toISOString()}`;
    this.#moving.draw([pico.red(age), pico.red(reason), ...statusLines(status, this.#url).map(line => pico.dim(line))]);
  }
}

/** Prints a line, or a JSON object, when it differs from the one before. */
class StatusPrinter implements StatusView {
  readonly #json: boolean;
  #printed = '';

  constructor(json: boolean) {
    this.#json = json;
  }

  live(status: SiteStatus): Promise<void> {
    return this.#print(this.#json ? JSON.stringify(status) : statusLine(status));
  }

  stale({ at }: Seen, reason: string): Promise<void> {
    const text = `stale: no answer since ${new Date(at).toISOString()}: ${reason}`;
    return this.#print(this.#json ? JSON.stringify({ state: 'unreachable', since: at, error: reason }) : text);
  }

  async #print(line: string): Promise<void> {
    if (line === this.#printed) return;
    this.#printed = line;
    await printLine(line);
  }
}
