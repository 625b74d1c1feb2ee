import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SiteProcess, type SiteProcessOptions, type SiteStatus, freePort } from '../../test/support/site-process.ts';
import { type TcpProxy, startTcpProxy } from '../../test/support/tcp-proxy.ts';
import { SoakArchives } from './archives.ts';

/** A site that does not answer within so long after its start has a fault; a busy machine needs seconds. */
const START_LIMIT_MS = 60_000;
const REQUEST_LIMIT_MS = 30_000;
const RETRY_MS = 50;

export interface Setting {
  readonly names: readonly string[];
  /** A script that takes the program's arguments; the program itself unless given. */
  readonly program?: string;
  /** The `journal` section of all files. */
  readonly journal: Readonly<Record<string, number>>;
  /** All sites archive into one place, and catch up from it. */
  readonly archives?: boolean;
}

export interface Answer {
  /** 0: there was none. */
  readonly status: number;
  readonly text: string;
  /** Whether nobody listened on the port: the request was not taken. */
  readonly isRefused: boolean;
}

/** What the soak reads of a status. */
export interface Told extends SiteStatus {
  readonly standing: 'primary' | 'secondary' | 'fenced' | 'handing-over';
  readonly epochs: readonly { readonly id: string; readonly base: { readonly revision: number } }[];
  /** The oldest state that can be read. */
  readonly history: { readonly from: { readonly position: { readonly revision: number } } };
}

interface SoakSiteOptions extends SiteProcessOptions {
  /** Where it listens for the others. */
  readonly wirePort: number;
}

/** A site, and what the soak did to it. */
export class SoakSite extends SiteProcess {
  readonly wirePort: number;
  /** Its process stands still, by SIGSTOP. */
  isHeld = false;

  constructor(options: SoakSiteOptions) {
    super(options);
    this.wirePort = options.wirePort;
  }

  hold(): void {
    if (!this.isRunning) return;
    this.isHeld = true;
    this.signal('SIGSTOP');
  }

  release(): void {
    this.isHeld = false;
    this.signal('SIGCONT');
  }

  override kill(): Promise<void> {
    this.isHeld = false;
    return super.kill();
  }

  /** Whoever does not answer in time counts as gone: the answer has the status 0. */
  async ask(method: string, path: string, body?: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    try {
      const response = await fetch(`${this.url}${path}`, {
        method,
        redirect: 'manual',
        signal: AbortSignal.timeout(REQUEST_LIMIT_MS),
        headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, text: await response.text(), isRefused: false };
    } catch (error) {
      const { cause } = error as { readonly cause?: { readonly code?: string } };
      return { status: 0, text: String(cause?.code ?? error), isRefused: cause?.code === 'ECONNREFUSED' };
    }
  }

  override async status(): Promise<Told | undefined> {
    const { status, text } = await this.ask('GET', '/status');
    return status === 200 ? (JSON.parse(text) as Told) : undefined;
  }

  /** The lines of an answer. @throws the answer, if it is none */
  async lines<T>(path: string): Promise<T[]> {
    const { status, text } = await this.ask('GET', path, undefined, { accept: 'application/x-ndjson' });
    if (status !== 200) throw new Error(`${this.site} answered GET ${path} with ${status}: ${text.slice(0, 500)}`);
    return text
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line) as T);
  }
}

/** What one site dials to feed another one. */
interface Road {
  readonly from: string;
  readonly to: string;
  readonly proxy: TcpProxy;
}

/** Sites of the real program, a process each, with a network between each two of them that can be cut. */
export class SoakSites {
  readonly folder: string;
  readonly #setting: Setting;
  readonly sites: readonly SoakSite[];
  readonly roads: readonly Road[];
  readonly archives: SoakArchives;
  #archive: object | undefined;
  /** Starts that are under way. */
  readonly #starting = new Map<SoakSite, Promise<void>>();
  readonly #fault: (what: string) => void;
  #isEnded = false;

  private constructor(folder: string, setting: Setting, sites: readonly SoakSite[], roads: readonly Road[], fault: (what: string) => void) {
    this.folder = folder;
    this.#setting = setting;
    this.sites = sites;
    this.roads = roads;
    this.archives = new SoakArchives(folder);
    this.#fault = fault;
  }

