import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ServerProcess } from '../server-process.ts';
import { freePort } from '../site-process.ts';
import { type TcpProxy, startTcpProxy } from '../tcp-proxy.ts';
import { type BrokerFolder, prepareFolder } from './broker-folder.ts';
import { type Distribution, provideKafka } from './distribution.ts';
import { SECURED_LISTENERS, type Security } from './security.ts';
import type { Listener, ListenerName, Properties, SecuredListener } from './server-properties.ts';

export interface KafkaOptions {
  /** The clients' port; any free one otherwise. */
  readonly port?: number;
  /** A folder that is kept, with the data of the run before; otherwise one of its own that goes with the broker. */
  readonly data?: string;
  /**
   * More of Kafka's own, among them what topics have by default (`message.max.bytes`, `log.retention.bytes` …), or
   * QUICK_RESTART. They win.
   */
  readonly serverProperties?: Properties;
  /**
   * A proxy in front, which clients are told of in place of the broker: `broker.proxy` throttles, cuts and silences it.
   */
  readonly proxied?: boolean;
  /** More listeners, which know these users (name → password) and demand what their names say. */
  readonly users?: Readonly<Record<string, string>>;
  /** Is given a line when the start is going to take a while. */
  readonly tell?: (line: string) => void;
}

/** A real Apache Kafka, one node, on ports and in a folder of its own. It dies with the process that started it. */
export interface KafkaBroker extends AsyncDisposable {
  /** For clients without security: `127.0.0.1:<port>`, the proxy's when there is one. */
  readonly address: string;
  readonly port: number;
  /** The last lines of its log, for a failing test. */
  readonly log: string;
  /** @throws when the broker was not started `proxied` */
  readonly proxy: TcpProxy;
  /** Signed the broker's certificate, and may sign its clients'. @throws when the broker was started without users */
  readonly authority: Security['authority'];
  /** @throws when the broker was started without users */
  addressOf(listener: SecuredListener): string;
  /** SIGKILL, at whatever instruction it is. Resolves when it is dead; what it wrote stays. */
  kill(): Promise<void>;
  /** As an operator does it: SIGTERM, and it leaves in order. What it wrote stays until it is disposed of. */
  stop(): Promise<void>;
  /** On the same folder and ports, after it was killed, stopped or died; resolves when it takes connections. */
  restart(): Promise<void>;
  /** Resolves when it ended: killed, stopped, or by itself. */
  ended(): Promise<void>;
  /** Stops the process with its connections open, as in a long stall, until `thaw`. */
  freeze(): void;
  thaw(): void;
  /**
   * From now on the disk is full for it. Kafka gives up its folder and ends by itself, within a second; resolves then.
   * After `restart` there is room. Needs Linux's `prlimit`.
   */
  fillDisk(): Promise<void>;
}

const START_ATTEMPTS = 3;

/**
 * What every start has in common: small, quick to warm up, nothing left behind in the machine's folder for temporary
 * files.
 */
const JVM_OPTIONS = [
  '-Xmx512m',
  '-XX:TieredStopAtLevel=1',
  '-XX:-UsePerfData',
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
  '-Dorg.slf4j.simpleLogger.showDateTime=true',
  '-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS',
];

/**
 * Starts a broker; resolves when it takes connections. The first start on a machine fetches Kafka.
 *
 * @throws with the remedy where there is no Java, and with the broker's log when it does not come up
 */
export async function startKafka(options: KafkaOptions = {}): Promise<KafkaBroker> {
  const distribution = await prepareKafka(options.tell);
  const { classArchive } = distribution;
  return startBroker(distribution, options, existsSync(classArchive) ? [`-XX:SharedArchiveFile=${classArchive}`] : []);
}

/**
 * Sees to it that brokers can be started at once.
 *
 * @param tell is given a line when it is going to take a while
 */
export async function prepareKafka(tell: (line: string) => void = () => undefined): Promise<Distribution> {
  const distribution = await provideKafka(tell);
  if (!existsSync(distribution.classArchive)) await trainClasses(distribution, tell);
  return distribution;
}

/**
 * Keeps what Java works out about the broker's classes at each start: 0.7 s then in place of 1.9 s. Once for each Java;
 * it holds for jars where they stand, so that it can't be made before they are in place.
 */
async function trainClasses(distribution: Distribution, tell: (line: string) => void): Promise<void> {
  tell('Preparing it for quick starts (once) …');
  const own = `${distribution.classArchive}.${process.pid}`;
  const broker = await startBroker(distribution, {}, ['-Xlog:disable', `-XX:ArchiveClassesAtExit=${own}`]);
  await broker.stop();
  await broker[Symbol.asyncDispose]();
  if (existsSync(own)) await rename(own, distribution.classArchive);
  else tell('This Java keeps no archive of classes; the broker starts slower without.');
}

