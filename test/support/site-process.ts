import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ConsumerStatus } from '@evertree/consumer';
import type { PeerStatus } from '@evertree/producer';

const PROGRAM = fileURLToPath(new URL('../../packages/evertree/bin/evertree.js', import.meta.url));
const POLL_MS = 20;

/** A line of a site's log. */
export interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly message: string;
}

export interface SiteProcessOptions {
  readonly role: 'primary' | 'secondary';
  readonly site: string;
  /** One file, or at a primary several. */
  readonly config: string | readonly string[];
  /** What it needs in the other role. */
  readonly standby?: string | readonly string[];
  readonly data: string;
  readonly httpPort: number;
  /** A script that takes the program's arguments, in place of it. */
  readonly program?: string;
}

/** A site as people run it: the program in a process of its own. */
export class SiteProcess implements AsyncDisposable {
  readonly url: string;
  /** What it logged, over all its starts. */
  readonly log: LogLine[] = [];
  /** What it is started with the next time. */
  config: SiteProcessOptions['config'];
  readonly #options: SiteProcessOptions;
  #process: ChildProcess | undefined;
  /** The process before has ended. */
  #ended: Promise<unknown> = Promise.resolve();

  constructor(options: SiteProcessOptions) {
    this.#options = options;
    this.config = options.config;
    this.url = `http://127.0.0.1:${options.httpPort}`;
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  /** Whether its process ended though nobody here ended it. */
  get endedByItself(): boolean {
    return this.#process !== undefined && (this.#process.exitCode !== null || this.#process.signalCode !== null);
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get site(): string {
    return this.#options.site;
  }

  /** Its directory. */
  get data(): string {
    return this.#options.data;
  }

  /** What was written to its terminal that is no line of its log. */
  get printed(): string[] {
    return this.log.filter(({ event }) => event === 'printed').map(({ message }) => message);
  }

  /** Resolves when it answers. A process that still ends is waited for. */
  async start(withinMs: number): Promise<void> {
    await this.#ended;
    const { role, site, standby = [], data, httpPort, program = PROGRAM } = this.#options;
    const configs = [this.config].flat().flatMap(config => ['--config', config]);
    const standbys = [standby].flat().flatMap(config => ['--standby-config', config]);
    const settings = [...configs, ...standbys, '--data', data, '--http', `127.0.0.1:${httpPort}`, '--site', site, '--log', 'json'];
    const child = spawn(process.execPath, [program, role, ...settings], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    createInterface({ input: child.stderr }).on('line', line => this.log.push(readLine(line)));
    createInterface({ input: child.stdout }).on('line', line => this.log.push(printed(line)));
    await until(
      `${site} answers`,
      async () => {
        const end = child.exitCode ?? child.signalCode;
        if (end !== null) throw new Error(`${site} ended with ${end}: ${this.tail()}`);
        return (await this.status()) !== undefined;
      },
      withinMs,
    );
  }

  /** Ends it at whatever instruction it is. */
  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  /** @throws when it does not end with 0 */
  async stop(): Promise<void> {
    const child = this.#process;
    await this.#end('SIGTERM');
    if (child !== undefined && child.exitCode !== 0) throw new Error(`${this.#options.site} ended with ${child.exitCode}: ${this.tail()}`);
  }

  /** Stops it where it is, and lets it go on. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process?.kill(signal);
  }

  /** What /status tells; undefined while it does not answer. */
  async status(): Promise<SiteStatus | undefined> {
    try {
      const response = await fetch(`${this.url}/status`);
      return response.ok ? ((await response.json()) as SiteStatus) : undefined;
    } catch {
      // Not there yet, or no more.
      return undefined;
    }
  }

  /** Its last words, for a failing test. */
  tail(): string {
    return this.log
      .slice(-10)
      .map(({ event, message }) => `${event}: ${message}`)
      .join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    // With the last lines of its log, which come by a pipe.
    this.#ended = once(child, 'close');
    child.kill(signal);
    await this.#ended;
  }
}

/** What of a status the tests look at. */
export interface SiteStatus {
  readonly role: 'primary' | 'secondary';
  readonly state: string;
  readonly position: { readonly epoch: number; readonly revision: number };
  readonly digest: string;
  readonly peers: readonly PeerStatus[];
  readonly consumer?: ConsumerStatus;
}

function readLine(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    // What Node itself prints, an uncaught error say, is no JSON.
    return printed(line);
  }
}

function printed(message: string): LogLine {
  return { level: 'error', event: 'printed', message };
}

/** Asks again until it holds. */
export async function until(what: string, holds: () => Promise<boolean>, withinMs: number): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`it did not come about within ${withinMs} ms that ${what}`);
    await new Promise(resolve => setTimeout(resolve, POLL_MS));
  }
}

/**
 * Below what the kernel gives to connections that go out: one of those would take the port between the look and the
 * use.
 */
const FIRST_PORT = 11_000;
/** Each process that runs tests looks among ports of its own: another one would take a port that nobody listens on yet. */
const PORTS_EACH = 4_000;
const PROCESSES = 5;
const firstPort = FIRST_PORT + (Number(process.env['VITEST_POOL_ID'] ?? 0) % PROCESSES) * PORTS_EACH;
/** Goes round, so that no port is given out twice within a test. */
let lookedAt = Math.floor(Math.random() * PORTS_EACH);

/** A free port of loopback; with `count`, the ports after it are free, too. */
export async function freePort(count = 1): Promise<number> {
  for (;;) {
    if (lookedAt + count > PORTS_EACH) lookedAt = 0;
    const port = firstPort + lookedAt;
    lookedAt += count;
    const free = await Promise.all(Array.from({ length: count }, (_, index) => isFree(port + index)));
    if (free.every(Boolean)) return port;
  }
}

/** Whether a port of loopback is free. */
export function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
