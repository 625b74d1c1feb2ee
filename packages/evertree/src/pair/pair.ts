import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { EvertreeError, type Role, isEvertreeError } from '@evertree/core';
import pico from 'picocolors';
import { SiteClient } from '../client/site-client.ts';
import { REFUSED_BY_STATE } from '../commands/exit-status.ts';
import type { SiteStatus } from '../commands/status-report.ts';
import { MovingLines, isTerminal } from '../commands/terminal.ts';
import { HostFeed } from '../feed/host-feed.ts';
import { SiteChild, type SiteChildEvents, RESTART_LIMIT } from './child.ts';
import { type PairView, pairLine, pairState } from './pair-line.ts';

const REFRESH_MS = 1_000;
/** The longest pause between two lines outside a terminal. */
const PLAIN_LINE_MS = 10_000;
/** The time that both sites have for their first answer; recovery of a large tree is part of it. */
const START_LIMIT_MS = 120_000;
const START_POLL_MS = 50;
const ANSWER_LIMIT_MS = 5_000;
const RETRY_INTERVAL_MS = 200;

export interface PairOptions {
  readonly data: string;
  /** The primary's HTTP port; the secondary has the next one. */
  readonly http: number;
  readonly feed: 'host' | 'none';
  /** How the user calls this program: `npx -y pnpm evertree`. */
  readonly program: string;
}

/** A primary and a secondary on this machine, two processes. */
export class Pair {
  readonly #options: PairOptions;
  readonly #clients: Readonly<Record<Role, SiteClient>>;
  readonly #moving = new MovingLines();
  readonly #stop = new AbortController();
  #children: readonly SiteChild[] = [];
  #feed: HostFeed | undefined;
  #failure: EvertreeError | undefined;

  constructor(options: PairOptions) {
    this.#options = options;
    this.#clients = { primary: this.#client(options.http), secondary: this.#client(options.http + 1) };
  }

