import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Beat, steadily } from '../beat.ts';
import { now, until } from '../clock.ts';
import { kill, tracked } from '../processes.ts';
import { PICKS, type Shape, leaves, picks } from '../shape.ts';
import { freePort } from './free-port.ts';
import { longestGap } from '../statistics.ts';
import { RedisClient, command, encode } from './redis-client.ts';
import { RedisWriter } from './redis-writer.ts';

/** `none`: no file; `always`: `appendfsync always` at both servers. */
export type RedisFile = 'none' | 'always';

export const REDIS_MISSING = 'redis-server is not on the PATH: ours runs alone. Debian: apt-get install redis-server';
const MARKER = '__marker';
/** A writer writes so long before and after a failover. */
const AROUND_MS = 300;
/** Keys that one command sets while a server is filled. */
const FILL_KEYS = 20;

export function redisVersion(): string | undefined {
  try {
    return /v=(\S+)/.exec(execFileSync('redis-server', ['--version'], { encoding: 'utf8' }))?.[1];
  } catch {
    // Redis is not installed: the bench says so, and how to install it.
    return undefined;
  }
}

/**
 * A Redis primary with a replica, both driven from this process: the same keys, values and window as the lab's
 * redis.mjs.
 */
export class RedisPair {
  readonly #directory: string;
  readonly #file: RedisFile;
  readonly #shape: Shape;
  readonly #servers: ChildProcess[] = [];
  #primaryPort: number;
  #paths: string[] = [];
  #next = 0;
  #primary!: RedisClient;
  #replica: RedisClient | undefined;
  #replicaPort = 0;

  private constructor(directory: string, file: RedisFile, shape: Shape, port: number) {
    this.#directory = directory;
    this.#file = file;
    this.#shape = shape;
    this.#primaryPort = port;
  }

  /** A filled primary; no replica yet. */
  static async start(directory: string, file: RedisFile, shape: Shape): Promise<RedisPair> {
    const pair = new RedisPair(directory, file, shape, await freePort());
    await pair.#spawn('primary', pair.#primaryPort);
    pair.#primary = await RedisClient.connect(pair.#primaryPort);
    // It fills faster while it syncs only once a second.
    if (file === 'always') await pair.#primary.ask('CONFIG', 'SET', 'appendfsync', 'everysec');
    await pair.#fill();
    if (file === 'always') await pair.#primary.ask('CONFIG', 'SET', 'appendfsync', 'always');
    pair.#paths = picks(shape).map(path => path.join('/'));
    return pair;
  }

  async startReplica(): Promise<void> {
    this.#replicaPort = await freePort();
    await this.#spawn(`replica-${this.#replicaPort}`, this.#replicaPort);
    this.#replica = await RedisClient.connect(this.#replicaPort);
  }

  async stopReplica(): Promise<void> {
    this.#replica?.close();
    const server = this.#servers.pop();
    if (server !== undefined) await kill(server);
  }

