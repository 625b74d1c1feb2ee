import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TcpProxy, startTcpProxy } from './tcp-proxy.ts';
import { SiteProcess, type SiteStatus, freePort, until } from './site-process.ts';
import { testedClientName } from './kafka/client.ts';

const START_LIMIT_MS = 20_000;
const LIMIT_MS = 30_000;
const RETRY_MS = 20;

export interface HttpAnswer<T> {
  readonly status: number;
  readonly json: T;
}

/** What `POST /admin/switchover` answers. */
export interface SwitchoverAnswer {
  readonly command: string;
  readonly outcome: 'done' | 'abandoned' | 'unknown';
  readonly from: string;
  readonly to: string;
  readonly pauseMs: number | null;
}

/** The contents of a site's two files. */
interface RoleFiles {
  /** One file, or several: one for each wire. */
  readonly producer: object | readonly object[];
  readonly consumer: object;
}

/** The program, a process a site, over WebSocket, a topic, or both: each site has the files of both roles. */
export class RoleProcesses implements AsyncDisposable {
  readonly #folder: string;
  readonly sites: readonly SiteProcess[];
  /** What the others dial to reach each site, in the order of the sites. */
  readonly proxies: readonly TcpProxy[];

  private constructor(folder: string, sites: readonly SiteProcess[], proxies: readonly TcpProxy[]) {
    this.#folder = folder;
    this.sites = sites;
    this.proxies = proxies;
  }

  /** Over WebSocket. Starts the first as the primary and the others as its secondaries. */
  static async start(...names: readonly string[]): Promise<RoleProcesses> {
    const wire = await freePort(names.length);
    const proxies = await Promise.all(names.map((_, index) => startTcpProxy({ port: wire + index })));
    const files = (index: number): RoleFiles => ({
      producer: dialling(proxies.flatMap((proxy, other) => (other === index ? [] : [proxy.port]))),
      consumer: { 'netty-consumer': { 'listening-port': wire + index } },
    });
    return RoleProcesses.#startWith(names, proxies, files);
  }

  /** Through one topic of a broker. */
  static async onTopic(broker: string, topic: string, ...names: readonly string[]): Promise<RoleProcesses> {
    return RoleProcesses.#startWith(names, [], () => throughTopic(broker, topic));
  }

  /**
   * Over both wires: the first sites listen, and the others read the topic. Whoever leads feeds all of them, but for those
   * `without` the topic in their primary's files. Starts the first as the primary.
   */
  static async mixed(
    broker: string,
    topic: string,
    {
      listening,
      reading,
      without = [],
    }: { readonly listening: readonly string[]; readonly reading: readonly string[]; readonly without?: readonly string[] },
  ): Promise<RoleProcesses> {
    const wire = await freePort(listening.length);
    const { producer, consumer } = throughTopic(broker, topic);
    return RoleProcesses.#startWith([...listening, ...reading], [], index => {
      const others = listening.flatMap((_, other) => (other === index ? [] : [wire + other]));
      return {
        producer: without.includes(listening[index] ?? '') ? dialling(others) : [dialling(others), producer],
        consumer: index < listening.length ? { 'netty-consumer': { 'listening-port': wire + index } } : consumer,
      };
    });
  }

  /** @param files of the site with that index */
  static async #startWith(
    names: readonly string[],
    proxies: readonly TcpProxy[],
    files: (index: number) => RoleFiles,
  ): Promise<RoleProcesses> {
    const folder = await mkdtemp(join(tmpdir(), 'evertree-roles-'));
    const http = await freePort(names.length);
    const sites = await Promise.all(
      names.map(async (site, index) => {
        const write = async (file: string, content: unknown) => {
          const path = join(folder, `${site}-${file}.json`);
          await writeFile(path, JSON.stringify(content));
          return path;
        };
        const producer = await Promise.all(
          [files(index).producer].flat().map((file: unknown, at) => write(at === 0 ? 'producer' : `producer-${at}`, file)),
        );
        const consumer = await write('consumer', files(index).consumer);
        const [role, config, standby] =
          index === 0 ? (['primary', producer, consumer] as const) : (['secondary', consumer, producer] as const);
        return new SiteProcess({ role, site, config, standby, data: join(folder, site), httpPort: http + index });
      }),
    );
    const processes = new RoleProcesses(folder, sites, proxies);
    await Promise.all(sites.map(site => site.start(START_LIMIT_MS)));
    await processes.following(sites[0]!);
    return processes;
  }

  async restart(site: SiteProcess): Promise<void> {
    await site.start(START_LIMIT_MS);
  }

  /** Waits until one site feeds another, as the first tells. */
  async feeds(leader: SiteProcess, { site }: SiteProcess): Promise<void> {
    const told = async () => (await leader.status())?.peers.some(peer => peer.site === site && peer.state === 'replicate') === true;
    await until(`${leader.site} feeds ${site}`, told, LIMIT_MS);
  }

  /** Waits until exactly this running site leads, and all other running ones stand where it does with its tree. */
  async following(leader: SiteProcess): Promise<void> {
    const running = this.sites.filter(({ isRunning }) => isRunning);
    const told = () => Promise.all(running.map(site => site.status()));
    try {
      await until(`all follow ${leader.site}`, async () => isSettled(await told(), running.indexOf(leader)), LIMIT_MS);
    } catch (error) {
      const states = (await told()).map(status => JSON.stringify(status));
      throw new Error([...states, ...running.map(site => site.tail())].join('\n\n'), { cause: error });
    }
  }

  /** Gives the command to let a site lead again and again, to all of them, until one tells that it is done. */
  async finishSwitchover(to: SiteProcess, limitMs: number): Promise<void> {
    await until(
      `${to.site} leads, by the same command`,
      async () => {
        for (const site of this.sites) {
          const { status, json } = await switchover(site, { to: to.site });
          if (status === 200 && json.outcome === 'done') return true;
        }
        return false;
      },
      limitMs,
    );
  }

  /** The running site that takes writes, as soon as there is one. */
  async leader(): Promise<SiteProcess> {
    let found: SiteProcess | undefined;
    await until(
      'some site takes writes',
      async () => {
        for (const site of this.sites) {
          if (site.isRunning && (await put(site, '/probe', Date.now())).status === 200) found = site;
        }
        return found !== undefined;
      },
      LIMIT_MS,
    );
    return found!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.sites.map(site => site.kill()));
    await Promise.all(this.proxies.map(proxy => proxy.close()));
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** A primary's file that dials these ports. */
function dialling(ports: readonly number[]): object {
  const connection = { 'consumer-address': '127.0.0.1', 'connection-retry-interval-ms': RETRY_MS };
  return { 'netty-connection': ports.map(port => ({ ...connection, 'consumer-port': port })) };
}