  /**
   * Resolves when `stop` was called and both have ended.
   * @throws EvertreeError when one can't be started, or dies too often
   */
  async run(): Promise<void> {
    await this.#checkPorts();
    this.#children = this.#prepare({ primary: await freePort(), secondary: await freePort() });
    try {
      await this.#startBoth();
      if (!this.#stop.signal.aborted) await this.#show();
    } finally {
      this.#feed?.[Symbol.dispose]();
      this.#moving.clear();
      if (this.#children.some(child => child.pid !== undefined)) this.#say('stopping both …');
      // The primary stops first, so that the secondary still takes what was sent.
      for (const child of this.#children.toReversed()) await child.stop();
    }
    if (this.#failure !== undefined) throw this.#failure;
    this.#say(`stopped; the data is in ${this.#options.data}, and the next start goes on from here`);
  }

  stop(): void {
    this.#stop.abort();
  }

  kill(): void {
    for (const child of this.#children) child.kill();
  }

  #client(port: number): SiteClient {
    return new SiteClient(new URL(`http://127.0.0.1:${port}`), { timeoutMs: ANSWER_LIMIT_MS });
  }

  async #checkPorts(): Promise<void> {
    for (const port of [this.#options.http, this.#options.http + 1]) {
      const problem = port > 65_535 ? 'does not exist' : await portProblem(port);
      if (problem === undefined) continue;
      throw new EvertreeError('UNREACHABLE', `the port ${port} on 127.0.0.1 ${problem}; choose two others with --http PORT`, { port });
    }
  }

  /**
   * Writes each site's configurations for both roles, as a user would, and makes the two children. A child that starts
   * again plays the role that its journal gives, as they may have swapped.
   * @param wires where each listens, whatever its role is
   */
  #prepare(wires: Readonly<Record<Role, number>>): readonly SiteChild[] {
    const { data, http } = this.#options;
    mkdirSync(data, { recursive: true });
    const write = (name: string, configuration: object): string => {
      const file = join(data, `${name}.json`);
      writeFileSync(file, `${JSON.stringify(configuration, undefined, 2)}\n`);
      return file;
    };
    return (['secondary', 'primary'] as const).map(role => {
      const other = role === 'primary' ? 'secondary' : 'primary';
      const leads = { 'consumer-address': '127.0.0.1', 'consumer-port': wires[other], 'connection-retry-interval-ms': RETRY_INTERVAL_MS };
      const files = {
        primary: write(role === 'primary' ? role : `${role}-standby`, { 'netty-connection': leads }),
        secondary: write(role === 'secondary' ? role : `${role}-standby`, {
          'netty-consumer': { 'listening-port': wires[role], 'enable-server-auto-restart': true },
        }),
      };
      const configs = ['--config', files[role], '--standby-config', files[other]];
      const place = ['--data', join(data, role), '--http', `127.0.0.1:${role === 'primary' ? http : http + 1}`, '--site', role];
      return new SiteChild(role, [...configs, ...place, '--log', 'pretty', '--log-level', 'warn'], this.#events());
    });
  }

  #events(): SiteChildEvents {
    return {
      line: (role, line) => this.#say(`${pico.dim(`${role}:`)} ${line}`),
      restarted: (role, how) => this.#say(pico.yellow(`the ${role} ${how}; it is started again and goes on from its journal`)),
      gaveUp: (role, how, status, often) => {
        const again = often ? `, ${RESTART_LIMIT + 1} times in a row` : '';
        const code = status === REFUSED_BY_STATE ? 'WRONG_ROLE' : 'CLOSED';
        this.#failure ??= new EvertreeError(code, `the ${role} ${how}${again}; what it wrote above says why`, { status });
        this.stop();
      },
    };
  }

  /** Starts the secondary first: a primary that finds nobody listening would log a warning. */
  async #startBoth(): Promise<void> {
    const deadline = performance.now() + START_LIMIT_MS;
    for (const child of this.#children) {
      if (this.#stop.signal.aborted) return;
      child.start();
      while (!this.#stop.signal.aborted && (await this.#status(child.role)) === undefined) {
        if (performance.now() > deadline)
          throw new EvertreeError('UNREACHABLE', `the ${child.role} did not answer within ${START_LIMIT_MS / 1000} s`);
        await pause(START_POLL_MS);
      }
      child.confirm();
    }
  }

  #greet(): void {
    const { http, program, data } = this.#options;
    const url = http === 8181 ? '' : ` --url http://127.0.0.1:${http}`;
    this.#say(
      [
        '',
        `  ${pico.bold('primary')}    http://127.0.0.1:${http}   takes writes`,
        `  ${pico.bold('secondary')}  http://127.0.0.1:${http + 1}   follows; the data of both is in ${data}`,
        '',
        '  Try, in another terminal:',
        `    ${pico.cyan(`${program} put /hello '"world"'${url}`)}`,
        `    ${pico.cyan(`${program} get /hello --url http://127.0.0.1:${http + 1}`)}`,
        `    ${pico.cyan(`${program} watch ${this.#options.feed === 'host' ? '/host/load' : '/hello'} --url http://127.0.0.1:${http + 1}`)}`,
        '',
        '  Kill either process whenever you like; Ctrl-C ends both.',
        '',
      ].join('\n'),
    );
  }

  #startFeed(): void {
    const feeding = new SiteClient(this.#clients.primary.url, { timeoutMs: ANSWER_LIMIT_MS, follow: true });
    this.#feed = new HostFeed(feeding, error => this.#say(pico.yellow(`this machine can't be read: ${String(error)}`)));
    this.#feed.start();
  }

  async #show(): Promise<void> {
    this.#greet();
    if (this.#options.feed === 'host') this.#startFeed();
    let before = { revision: 0, at: 0 };
    let told = { state: '', at: -PLAIN_LINE_MS };
    let leader = 'primary';
    while (!this.#stop.signal.aborted) {
      const [primary, secondary] = await Promise.all([this.#status('primary'), this.#status('secondary')]);
      for (const child of this.#children) if ((child.role === 'primary' ? primary : secondary) !== undefined) child.confirm();
      // Whichever of them leads: "evertree switchover" swaps them.
      const [leading, following] =
        secondary?.role === 'primary' && primary?.role !== 'primary' ? [secondary, primary] : [primary, secondary];
      if (leading?.role === 'primary' && leading.site !== leader) this.#tellLeader((leader = leading.site));
      const now = { revision: leading?.position.revision ?? before.revision, at: performance.now() };
      const rate = before.at === 0 ? 0 : Math.max(0, ((now.revision - before.revision) * 1_000) / (now.at - before.at));
      const view: PairView = { primary: leading, secondary: following, rate, load: this.#feed?.latest?.load.one };
      before = now;
      if (isTerminal()) this.#moving.draw([pairLine(view)]);
      else if (pairState(view) !== told.state || now.at - told.at >= PLAIN_LINE_MS) {
        told = { state: pairState(view), at: now.at };
        this.#say(pairLine(view));
      }
      await this.#pause(REFRESH_MS);
    }
  }

  /** The sites keep the names of their first roles. */
  #tellLeader(site: string): void {
    const port = this.#options.http + (site === 'primary' ? 0 : 1);
    this.#say(pico.bold(`the roles are swapped: the site called ${site}, at http://127.0.0.1:${port}, takes writes`));
  }

  async #pause(milliseconds: number): Promise<void> {
    try {
      await pause(milliseconds, undefined, { signal: this.#stop.signal });
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    }
  }

  async #status(role: Role): Promise<SiteStatus | undefined> {
    try {
      return (await this.#clients[role].json('/status')) as SiteStatus;
    } catch (error) {
      if (isEvertreeError(error)) return undefined;
      throw error;
    }
  }

  /** Prints above the moving line. */
  #say(text: string): void {
    this.#moving.clear();
    process.stdout.write(`${text}\n`);
  }
}

/** A port on loopback that nobody listens on at this moment. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a socket listens without a port');
  return address.port;
}

/** Whether somebody listens there already, or may not be listened on. */
async function portProblem(port: number): Promise<string | undefined> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
    return undefined;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'EADDRINUSE' ? 'is in use by another process' : code === 'EACCES' ? 'may not be used by this user' : message;
  } finally {
    server.close();
  }
}