/** If another process takes a free port before the broker does, the broker starts again on other ports. */
async function startBroker(distribution: Distribution, options: KafkaOptions, jvmOptions: readonly string[]): Promise<KafkaBroker> {
  for (let attempt = 1; ; attempt += 1) {
    const broker = await Broker.prepare(distribution, options, jvmOptions);
    try {
      await broker.restart();
      return broker;
    } catch (error) {
      await broker[Symbol.asyncDispose]();
      const mayRetry = options.port === undefined && String(error).includes('Address already in use');
      if (!mayRetry || attempt === START_ATTEMPTS) throw error;
    }
  }
}

interface Parts {
  readonly distribution: Distribution;
  readonly jvmOptions: readonly string[];
  readonly listeners: readonly Listener[];
  readonly proxy: TcpProxy | undefined;
  readonly files: BrokerFolder;
  /** To be removed in the end. */
  readonly ownFolder: string | undefined;
}

class Broker implements KafkaBroker {
  readonly #parts: Parts;
  #process: ServerProcess | undefined;

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  static async prepare(distribution: Distribution, options: KafkaOptions, jvmOptions: readonly string[]): Promise<Broker> {
    const first = await freePort(3 + SECURED_LISTENERS.length);
    const clientPort = options.port ?? first;
    const proxy = options.proxied === true ? await startTcpProxy({ port: clientPort }) : undefined;
    const listeners: Listener[] = [{ name: 'PLAINTEXT', port: clientPort, advertisedPort: proxy?.port ?? clientPort }];
    const others: ListenerName[] = ['CONTROLLER', 'INTERNAL', ...(options.users === undefined ? [] : SECURED_LISTENERS)];
    for (const [index, name] of others.entries()) listeners.push({ name, port: first + 1 + index, advertisedPort: first + 1 + index });
    const ownFolder = options.data === undefined ? await mkdtemp(join(tmpdir(), 'evertree-kafka-')) : undefined;
    const files = await prepareFolder(options.data ?? ownFolder ?? '', distribution, listeners, options);
    return new Broker({ distribution, jvmOptions, listeners, proxy, files, ownFolder });
  }

  get port(): number {
    return this.#listener('PLAINTEXT').advertisedPort;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get log(): string {
    return this.#process?.log ?? '';
  }

  get proxy(): TcpProxy {
    const { proxy } = this.#parts;
    if (proxy === undefined) throw new Error('This broker has no proxy in front: start it with `proxied: true`.');
    return proxy;
  }

  get authority(): Security['authority'] {
    const { security } = this.#parts.files;
    if (security === undefined) throw new Error('This broker has no certificate: start it with `users`.');
    return security.authority;
  }

  addressOf(name: SecuredListener): string {
    return `127.0.0.1:${this.#listener(name).port}`;
  }

  async restart(): Promise<void> {
    const { distribution, jvmOptions, files, ownFolder } = this.#parts;
    if (this.#process?.isRunning === true) throw new Error('This broker runs: kill or stop it before it is started again.');
    const options = [`-Djava.io.tmpdir=${files.temporary}`, ...JVM_OPTIONS, ...jvmOptions];
    const command = ['java', ...options, '-cp', distribution.classPath, 'kafka.Kafka', files.properties];
    this.#process = new ServerProcess({ name: 'Kafka broker', command, ownFolder });
    // It takes connections only once it may lead partitions.
    await this.#process.answers(this.#listener('PLAINTEXT').port);
  }

  async kill(): Promise<void> {
    await this.#process?.end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#process?.end('SIGTERM');
  }

  async ended(): Promise<void> {
    await this.#process?.ended();
  }

  freeze(): void {
    this.#process?.signal('SIGSTOP');
  }

  thaw(): void {
    this.#process?.signal('SIGCONT');
  }

  async fillDisk(): Promise<void> {
    if (this.#process?.pid === undefined) return;
    await promisify(execFile)('prlimit', ['--pid', String(this.#process.pid), '--fsize=0']);
    await this.#process.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { proxy, ownFolder } = this.#parts;
    await this.kill();
    await proxy?.close();
    if (ownFolder !== undefined) await rm(ownFolder, { recursive: true, force: true });
  }

  #listener(name: ListenerName): Listener {
    const listener = this.#parts.listeners.find(each => each.name === name);
    if (listener === undefined) throw new Error(`This broker has no listener ${name}: start it with \`users\`.`);
    return listener;
  }
}