  /** @returns milliseconds from REPLICAOF until the replica holds all keys */
  async replicate(): Promise<number> {
    const replica = this.#connected;
    const keys = Number(await this.#primary.ask('DBSIZE'));
    const started = now();
    await replica.ask('REPLICAOF', '127.0.0.1', this.#primaryPort);
    await until('the replica is equal', async () => {
      const link = (await replica.ask('INFO', 'replication')) ?? '';
      return link.includes('master_link_status:up') && Number(await replica.ask('DBSIZE')) >= keys;
    });
    return now() - started;
  }

  async connect(): Promise<void> {
    await this.startReplica();
    await this.replicate();
  }

  /**
   * Swaps the roles with FAILOVER while this process writes at whichever server leads.
   * @returns the longest time without an answered write, in milliseconds
   */
  async failover(perSecond: number): Promise<number> {
    const [from, to] = [await RedisClient.connect(this.#primaryPort), await RedisClient.connect(this.#replicaPort)];
    const writer = new RedisWriter(from, to, () => this.#updates(Infinity), perSecond);
    await sleep(AROUND_MS);
    const began = now();
    await this.#primary.ask('FAILOVER', 'TO', '127.0.0.1', this.#replicaPort);
    await until('the replica leads', async () => ((await this.#connected.ask('INFO', 'replication')) ?? '').includes('role:master'));
    await sleep(AROUND_MS);
    const ended = now();
    const answers = await writer.stop();
    from.close();
    to.close();
    [this.#primary, this.#replica] = [this.#connected, this.#primary];
    [this.#primaryPort, this.#replicaPort] = [this.#replicaPort, this.#primaryPort];
    await until('the old primary follows', async () =>
      ((await this.#connected.ask('INFO', 'replication')) ?? '').includes('master_link_status:up'),
    );
    return longestGap([answers], began, ended);
  }

  /** @returns changes a second, from the first write until the last one is visible at the replica */
  async throughput(count: number): Promise<number> {
    const chunks = encode(this.#updates(count));
    const tag = `${MARKER}-${this.#next}`;
    const started = now();
    await this.#primary.pipeline(chunks, count);
    await this.#primary.ask('SET', MARKER, tag);
    while ((await this.#connected.ask('GET', MARKER)) !== tag);
    const perSecond = (count / (now() - started)) * 1e3;
    await this.#settled();
    return perSecond;
  }

  /** @returns for each change, milliseconds from its write until the replica showed it (MONITOR) */
  async lag(beat: Beat): Promise<Float64Array> {
    const { count } = beat;
    const first = this.#next;
    const monitor = await RedisClient.connect(this.#replicaPort);
    await monitor.ask('MONITOR');
    const seen = seenBy(monitor, first, count);
    using _ = this.#primary.onText(() => undefined);
    const updates = this.#updates(count);
    const made = await steadily(beat, () => this.#primary.send(updates.next().value ?? ''));
    const lags = (await seen).map((time, index) => time - made[index]!);
    monitor.close();
    await this.#settled();
    return lags;
  }

  async close(): Promise<void> {
    this.#primary.close();
    this.#replica?.close();
    await Promise.all(this.#servers.map(kill));
  }

  /** A child process that rewrites an append-only file would do so in the next contestant's turn. */
  async #settled(): Promise<void> {
    if (this.#file === 'none') return;
    await until('no append-only file is rewritten', async () => !(await rewrites(this.#primary)) && !(await rewrites(this.#connected)));
  }

  *#updates(count: number): Generator<string, void> {
    for (let done = 0; done < count; done++) yield command('SET', this.#paths[done % PICKS]!, this.#next++);
  }

  async #fill(): Promise<void> {
    const shape = this.#shape;
    const commands = Array.from(sets(shape));
    await this.#primary.pipeline(encode(commands), commands.length);
  }

  get #connected(): RedisClient {
    if (this.#replica === undefined) throw new Error('there is no replica');
    return this.#replica;
  }

  async #spawn(name: string, port: number): Promise<void> {
    const directory = join(this.#directory, name);
    mkdirSync(directory, { recursive: true });
    const file = this.#file === 'none' ? ['--appendonly', 'no'] : ['--appendonly', 'yes', '--appendfsync', 'always'];
    const options = {
      '--port': port,
      '--bind': '127.0.0.1',
      '--dir': directory,
      '--save': '',
      '--repl-diskless-sync': 'yes',
      '--repl-diskless-sync-delay': 0,
      '--repl-diskless-load': 'swapdb',
      '--client-output-buffer-limit': 'replica 0 0 0',
      '--repl-backlog-size': '64mb',
    };
    const server = tracked(spawn('redis-server', [...Object.entries(options).flat().map(String), ...file], { stdio: 'ignore' }));
    await once(server, 'spawn');
    this.#servers.push(server);
  }
}

async function rewrites(server: RedisClient): Promise<boolean> {
  return /aof_rewrite_(in_progress|scheduled):1/.test((await server.ask('INFO', 'persistence')) ?? '');
}

/** Many keys a command, as filling is not measured. */
function* sets(shape: Shape): Generator<string> {
  let pairs: string[] = [];
  for (const [path, value] of leaves(shape)) {
    if (pairs.push(path, String(value)) < 2 * FILL_KEYS) continue;
    yield command('MSET', ...pairs);
    pairs = [];
  }
  if (pairs.length > 0) yield command('MSET', ...pairs);
}

/** When MONITOR showed each of the values from `first` on. */
function seenBy(monitor: RedisClient, first: number, count: number): Promise<Float64Array> {
  const times = new Float64Array(count);
  let seen = 0;
  let rest = '';
  return new Promise(resolve => {
    const listening = monitor.onText(text => {
      const time = now();
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const value = /"SET" "[^"]*" "(\d+)"/i.exec(line)?.[1];
        if (value === undefined) continue;
        times[Number(value) - first] = time;
        seen++;
      }
      if (seen < count) return;
      listening[Symbol.dispose]();
      resolve(times);
    });
  });
}
