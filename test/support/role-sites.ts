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
import { testedClientName } from './kafka/client.ts';

const RETRY_MS = 20;

/** What a site needs in each role. */
interface RoleSiteFiles {
  readonly primary: ProducerFile;
  readonly standby: ConsumerFile;
}

/**
 * Sites of one stream in this process, over WebSocket or through a topic: each has the files of both roles. A site can
 * be stopped and started again on its directory.
 */
export class RoleSites implements AsyncDisposable {
  readonly #folder: string;
  readonly #files: ReadonlyMap<string, RoleSiteFiles>;
  readonly #open = new Map<string, Site>();
  readonly reports: Report[] = [];

  private constructor(folder: string, files: ReadonlyMap<string, RoleSiteFiles>) {
    this.#folder = folder;
    this.#files = files;
  }

  /** Over WebSocket: as the primary a site dials all others. */
  static async prepare(...names: readonly string[]): Promise<RoleSites> {
    const first = await freePort(names.length);
    const ports = new Map(names.map((name, index) => [name, first + index]));
    const connection = { 'consumer-address': '127.0.0.1', 'connection-retry-interval-ms': RETRY_MS };
    const filesOf = (name: string): RoleSiteFiles => ({
      primary: {
        'netty-connection': [...ports].flatMap(([other, port]) => (other === name ? [] : [{ ...connection, 'consumer-port': port }])),
      },
      standby: { 'netty-consumer': { 'listening-port': ports.get(name)! } },
    });
    return RoleSites.#with(names, filesOf);
  }

  /** Through one topic of a broker. */
  static async onTopic(broker: string, topic: string, ...names: readonly string[]): Promise<RoleSites> {
    const [host, port] = broker.split(':');
    const connection = { 'kafka-client': testedClientName(), 'kafka-connection': { 'kafka-host': host!, 'kafka-port': Number(port) } };
    return RoleSites.#with(names, () => ({
      primary: {
        ...connection,
        'kafka-messaging': { topic, partition: 0, key: 'k' },
        'kafka-producer-properties': { 'linger.ms': 1 },
      },
      standby: {
        ...connection,
        'kafka-messaging': { topic },
        'kafka-consumer-properties': { 'group.id': 'roles', 'heartbeat.interval.ms': 500 },
      },
    }));
  }

  static async #with(names: readonly string[], filesOf: (name: string) => RoleSiteFiles): Promise<RoleSites> {
    const folder = await mkdtemp(join(tmpdir(), 'evertree-roles-'));
    return new RoleSites(folder, new Map(names.map(name => [name, filesOf(name)])));
  }

  site(name: string): Site {
    const site = this.#open.get(name);
    if (site === undefined) throw new Error(`${name} is not open`);
    return site;
  }

  /** What the site needs as a primary. */
  primary(name: string): ProducerFile {
    return this.#files.get(name)!.primary;
  }

  /** What it needs as a secondary. */
  standby(name: string): ConsumerFile {
    return this.#files.get(name)!.standby;
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
    const [first, ...others] = this.#files.keys();
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