  /** Makes folder and files; no process runs yet. The first site is the primary. @param fault is told of a start that fails */
  static async make(setting: Setting, fault: (what: string) => void): Promise<SoakSites> {
    const { names, program } = setting;
    const folder = await mkdtemp(join(tmpdir(), 'evertree-soak-'));
    const [wire, http] = [await freePort(names.length), await freePort(names.length)];
    const pairs = names.flatMap(from => names.filter(name => name !== from).map(to => ({ from, to })));
    const roads = await Promise.all(
      pairs.map(async pair => ({ ...pair, proxy: await startTcpProxy({ port: wire + names.indexOf(pair.to) }) })),
    );
    const sites = names.map((site, index) => {
      const [role, other] = index === 0 ? (['primary', 'secondary'] as const) : (['secondary', 'primary'] as const);
      const [config, standby] = [fileOf(folder, site, role), fileOf(folder, site, other)];
      const common = { httpPort: http + index, wirePort: wire + index, ...(program && { program }) };
      return new SoakSite({ role, site, config, standby, data: join(folder, site), ...common });
    });
    const all = new SoakSites(folder, setting, sites, roads, fault);
    await all.rotateArchive();
    return all;
  }

  /** Writes the files of all sites, with another archive if they have one. A site takes that at its next start. */
  async rotateArchive(): Promise<void> {
    if (this.#setting.archives) this.#archive = await this.archives.rotate();
    await this.#writeFiles();
  }

  async #writeFiles(): Promise<void> {
    const { journal } = this.#setting;
    const common = { journal, ...(this.#archive && { archive: this.#archive }) };
    for (const { site, wirePort } of this.sites) {
      const connections = this.roads.filter(({ from }) => from === site).map(({ proxy: { port } }) => dialling(port));
      const listening = { 'listening-port': wirePort, 'enable-server-auto-restart': true };
      await replaceFile(fileOf(this.folder, site, 'primary'), { 'netty-connection': connections, ...common });
      await replaceFile(fileOf(this.folder, site, 'secondary'), { 'netty-consumer': listening, ...common });
    }
  }

  /** Starts a site that is down, unless that is under way. Resolves when it answers, was killed again, or its fault was told. */
  async start(site: SoakSite): Promise<void> {
    const under = this.#starting.get(site);
    if (under !== undefined) return under;
    if (site.isRunning || this.#isEnded) return;
    const started = site
      .start(START_LIMIT_MS)
      .catch((error: unknown) => {
        if (site.isRunning) this.#fault(`${site.site} did not start: ${String(error)}`);
      })
      .finally(() => this.#starting.delete(site));
    this.#starting.set(site, started);
    return started;
  }

  /** Ends a process, also one that starts. */
  async kill(site: SoakSite): Promise<void> {
    await site.kill();
    await this.#starting.get(site);
    // One that waited for the end of the process before starts only now.
    await site.kill();
  }

  /** Ends the roads between sites of different groups. @param silently nobody is told: what is sent vanishes */
  part(groups: readonly (readonly string[])[], silently: boolean): void {
    for (const { from, to, proxy } of this.roads) {
      if (groups.some(group => group.includes(from) && group.includes(to))) continue;
      proxy.setAccepting(silently ? 'silent' : 'refuse');
      if (silently) proxy.halfOpen();
      else proxy.cut();
    }
  }

  /** All roads work, and all processes run. */
  async heal(): Promise<void> {
    for (const { proxy } of this.roads) {
      proxy.setAccepting('forward');
      proxy.setDelay(0);
    }
    for (const site of this.sites) if (site.isHeld) site.release();
    await Promise.all(this.sites.map(site => this.start(site)));
  }

  /** Keeps what the sites logged beside their directories, for whoever looks for the cause of a fault. */
  async writeLogs(): Promise<void> {
    for (const { site, log } of this.sites) {
      await writeFile(join(this.folder, `${site}.log`), log.map(line => `${JSON.stringify(line)}\n`).join(''));
    }
  }

  /** Ends all processes. @param keeps the folder stays */
  async end(keeps: boolean): Promise<void> {
    this.#isEnded = true;
    await Promise.all(this.sites.map(site => this.kill(site)));
    await Promise.all(this.roads.map(({ proxy }) => proxy.close()));
    if (!keeps) await rm(this.folder, { recursive: true, force: true });
  }
}

function fileOf(folder: string, site: string, role: 'primary' | 'secondary'): string {
  return join(folder, `${site}-${role}.json`);
}

/** Whole or not at all: a site may be starting. */
async function replaceFile(path: string, content: object): Promise<void> {
  await writeFile(`${path}.new`, JSON.stringify(content, undefined, 2));
  await rename(`${path}.new`, path);
}

function dialling(port: number): object {
  return { 'consumer-address': '127.0.0.1', 'consumer-port': port, 'connection-retry-interval-ms': RETRY_MS };
}
