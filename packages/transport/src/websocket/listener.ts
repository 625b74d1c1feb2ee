import { createSecureContext } from 'node:tls';
import { EvertreeError, SITE, formatAddress } from '@evertree/core';
import type { Transport, TransportEvents } from '@evertree/core';
import { Backoff } from '../wire/backoff.ts';
import { listenFailure } from './failures.ts';
import { WebSocketLink } from './link.ts';
import { checkToken, resolveLimits } from './options.ts';
import type { ListenOptions, WireLimits } from './options.ts';
import { PendingConnections } from './pending.ts';
import { UpgradeServer } from './upgrade-server.ts';
import type { Upgraded } from './upgrade-server.ts';

export interface ListenTransport extends Transport {
  /** The port that is bound; before that, the configured one. */
  readonly port: number;
}

const DEFAULT_ADDRESS = '127.0.0.1';
const DEFAULT_RETRY_INTERVAL_MS = 1_000;

/**
 * The consumer's end. It listens until it is closed, and accepts every connection that opens as PROTOCOL.md says.
 *
 * Where the port can't be bound, `open` rejects with UNREACHABLE; with `autoRestart` it tells `failed`, resolves, and
 * tries again. A listener that fails later tells `failed`: with `autoRestart` it binds again; without it `retryInMs` is
 * Infinity, and it listens no more. Open links stay in both cases. `open` rejects with CONFIGURATION_INVALID for a
 * certificate or key that can't be used.
 * @throws EvertreeError CONFIGURATION_INVALID for limits and token
 */
export function listenTransport(options: ListenOptions): ListenTransport {
  checkToken(options.token);
  for (const { secret } of options.tokens ?? []) checkToken(secret);
  return new Listener(options, resolveLimits(options.limits));
}

class Listener implements ListenTransport {
  readonly remotes: readonly string[] = [];
  readonly farEnd = SITE;
  readonly #options: ListenOptions;
  readonly #limits: WireLimits;
  readonly #backoff: Backoff;
  readonly #pending: PendingConnections;
  readonly #links = new Set<WebSocketLink>();
  #port: number;
  #server: UpgradeServer | undefined;
  #wait: Disposable | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: ListenOptions, limits: WireLimits) {
    this.#options = options;
    this.#limits = limits;
    this.#port = options.port;
    this.#backoff = new Backoff(options.retryIntervalMs ?? DEFAULT_RETRY_INTERVAL_MS, options.random);
    this.#pending = new PendingConnections(options.clock, limits.pendingConnections);
  }

  get port(): number {
    return this.#port;
  }

  async open(events: TransportEvents): Promise<void> {
    this.#checkCertificate();
    try {
      await this.#bind(events);
    } catch (error) {
      const failure = listenFailure(this.#address, error as Error);
      if (this.#options.autoRestart !== true) throw failure;
      this.#failed(events, failure);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  get #address(): string {
    return formatAddress(this.#options.address ?? DEFAULT_ADDRESS, this.#port);
  }

  async #bind(events: TransportEvents): Promise<void> {
    const server = new UpgradeServer(this.#options, this.#limits, this.#pending, upgraded => this.#take(events, upgraded));
    await server.bind(this.#options.address ?? DEFAULT_ADDRESS, this.#port, error => {
      this.#server = undefined;
      this.#failed(events, listenFailure(this.#address, error));
    });
    this.#server = server;
    this.#port = server.port;
    this.#backoff.reset();
    if (this.#closing !== undefined) await server.close();
  }

  #failed(events: TransportEvents, failure: EvertreeError): void {
    if (this.#closing !== undefined) return;
    if (this.#options.autoRestart !== true) {
      events.failed(this.#address, failure, Infinity);
      return;
    }
    const retryInMs = this.#backoff.next();
    this.#wait = this.#options.clock.after(retryInMs, () => {
      this.#bind(events).catch((error: unknown) => this.#failed(events, listenFailure(this.#address, error as Error)));
    });
    events.failed(this.#address, failure, retryInMs);
  }

  #take(events: TransportEvents, { websocket, socket, remote, version }: Upgraded): void {
    const link = new WebSocketLink(websocket, socket, {
      role: 'secondary',
      remote,
      version,
      clock: this.#options.clock,
      report: this.#options.report,
      limits: this.#limits,
      heard: count => {
        if (count === 1) this.#pending.delete(remote);
      },
      gone: () => {
        this.#pending.delete(remote);
        this.#links.delete(link);
      },
    });
    this.#links.add(link);
    this.#pending.progress(remote, why => link.close('refused', why));
    events.link(link);
  }

  async #close(): Promise<void> {
    this.#wait?.[Symbol.dispose]();
    for (const link of this.#links) link.close('going-away', 'the secondary stops');
    this.#pending.clear('the secondary stops');
    await this.#server?.close();
  }

  #checkCertificate(): void {
    const { tls } = this.#options;
    if (tls === undefined) return;
    try {
      createSecureContext({ cert: tls.certificate, key: tls.key });
    } catch (cause) {
      throw new EvertreeError('CONFIGURATION_INVALID', `tls.certificate and tls.key can't be used: ${(cause as Error).message}`, {}, cause);
    }
  }
}
