import { isIP } from 'node:net';
import type { Clock } from '@evertree/core';
import type { Connection, ConnectionOptions } from '@platformatic/kafka';
import type { KafkaConnection } from '../options.ts';
import type { Connections } from '../client/patience.ts';
import { ABANDONED, AUTHENTICATE_LIMIT_MS, CONNECT_LIMIT_MS, DEFAULT_CLIENT_ID, tlsOptions } from '../client/settings.ts';
import { Sockets } from '../client/sockets.ts';
import { unfitVersion } from '../client/failures.ts';
import { BrokerError } from '../broker.ts';
import type { Library } from './library.ts';
import { requestsOf } from './requests.ts';
import type { KafkaRequests } from './requests.ts';
import { Login } from './login.ts';

export interface NodeAddress {
  readonly host: string;
  readonly port: number;
}

export interface NodeOptions {
  readonly connection: KafkaConnection;
  /** What an answer may take, where the connection does not say (`request.timeout.ms`). */
  readonly answerMs: number;
  readonly clock: Clock | undefined;
}

/** What went wrong at a node; the cause is the library's, or Node's, error. */
class NodeError extends Error {
  readonly broker: string;
  /** Why the connection ended, if it did. */
  readonly errors: readonly unknown[];

  constructor(broker: string, cause: unknown, ended: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.broker = broker;
    this.errors = ended === undefined ? [] : [ended];
  }
}

interface Opened {
  readonly connection: Connection;
  /** Resolves when requests can be sent. */
  readonly ready: Promise<void>;
}

/**
 * The connections of one part to a cluster's nodes, one to each that it asks; one that broke is made again by the next
 * request. A node answers the requests of a connection one after the other.
 */
export class Nodes implements Connections {
  readonly requests: KafkaRequests;
  readonly #library: Library;
  readonly #clientId: string;
  readonly #options: ConnectionOptions;
  readonly #login: Login | undefined;
  /** By `host:port`. */
  readonly #opened = new Map<string, Opened>();
  /** Why a connection ended. */
  readonly #errors = new WeakMap<Connection, Error>();
  readonly #sockets = new Sockets();

  constructor(library: Library, { connection, answerMs, clock }: NodeOptions) {
    this.requests = requestsOf(library);
    this.#library = library;
    this.#clientId = connection.clientId ?? DEFAULT_CLIENT_ID;
    this.#login = connection.sasl && new Login(library, connection.sasl, clock);
    this.#options = {
      connectTimeout: connection.sasl === undefined ? CONNECT_LIMIT_MS : CONNECT_LIMIT_MS + AUTHENTICATE_LIMIT_MS,
      requestTimeout: connection.requestTimeoutMs ?? answerMs,
      ...(connection.tls === undefined ? {} : { tls: tlsOptions(connection.tls) }),
      ...(this.#login === undefined ? {} : { sasl: this.#login.options }),
    };
  }

  get receivedBytes(): number {
    return this.#sockets.receivedBytes;
  }

  /** @throws NodeError */
  async ask<T>(node: NodeAddress, request: (connection: Connection) => Promise<T>): Promise<T> {
    const address = `${node.host}:${node.port}`;
    const opened = this.#openedTo(node, address);
    try {
      await opened.ready;
    } catch (error) {
      if (this.#opened.get(address) === opened) this.#opened.delete(address);
      opened.connection.socket.destroy();
      throw new NodeError(address, error, this.#errors.get(opened.connection));
    }
    try {
      return await request(opened.connection);
    } catch (error) {
      throw new NodeError(address, error, this.#errors.get(opened.connection));
    }
  }

  abandon(): void {
    this.#sockets.abandon();
  }

  #openedTo(node: NodeAddress, address: string): Opened {
    if (this.#sockets.isAbandoned) throw new NodeError(address, new Error(ABANDONED), undefined);
    let opened = this.#opened.get(address);
    if (opened !== undefined && !this.#isUsable(opened.connection)) {
      opened.connection.socket.destroy();
      opened = undefined;
    }
    if (opened === undefined) {
      opened = this.#open(node);
      this.#opened.set(address, opened);
    }
    return opened;
  }

  #isUsable(connection: Connection): boolean {
    const { status } = connection;
    if (status === 'connecting' || status === 'authenticating') return true;
    return status === 'connected' && this.#login?.isOver(connection) !== true;
  }

  #open({ host, port }: NodeAddress): Opened {
    const isTls = this.#options.tls !== undefined;
    const connection = new this.#library.Connection(this.#clientId, {
      ...this.#options,
      ...(isTls && isIP(host) === 0 ? { tlsServerName: host } : {}),
    });
    // What waits for an answer is told only that the connection is closed.
    connection.on('error', error => void this.#errors.set(connection, error));
    const connected = new Promise<void>((resolve, reject) => {
      void connection.connect(host, port, error => (error ? reject(error) : resolve()));
    });
    this.#sockets.add(connection.socket);
    return { connection, ready: connected.then(() => this.#checkVersions(connection)) };
  }

  /** A broker closes a connection without a word over a version that it does not know. */
  async #checkVersions(connection: Connection): Promise<void> {
    const { apiKeys } = await this.#library.apiVersionsV1.api.async(connection, DEFAULT_CLIENT_ID, '');
    const known = new Map(apiKeys.map(api => [api.apiKey, api]));
    for (const [name, { key, version }] of Object.entries(this.requests)) {
      const { minVersion = -1, maxVersion = -1 } = known.get(key) ?? {};
      if (version >= minVersion && version <= maxVersion) continue;
      const { code, text, lasting } = unfitVersion(
        `it knows the request ${name} in the versions ${minVersion} to ${maxVersion}, not ${version}`,
      );
      throw new BrokerError(code, `the broker ${connection.host}:${connection.port}: ${text}`, { lasting });
    }
  }
}