function throughTopic(broker: string, topic: string): { readonly producer: object; readonly consumer: object } {
  const [host, port] = broker.split(':');
  const connection = { 'kafka-client': testedClientName(), 'kafka-connection': { 'kafka-host': host, 'kafka-port': Number(port) } };
  return {
    producer: { ...connection, 'kafka-messaging': { topic, partition: 0, key: 'k' } },
    consumer: { ...connection, 'kafka-messaging': { topic }, 'kafka-consumer-properties': { 'group.id': 'roles' } },
  };
}

function isSettled(statuses: readonly (SiteStatus | undefined)[], leader: number): boolean {
  const ours = statuses[leader];
  const fed = ours?.peers.filter(({ state }) => state === 'replicate').length ?? 0;
  if (fed < statuses.length - 1) return false;
  return statuses.every((status, index) => {
    if (status === undefined || ours === undefined) return false;
    const isSame = status.position.epoch === ours.position.epoch && status.position.revision === ours.position.revision;
    const inRole = index === leader ? status.role === 'primary' && status.state === 'open' : status.role === 'secondary';
    return isSame && inRole && status.digest === ours.digest;
  });
}

/** A request to a site's HTTP; status 0 if there is no answer. */
export async function send<T>(
  site: SiteProcess,
  method: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<HttpAnswer<T>> {
  try {
    const response = await fetch(`${site.url}${path}`, {
      method,
      redirect: 'manual',
      headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, json: (text === '' ? undefined : JSON.parse(text)) as T };
  } catch {
    return { status: 0, json: undefined as T };
  }
}

export function put(
  site: SiteProcess,
  path: string,
  value: unknown,
  headers?: Readonly<Record<string, string>>,
): Promise<HttpAnswer<unknown>> {
  return send(site, 'PUT', `/data${path}`, value, headers);
}

export function promote(site: SiteProcess, options: object = {}): Promise<HttpAnswer<{ readonly epoch: { readonly number: number } }>> {
  return send(site, 'POST', '/admin/promote', options);
}

export function switchover(site: SiteProcess, options: object = {}): Promise<HttpAnswer<SwitchoverAnswer>> {
  return send(site, 'POST', '/admin/switchover', options);
}

/** Writes one value after the other to whichever site takes it, and remembers those that were answered with 200. */
export class RoleWriter {
  readonly #processes: RoleProcesses;
  readonly #name: string;
  readonly #headers: Readonly<Record<string, string>>;
  #leader = 0;
  #next = 0;
  #isStopped = false;
  /** Numbers of the writes that were answered for. */
  readonly answered: number[] = [];
  readonly #ended: Promise<void>;

  /** @param name unlike that of any other writer; @param acknowledgements by how many secondaries it asks for */
  constructor(processes: RoleProcesses, name: string, acknowledgements = 0) {
    this.#processes = processes;
    this.#headers = acknowledgements === 0 ? {} : { 'evertree-acknowledge': String(acknowledgements), prefer: 'wait=2' };
    this.#name = name;
    this.#ended = this.#run();
  }

  /** Waits until so many more were answered. */
  async more(count: number): Promise<void> {
    const enough = this.answered.length + count;
    await until(`${count} more writes are answered`, async () => this.answered.length >= enough, LIMIT_MS);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#ended;
  }

  /** Those that were answered for, and are not in the tree of a site. */
  async lostAt(site: SiteProcess): Promise<number[]> {
    const { status, json } = await send<Record<string, number> | undefined>(site, 'GET', `/data/${this.#name}`);
    if (status === 0) throw new Error(`${site.site} does not answer`);
    return this.answered.filter(number => json?.[number] !== number);
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const number = this.#next++;
      const { sites } = this.#processes;
      if ((await put(sites[this.#leader]!, `/${this.#name}/${number}`, number, this.#headers)).status === 200) {
        this.answered.push(number);
      } else {
        // A refused write is not tried again: an unanswered one may stand all the same.
        this.#leader = (this.#leader + 1) % sites.length;
        await new Promise(resolve => setTimeout(resolve, 1));
      }
    }
  }
}
