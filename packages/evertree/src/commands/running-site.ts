import type { Consumer } from '@evertree/consumer';
import { type Reporter, type Role, type Store, formatPosition } from '@evertree/core';
import type { Producer } from '@evertree/producer';
import { isLoopback } from '../configuration/configuration.ts';
import type { ConsumerConfiguration, PrimaryConfiguration, SiteConfiguration } from '../configuration/configuration.ts';
import { type Problem, configurationError } from '../configuration/problem.ts';
import { optional } from '../optional.ts';
import { startHttp } from '../http/server.ts';
import { openConsumer } from '../site/consumer.ts';
import { openProducer } from '../site/producer.ts';
import { storeSettings } from '../site/settings.ts';
import { openStore } from '../site/store.ts';
import { VERSION } from '../version.ts';
import type { HostAndPort } from './arguments.ts';

export interface RunningSiteOptions {
  readonly role: Role;
  readonly configuration: PrimaryConfiguration | ConsumerConfiguration;
  readonly data: string;
  readonly http: HostAndPort | 'off';
  /** Its name; an existing directory has one of its own. */
  readonly site: string | undefined;
  /** The name for a new directory. */
  readonly defaultSite: string;
  readonly report: Reporter;
  /** The site can't go on: its storage failed, or nothing listens any more. */
  readonly failed: (error: Error) => void;
}

/**
 * Whatever listens beyond loopback needs a token, and TLS, or to be told that it goes without.
 * @throws EvertreeError CONFIGURATION_INVALID
 */
export function checkHttpAddress(configuration: SiteConfiguration, address: HostAndPort | 'off'): void {
  if (address === 'off' || isLoopback(address.host)) return;
  const problems: Problem[] = [];
  const { source, http } = configuration;
  const opens = `is missing, and --http ${formatAddress(address)} can be reached by others`;
  if (http.token === undefined) problems.push({ source, key: 'auth', message: `${opens}; add "auth": { "token-file": "…" }` });
  if (http.tls === undefined) {
    const remedy = 'add "tls": { "certificate": "…", "key": "…" } at the top or under "http", or "tls": "off" if the line is safe without';
    problems.push({ source, key: 'tls', message: `${opens}; ${remedy}` });
  }
  if (problems.length > 0) throw configurationError(problems);
}

/** A site of the program: a store, its producer or consumer, and HTTP. Each is closed in the opposite order of its start. */
export class RunningSite {
  readonly #stack: AsyncDisposableStack;

  private constructor(stack: AsyncDisposableStack) {
    this.#stack = stack;
  }

  static async start(options: RunningSiteOptions): Promise<RunningSite> {
    await using stack = new AsyncDisposableStack();
    const { configuration, report, role } = options;
    for (const message of configuration.notes) report({ level: 'info', event: 'configuration-note', message });
    const store = stack.use(
      await openStore({
        data: options.data,
        role,
        ...optional('site', options.site),
        defaultSite: options.defaultSite,
        journal: configuration.journal,
        limits: storeSettings(configuration),
        log: report,
      }),
    );
    stack.use(watchStore(store, options.failed));
    const peers = await startPeers(stack, store, options);
    await startListening(stack, store, options, peers);
    report({
      level: 'info',
      event: 'started',
      message: `${store.site} is a ${role} at ${formatPosition(store.position)}`,
      details: { version: VERSION, data: options.data, stream: store.stream },
    });
    return new RunningSite(stack.move());
  }

  async close(): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

interface Peers {
  readonly producer?: Producer;
  readonly consumer?: Consumer;
}

async function startPeers(stack: AsyncDisposableStack, store: Store, options: RunningSiteOptions): Promise<Peers> {
  const { configuration, report, failed } = options;
  if (configuration.kind === 'primary') return { producer: stack.use(await openProducer(store, configuration, failed)) };
  const consumer = stack.use(await openConsumer(store, configuration, failed));
  // A listener that failed, and tries again by itself, has said so.
  if (configuration.kind === 'netty-consumer' && consumer.state.lastError === null) {
    const { address, port, source } = configuration;
    const open = isLoopback(address) ? `; to be reached by others it needs "listening-address", "auth" and "tls" in ${source}` : '';
    report({ level: 'info', event: 'listening', message: `waits for its primary on ${formatAddress({ host: address, port })}${open}` });
  }
  if (configuration.kind === 'kafka-consumer') {
    const { topic, connection } = configuration;
    report({ level: 'info', event: 'reading', message: `follows the topic ${topic} at ${connection.brokers.join(', ')}` });
  }
  return { consumer };
}

async function startListening(stack: AsyncDisposableStack, store: Store, options: RunningSiteOptions, peers: Peers): Promise<void> {
  const { http, configuration, report } = options;
  if (http === 'off') return;
  const { tls, token, tlsOnLoopback } = configuration.http;
  const { limits } = configuration;
  const server = await startHttp({
    store,
    ...peers,
    site: store.site,
    address: http.host,
    port: http.port,
    ...optional('token', token),
    tls: isLoopback(http.host) && !tlsOnLoopback ? undefined : tls,
    limits: { ...optional('bodyBytes', limits.httpBodyBytes), ...optional('readyLagMs', limits.readyLagMs) },
    ...optional('acknowledgement', 'acknowledgement' in configuration ? configuration.acknowledgement : undefined),
    version: VERSION,
    report,
  });
  stack.defer(() => server.close());
  report({ level: 'info', event: 'http-listening', message: `HTTP on ${server.address}` });
}

/** A store whose storage failed for good has to be opened anew from what the disk holds: the process ends, and its supervisor starts it. */
function watchStore(store: Store, failed: (error: Error) => void): Disposable {
  return store.on('state', () => {
    if (store.state === 'failed') failed(store.stateReason ?? new Error('the storage failed'));
  });
}

function formatAddress({ host, port }: HostAndPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
