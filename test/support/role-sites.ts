import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ConsumerFile,
  type OpenSiteOptions,
  type ProducerFile,
  type Report,
  type Site,
  openSite,
  openStore,
  startConsumer,
  startProducer,
} from 'evertree';
import { until } from './http-site.ts';
import { collectReports } from './reports.ts';
import { freePort } from './site-process.ts';

const RETRY_MS = 20;

/**
 * Sites of one stream in this process, over WebSocket: each has a port of its own, and the files of both roles. A site
 * can be stopped and started again on its directory.
 */
export class RoleSites implements AsyncDisposable {
  readonly #folder: string;
  readonly #ports: ReadonlyMap<string, number>;
  readonly #open = new Map<string, Site>();
  readonly reports: Report[] = [];

  private constructor(folder: string, ports: ReadonlyMap<string, number>) {
    this.#folder = folder;
    this.#ports = ports;
  }

  static async prepare(...names: readonly string[]): Promise<RoleSites> {
    const folder = await mkdtemp(join(tmpdir(), 'evertree-roles-'));
    const first = await freePort(names.length);
    return new RoleSites(folder, new Map(names.map((name, index) => [name, first + index])));
  }

  site(name: string): Site {
    const site = this.#open.get(name);
    if (site === undefined) throw new Error(`${name} is not open`);
    return site;
  }

  /** What the site needs as a primary: it dials all others. */
  primary(name: string): ProducerFile {
    const others = [...this.#ports].filter(([other]) => other !== name);
    return {
      'netty-connection': others.map(([, port]) => ({
        'consumer-address': '127.0.0.1',
        'consumer-port': port,
        'connection-retry-interval-ms': RETRY_MS,
      })),
    };
  }

  /** What it needs as a secondary. */
  standby(name: string): ConsumerFile {
    return { 'netty-consumer': { 'listening-port': this.#ports.get(name)! } };
  }

  data(name: string): string {
    return join(this.#folder, name);
  }

  /** @param files with those of one role only */
  async start(name: string, options: Partial<OpenSiteOptions> = {}, files: 'both' | 'primary' | 'standby' = 'both'): Promise<Site> {
    const site = await openSite({
      data: this.data(name),
      site: name,
      ...(files === 'standby' ? {} : { primary: this.primary(name) }),
      ...(files === 'primary' ? {} : { standby: this.standby(name) }),
      log: collectReports(this.reports).report,
      ...options,
    });
    this.#open.set(name, site);
    return site;
  }

  /** Its directory is lost. */
  async erase(name: string): Promise<void> {
    await rm(this.data(name), { recursive: true });
  }

  /** Its directory ends in a handover, as a process leaves it that is killed just after. */
  async leaveHandover(name: string, to: string, command: string): Promise<void> {
    await this.stop(name);
    await using store = await openStore({ data: this.data(name) });
    store.hold(command);
    await store.handOver(to, command);
  }

  /** Both directories end in a handover, and its target has not begun, as processes leave them that are killed then. */
  async leaveDelivered(from: string, to: string, command: string): Promise<void> {
    await this.leaveHandover(from, to, command);
    await this.stop(to);
    await using there = await openStore({ data: this.data(to) });
    await using here = await openStore({ data: this.data(from) });
    await using stack = new AsyncDisposableStack();
    stack.use(await startConsumer(there, this.standby(to)));
    stack.use(await startProducer(here, this.primary(from)));
    await until(() => there.stable.position.revision === here.stable.position.revision, 20_000);
  }

  async stop(name: string): Promise<void> {
    const site = this.#open.get(name);
    this.#open.delete(name);
    await site?.close();
  }

  /** Starts the first as the primary and the others as secondaries, and waits until all of them follow it. */
  async startAll(): Promise<Site[]> {
    const [first, ...others] = this.#ports.keys();
    const secondaries = [];
    for (const name of others) secondaries.push(await this.start(name, { role: 'secondary' }));
    const primary = await this.start(first!, { role: 'primary' });
    await primary.store.put('/begun', true).acknowledged(others.length, { timeoutMs: 20_000 });
    return [primary, ...secondaries];
  }

  /** Waits until every open site stands where `leader` does, with the same tree. */
  async settled(leader: Site): Promise<void> {
    await leader.store.flush();
    await until(() => [...this.#open.values()].every(({ store }) => isSame(store, leader.store)), 20_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(Array.from(this.#open.keys(), name => this.stop(name)));
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function isSame(a: Site['store'], b: Site['store']): boolean {
  return a.position.epochId === b.position.epochId && a.position.revision === b.position.revision && a.digest === b.digest;
}
