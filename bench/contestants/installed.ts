import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { environment, installTarballs, installedProgram } from '../../scripts/tarballs.ts';
import { now } from '../clock.ts';
import { tracked } from '../processes.ts';
import { freePort } from './free-port.ts';

const HOST = '127.0.0.1';
/** What a user of the library writes first. */
const LIBRARY = `import { openStore } from 'evertree';
const store = await openStore({ data: process.argv[2] });
process.stdout.write('open');
await store.close();
`;

/** A primary that runs, and how long it took until it answered. */
interface StartedSite {
  readonly url: string;
  readonly tookMs: number;
  close(): Promise<void>;
}

/** The packages, installed from their tarballs in a folder of their own. */
export class Installed {
  readonly #folder: string;
  readonly #program: string;
  #directories = 0;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    installTarballs(folder);
    writeFileSync(join(folder, 'library.js'), LIBRARY);
    this.#folder = folder;
    this.#program = installedProgram(folder);
  }

  /** Timed from the start of the process until it has answered what its empty tree holds. */
  async startSite(): Promise<StartedSite> {
    const [wire, port] = [await freePort(), await freePort()];
    const config = join(this.#folder, 'primary.json');
    writeFileSync(config, JSON.stringify({ 'netty-connection': { 'consumer-address': HOST, 'consumer-port': wire } }));
    const data = this.#directory();
    const url = `http://${HOST}:${port}`;
    const args = ['primary', '--config', config, '--data', data, '--http', `${HOST}:${port}`, '--log', 'json'];
    const began = now();
    const site = tracked(spawn(this.#program, args, { cwd: this.#folder, env: environment, stdio: ['ignore', 'ignore', 'pipe'] }));
    await listening(site);
    const body = await read(`${url}/data`);
    const tookMs = now() - began;
    if (body.trim() !== '{}') throw new Error(`a new site answered ${body}`);
    const close = async (): Promise<void> => {
      site.kill('SIGTERM');
      await once(site, 'exit');
      rmSync(data, { recursive: true });
    };
    return { url, tookMs, close };
  }

  /** @returns milliseconds from the start of the process until its end */
  get(url: string): Promise<number> {
    return this.#time(this.#program, ['get', '', '--url', url], '{}\n');
  }

  /** @returns milliseconds from the start of a process that opens a new store until the store is open */
  async openStore(): Promise<number> {
    const data = this.#directory();
    const began = now();
    const child = spawn(process.execPath, ['library.js', data], { cwd: this.#folder, stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    const tookMs = now() - began;
    if (child.exitCode === null) await once(child, 'exit');
    rmSync(data, { recursive: true });
    return tookMs;
  }

  /** What Node itself takes. */
  node(): Promise<number> {
    return this.#time(process.execPath, ['-e', '0'], '');
  }

  async #time(program: string, args: readonly string[], prints: string): Promise<number> {
    const began = now();
    const child = spawn(program, args, { cwd: this.#folder, env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
    const printed = child.stdout.setEncoding('utf8').toArray();
    const [status] = (await once(child, 'exit')) as [number | null];
    const tookMs = now() - began;
    const text = (await printed).join('');
    if (status !== 0 || text !== prints) throw new Error(`${args.join(' ')} ended with ${status} and printed ${text}`);
    return tookMs;
  }

  #directory(): string {
    return join(this.#folder, `data-${this.#directories++}`);
  }
}

/** Resolves when the site says that its HTTP listens. */
async function listening(site: ChildProcess): Promise<void> {
  const lines: string[] = [];
  for await (const line of createInterface({ input: site.stderr! })) {
    lines.push(line);
    if (line.includes('"http-listening"')) {
      site.stderr!.resume();
      return;
    }
  }
  throw new Error(`the site ended: ${lines.join('\n')}`);
}

async function read(url: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  get(url, { agent: false }, answer => {
    answer
      .setEncoding('utf8')
      .toArray()
      .then(pieces => resolve(pieces.join('')), reject);
  }).on('error', reject);
  return promise;
}
