import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { EvertreeError, formatAddress, isEvertreeError, isLoopback } from '@evertree/core';
import type { TransportEvents } from '@evertree/core';
import { WebSocket } from 'ws';
import { Backoff } from '../wire/backoff.ts';
import { dialFailure, refusedFailure } from './failures.ts';
import { printable } from '../wire/schemas.ts';
import { chooseVersion, offeredSubprotocols } from './handshake.ts';
import { WebSocketLink } from './link.ts';
import { websocketOptions } from './options.ts';
import type { DialOptions, Remote, WireLimits } from './options.ts';

/** A link that lasted so long resets the back-off, even if it carried nothing after hello. */
const LIVED_MS = 10_000;
/**
 * With its second message the far end has accepted this primary: it did not close the link after the primary's hello.
 */
const ACCEPTED_AT_MESSAGE = 2;
/**
 * The longest wait after a connection that the far end's machine refused at once, in intervals. That machine is up, and
 * as a rule a site that restarts there will listen soon; such an attempt costs each side one packet.
 */
const NOBODY_LISTENS_INTERVALS = 6;
/** How much of a refusal's body is read. */
const REFUSAL_LIMIT_BYTES = 1024;

/** One remote. Until it is closed there is an attempt, a link or a wait for the next attempt, one at a time. */
export class Dial {
  readonly remote: string;
  readonly #address: string;
  readonly #url: string;
  readonly #options: DialOptions;
  readonly #limits: WireLimits;
  readonly #backoff: Backoff;
  #wait: Disposable | undefined;
  #attempt: WebSocket | undefined;
  #link: WebSocketLink | undefined;
  #closed = false;
  readonly #idle = Promise.withResolvers<void>();

  constructor(remote: Remote, options: DialOptions, limits: WireLimits) {
    this.remote = formatAddress(remote.address, remote.port);
    this.#address = remote.address;
    this.#url = `${options.tls ? 'wss' : 'ws'}://${this.remote}/`;
    this.#options = options;
    this.#limits = limits;
    this.#backoff = new Backoff(options.retryIntervalMs, options.random);
  }

  /** @throws EvertreeError CONFIGURATION_INVALID */
  checkUrl(): void {
    if (URL.canParse(this.#url)) return;
    throw new EvertreeError('CONFIGURATION_INVALID', `${this.remote} is no address and port; mend consumer-address and consumer-port`);
  }

  /** Makes an attempt; its failure, or the end of its link, leads to the next one. */
  start(events: TransportEvents): void {
    let failure: Error | undefined;
    let socket: Socket | undefined;
    const websocket = this.#connect();
    this.#attempt = websocket;
    const { handshakeTimeoutMs } = this.#limits;
    const deadline = this.#options.clock.after(handshakeTimeoutMs, () => {
      failure ??= dialFailure(this.remote, new Error(`no answer within ${handshakeTimeoutMs} ms`));
      websocket.terminate();
    });
    websocket.on('upgrade', response => {
      socket = response.socket;
    });
    websocket.on('unexpected-response', (_, response) => {
      readSentence(response, sentence => {
        failure ??= refusedFailure(this.remote, response.statusCode ?? 0, sentence);
        websocket.terminate();
      });
    });
    websocket.on('error', error => {
      failure ??= dialFailure(this.remote, error);
    });
    websocket.on('open', () => {
      deadline[Symbol.dispose]();
      if (socket !== undefined) this.#opened(events, websocket, socket);
    });
    websocket.on('close', () => {
      deadline[Symbol.dispose]();
      if (this.#attempt === websocket) this.#failed(events, failure ?? dialFailure(this.remote, new Error('it closed the connection')));
    });
  }

  /** Resolves when the link or the attempt is gone. */
  close(why = 'the primary stops'): Promise<void> {
    this.#closed = true;
    this.#wait?.[Symbol.dispose]();
    this.#link?.close('going-away', why);
    this.#attempt?.terminate();
    if (this.#link === undefined && this.#attempt === undefined) this.#idle.resolve();
    return this.#idle.promise;
  }

  #connect(): WebSocket {
    const { token, tls } = this.#options;
    return new WebSocket(this.#url, offeredSubprotocols(), {
      ...websocketOptions(this.#limits),
      followRedirects: false,
      ...(tls !== undefined || isLoopback(this.#address) ? { generateMask: noMask } : {}),
      ...(token === undefined ? {} : { headers: { Authorization: `Bearer ${token}` } }),
      ...(tls?.authority === undefined ? {} : { ca: tls.authority }),
    });
  }

  #opened(events: TransportEvents, websocket: WebSocket, socket: Socket): void {
    const { clock, report } = this.#options;
    this.#attempt = undefined;
    const lived = clock.after(LIVED_MS, () => this.#backoff.reset());
    const link = new WebSocketLink(websocket, socket, {
      role: 'primary',
      remote: this.remote,
      version: chooseVersion([websocket.protocol]) ?? 0,
      clock,
      report,
      limits: this.#limits,
      heard: count => {
        if (count === ACCEPTED_AT_MESSAGE) this.#backoff.reset();
      },
      gone: () => {
        lived[Symbol.dispose]();
        this.#link = undefined;
        this.#again(events);
      },
    });
    this.#link = link;
    events.link(link);
  }

  #failed(events: TransportEvents, failure: Error): void {
    this.#attempt = undefined;
    const nobodyListens = isEvertreeError(failure) && failure.details['reason'] === 'ECONNREFUSED';
    const retryInMs = this.#again(events, nobodyListens ? NOBODY_LISTENS_INTERVALS : undefined);
    if (retryInMs !== undefined) events.failed(this.remote, failure, retryInMs);
  }

  /** Plans the next attempt; returns the wait, or undefined when this end is closed. */
  #again(events: TransportEvents, mostIntervals?: number): number | undefined {
    if (this.#closed) {
      this.#idle.resolve();
      return undefined;
    }
    const waitMs = this.#backoff.next(mostIntervals);
    this.#wait = this.#options.clock.after(waitMs, () => this.start(events));
    return waitMs;
  }
}

/**
 * Masking protects intermediaries from bytes that a script in a browser may choose. It costs more than everything else
 * on the way of a message. Where no intermediary can see the bytes the key is zero: that masks nothing, and both
 * WebSocket ends skip the work.
 */
function noMask(key: Buffer): void {
  key.fill(0);
}

/** Reads the first line of a refusal, printable. */
function readSentence(response: IncomingMessage, done: (sentence: string) => void): void {
  let text = '';
  response.setEncoding('utf8');
  response.on('data', (piece: string) => {
    text += piece;
    if (text.length > REFUSAL_LIMIT_BYTES) response.destroy();
  });
  response.on('error', () => undefined);
  response.on('close', () => done(printable(text.slice(0, REFUSAL_LIMIT_BYTES).split('\n')[0] ?? '')));
}
