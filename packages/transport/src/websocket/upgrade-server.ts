import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as HttpsServer, createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { BoundedReports, formatAddress, presentTokens } from '@evertree/core';
import type { BearerTokens, Report } from '@evertree/core';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { answerRefusal, chooseVersion, refuseUpgrade } from './handshake.ts';
import { websocketOptions } from './options.ts';
import type { ListenOptions, WireLimits } from './options.ts';
import type { PendingConnections } from './pending.ts';

// An `import` of node:http reads all that it exports, and one export of it loads Node's fetch: some 17 ms at each start.
// oxlint-disable-next-line no-restricted-globals -- loads a module, and says nothing for the process
const { createServer: createHttpServer, STATUS_CODES } = process.getBuiltinModule('node:http');

/** A request is one line and a few headers; the token is at most 4 KiB of them. */
const HEADER_LIMIT_BYTES = 16 * 1024;

export interface Upgraded {
  readonly websocket: WebSocket;
  readonly socket: Socket;
  /** The far end's address and port: its name in logs, and among the pending connections. */
  readonly remote: string;
  readonly version: number;
}

/**
 * One bound port. It answers requests that are no upgrade, refuses upgrades as PROTOCOL.md says, and hands over the
 * others.
 */
export class UpgradeServer {
  readonly #options: ListenOptions;
  readonly #tokens: () => BearerTokens | undefined;
  readonly #limits: WireLimits;
  readonly #pending: PendingConnections;
  readonly #server: Server;
  readonly #upgrader: WebSocketServer;
  readonly #upgraded: (upgraded: Upgraded) => void;
  readonly #refusals: BoundedReports;

  constructor(options: ListenOptions, limits: WireLimits, pending: PendingConnections, upgraded: (upgraded: Upgraded) => void) {
    this.#options = options;
    this.#tokens = presentTokens(options);
    this.#limits = limits;
    this.#pending = pending;
    this.#upgraded = upgraded;
    this.#refusals = new BoundedReports(options.clock, options.report, manyRefused);
    this.#server = createServer(options);
    this.#upgrader = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      ...websocketOptions(limits),
      handleProtocols: offered => `evertree.${chooseVersion(offered)}`,
    });
    this.#serve();
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /**
   * Resolves when the port is bound; rejects with Node's error.
   * @param failed the server failed later, and has stopped
   */
  bind(address: string, port: number, failed: (error: Error) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host: address, port, exclusive: true }, () => {
        this.#server.off('error', reject);
        this.#server.once('error', error => {
          this.#server.close();
          failed(error);
        });
        resolve();
      });
    });
  }

  /** Resolves when the last connection is gone, links included. */
  close(): Promise<void> {
    this.#refusals[Symbol.dispose]();
    return new Promise(resolve => {
      this.#server.close(() => resolve());
    });
  }

  #serve(): void {
    if (this.#server instanceof HttpsServer) this.#renewCertificate(this.#server);
    this.#server.on('connection', (socket: Socket) => {
      const remote = remoteOf(socket);
      this.#pending.add(remote, this.#limits.handshakeTimeoutMs, why => {
        this.#refused(remote, why);
        socket.destroy();
      });
      socket.on('close', () => this.#pending.delete(remote));
    });
    this.#server.on('request', (_, response: ServerResponse) => {
      response.writeHead(426, { Connection: 'close', 'Content-Type': 'text/plain; charset=utf-8' });
      response.end('this port speaks the Evertree protocol over WebSocket\n');
    });
    this.#server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => this.#upgrade(request, socket, head));
    // Node emits `clientError` for these, too. Its own listener does so, and this one runs before it.
    const withoutTls = new WeakSet<Socket>();
    this.#server.prependListener('tlsClientError', (error: Error & { readonly reason?: string }, socket: Socket) => {
      withoutTls.add(socket);
      // OpenSSL's message is a line of its own sources; its reason is a word or two.
      this.#refused(remoteOf(socket), `TLS failed (${error.reason ?? error.message})`);
      socket.destroy();
    });
    this.#server.on('clientError', (error: Error, socket: Socket) => {
      if (withoutTls.has(socket)) return;
      this.#refused(remoteOf(socket), `what it sent is not HTTP (${error.message})`);
      answerRefusal(socket, { status: '400 Bad Request', sentence: STATUS_CODES[400] ?? '' });
    });
  }

  /** Each new connection gets the certificate that there is by then; those that are open keep theirs. */
  #renewCertificate(server: HttpsServer): void {
    let known = this.#options.tls;
    // Before the listener of Node, which begins the handshake.
    server.prependListener('connection', () => {
      const { tls } = this.#options;
      if (tls === undefined || (tls.certificate === known?.certificate && tls.key === known.key)) return;
      known = tls;
      server.setSecureContext({ cert: tls.certificate, key: tls.key });
    });
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const remote = remoteOf(socket);
    const refusal = refuseUpgrade(request, this.#tokens());
    if (refusal !== undefined) {
      this.#refused(remote, refusal.sentence);
      answerRefusal(socket, refusal);
      return;
    }
    this.#upgrader.handleUpgrade(request, socket, head, websocket => {
      this.#upgraded({ websocket, socket, remote, version: chooseVersion([websocket.protocol]) ?? 0 });
    });
  }

  #refused(remote: string, why: string): void {
    this.#refusals.tell({
      level: 'warn',
      event: 'connection-refused',
      message: `refused a connection from ${remote}: ${why}`,
      details: { remote },
    });
  }
}

function manyRefused(count: number, seconds: number): Report {
  return {
    level: 'warn',
    event: 'connection-refused',
    message: `refused ${count} more connections within ${seconds} s`,
    details: { count },
  };
}

function createServer(options: ListenOptions): Server {
  if (options.tls === undefined) return createHttpServer({ maxHeaderSize: HEADER_LIMIT_BYTES });
  return createHttpsServer({ maxHeaderSize: HEADER_LIMIT_BYTES, cert: options.tls.certificate, key: options.tls.key });
}

function remoteOf(socket: Socket): string {
  return formatAddress((socket.remoteAddress ?? 'unknown').replace(/^::ffff:/, ''), socket.remotePort ?? 0);
}
