import { Agent, request } from 'node:http';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bench, Measure } from '../bench.ts';
import { atLeast } from '../figure.ts';
import { freePort } from '../contestants/free-port.ts';
import { idle } from '../contestants/processor-time.ts';
import { now, until } from '../clock.ts';
import { NARROW, PICKS, type Shape, deviceName, deviceValue, picks } from '../shape.ts';
import { tracked } from '../processes.ts';
import { interleave } from '../statistics.ts';
import { QUICK_REDIS_CHANGES, ratio, nameOf } from './visible.ts';

const PROGRAM = fileURLToPath(new URL('../../packages/evertree/bin/evertree.js', import.meta.url));
const HOST = '127.0.0.1';
const OPERATIONS_A_REQUEST = 1_000;
/** Together they have as many changes in flight as the window of Redis's client. */
const REQUESTS_AT_ONCE = 8;
const CHANGES = 500_000;
const QUICK_CHANGES = 200_000;
/** The program's HTTP code is compiled by then, and that of the client here: the rate no longer rises after 150,000. */
const WARM_UP_CHANGES = 200_000;
const DEVICES_A_REQUEST = 50;
/** The thread that builds the index rests up to half a second while commits are many. */
const INDEX_REST_MS = 550;

export const batch: Measure = {
  name: 'batch',
  seconds: 28,
  quickSeconds: 10,
  shares: 'pair',
  about: 'a remote writer through POST /batch, 1,000 operations a request, each a commit; each answer when durable at both sites',
  async run(bench) {
    const programs = await Programs.start(bench.directory('batch'), bench.options.profiles);
    const changes = bench.size(CHANGES, QUICK_CHANGES);
    await programs.fill(NARROW);
    await programs.throughput(WARM_UP_CHANGES);
    const results = await race(bench, programs, changes);
    await programs.close();
    const title = `visible a second through POST /batch, against ${nameOf('always')}`;
    return [ratio('batch', title, { ours: results.ours, theirs: results.always }, atLeast(1.2, 2))];
  },
};

async function race(bench: Bench, programs: Programs, changes: number): Promise<Record<'ours' | 'always', number[]>> {
  const redis = bench.hasRedis ? await bench.redis('always', NARROW) : undefined;
  const contest = {
    ours: async () => {
      const perSecond = await programs.throughput(changes);
      await programs.settled();
      return perSecond;
    },
    always: redis === undefined ? undefined : () => redis.throughput(bench.size(CHANGES, QUICK_REDIS_CHANGES.always)),
  };
  return interleave(contest, bench.rounds, bench.progress);
}

/** The program as primary and as secondary; this process is their client. */
class Programs {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: REQUESTS_AT_ONCE });
  readonly #sites: readonly ChildProcess[];
  readonly #port: number;
  readonly #paths = picks(NARROW).map(path => `/${path.join('/')}`);
  #next = 0;

  private constructor(port: number, sites: readonly ChildProcess[]) {
    this.#port = port;
    this.#sites = sites;
  }

  static async start(directory: string, profiles: string | undefined): Promise<Programs> {
    mkdirSync(directory, { recursive: true });
    const [port, http] = [await freePort(), await freePort()];
    const consumer = configuration(directory, 'consumer', { 'netty-consumer': { 'listening-port': port } });
    const producer = configuration(directory, 'producer', {
      'netty-connection': { 'consumer-address': HOST, 'consumer-port': port, 'connection-retry-interval-ms': 10 },
    });
    const run = (role: string, config: string, address: string) => {
      const profile =
        profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}`, `--cpu-prof-name=batch-${role}.cpuprofile`];
      const args = [role, '--config', config, '--data', join(directory, role), '--http', address, '--log-level', 'error'];
      return tracked(spawn(process.execPath, [...profile, PROGRAM, ...args], { stdio: ['ignore', 'ignore', 'inherit'] }));
    };
    const sites = [run('secondary', consumer, 'off'), run('primary', producer, `${HOST}:${http}`)];
    const programs = new Programs(http, sites);
    await until('the primary answers and has its secondary', () => programs.#isReady());
    return programs;
  }

  async fill(shape: Shape): Promise<void> {
    for (let device = 0; device < shape.devices; device += DEVICES_A_REQUEST) {
      const lines = Array.from({ length: Math.min(DEVICES_A_REQUEST, shape.devices - device) }, (_, index) =>
        JSON.stringify(['put', `/devices/${deviceName(device + index)}`, deviceValue(shape, device + index)]),
      );
      await this.#post(Buffer.from(lines.join('\n')), lines.length);
    }
  }

  /** @returns changes a second until the last answer; the last change is then durable and visible at both sites */
  async throughput(count: number): Promise<number> {
    const bodies = Array.from({ length: count / OPERATIONS_A_REQUEST }, () => this.#body());
    const started = now();
    const send = async (): Promise<void> => {
      for (let body = bodies.shift(); body !== undefined; body = bodies.shift()) await this.#post(body, OPERATIONS_A_REQUEST);
    };
    await Promise.all(Array.from({ length: REQUESTS_AT_ONCE }, send));
    return (count / (now() - started)) * 1e3;
  }

  /** What is still to be indexed is not the next contestant's; the program does not tell when it is. */
  async settled(): Promise<void> {
    await idle(
      this.#sites.flatMap(({ pid }) => pid ?? []),
      INDEX_REST_MS,
    );
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    await Promise.all(
      this.#sites.map(async site => {
        if (site.exitCode !== null) return;
        site.kill('SIGTERM');
        await once(site, 'exit');
      }),
    );
  }

  #body(): Buffer {
    let text = '';
    for (let index = 0; index < OPERATIONS_A_REQUEST; index++) text += `["put","${this.#paths[this.#next % PICKS]}",${this.#next++}]\n`;
    return Buffer.from(text);
  }

  async #isReady(): Promise<boolean> {
    if (this.#sites.some(site => site.exitCode !== null)) throw new Error('a site ended; its log is above');
    try {
      const { status, text } = await this.#request('GET', '/status', {});
      return status === 200 && (JSON.parse(text) as { peers: { state: string }[] }).peers[0]?.state === 'replicate';
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') return false;
      throw error;
    }
  }

  async #post(body: Buffer, lines: number): Promise<void> {
    const headers = { 'Content-Type': 'application/x-ndjson', Prefer: 'wait=30', 'Evertree-Acknowledge': '1' };
    const { status, text } = await this.#request('POST', '/batch', headers, body);
    if (status !== 200 || (JSON.parse(text) as { committed: number }).committed !== lines)
      throw new Error(`POST /batch: ${status} ${text}`);
  }

  #request(method: string, path: string, headers: Record<string, string>, body?: Buffer): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const sent = request({ host: HOST, port: this.#port, method, path, agent: this.#agent, headers }, response => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
        response.on('error', reject);
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }
}

function configuration(directory: string, name: string, sections: object): string {
  const file = join(directory, `${name}.json`);
  writeFileSync(file, JSON.stringify(sections));
  return file;
}
