import type { Socket } from 'node:net';
import { EvertreeError } from '@evertree/core';
import type { Clock, CloseReason, Link, LinkEvents, Message, Reporter, Role } from '@evertree/core';
import type { WebSocket } from 'ws';
import { Delivery } from '../wire/delivery.ts';
import type { Ending } from '../wire/delivery.ts';
import { printable } from '../wire/schemas.ts';
import { closeCode, closeReason, fitExplanation } from './close-codes.ts';
import { Heartbeat } from '../wire/heartbeat.ts';
import { Inbox, VersionMismatch } from './inbox.ts';
import { encodeMessage } from './messages.ts';
import type { WireLimits } from './options.ts';
import { Outbox } from './outbox.ts';
import { MESSAGE_LIMIT_BYTES } from './parts.ts';

export interface LinkOptions {
  /** This end's role on the wire: the end that dialled is the primary. */
  readonly role: Role;
  /** The far end's address, for people. */
  readonly remote: string;
  /** The protocol's version that was agreed upon. */
  readonly version: number;
  readonly clock: Clock;
  readonly report: Reporter;
  readonly limits: WireLimits;
  /** A message came from the far end. `count`: how many so far, its hello among them. */
  readonly heard: (count: number) => void;
  /** The link is gone; called before the upper end hears of it. */
  readonly gone: () => void;
}

/** What RFC 6455 calls the end of a connection without a close frame. */
const NO_CLOSE_FRAME = 1006;

/**
 * A WebSocket as the seam's Link.
 *
 * Until `attach`, and while paused, the socket is not read. What had been read by then (one chunk of the socket, 64
 * KiB, and the message it completes) waits in `#delivery`. The wire never writes into received bytes again: they may be
 * kept, and they keep the chunk in memory that they came in.
 */
export class WebSocketLink implements Link {
  readonly remote: string;
  readonly #websocket: WebSocket;
  readonly #options: LinkOptions;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  readonly #heartbeat: Heartbeat;
  readonly #delivery: Delivery;
  /** Messages that have come, hello among them. */
  #messages = 0;
  #receivedBytes = 0;
  #lastSeen: number;
  /** What the socket said when it failed. */
  #fault: Error | undefined;
  #helloTimer: Disposable | undefined;
  /** Set once, when it is known that and why the link ends; nothing is sent, and no message is taken, from then on. */
  #ending: Ending | undefined;

  /** @param websocket open, in the turn of the event loop in which it opened */
  constructor(websocket: WebSocket, socket: Socket, options: LinkOptions) {
    this.remote = options.remote;
    this.#websocket = websocket;
    this.#options = options;
    this.#delivery = new Delivery(this, options.clock, options.report);
    this.#inbox = new Inbox(options.role, options.version);
    this.#outbox = new Outbox(websocket, socket, options.clock, options.limits, () => {
      if (this.#ending === undefined) this.#delivery.drained();
    });
    this.#lastSeen = options.clock.now();
    this.#heartbeat = new Heartbeat(options.clock, options.limits.heartbeatMs, {
      receivedBytes: () => this.#receivedBytes,
      reading: () => this.#delivery.flows,
      beat: () => this.#outbox.beat(),
      silent: () => this.#abort('silent', `nothing was heard from ${this.remote} for three heartbeats`),
    });
    this.#listen(socket);
    websocket.pause();
    this.#heartbeat.start();
  }

  get writable(): boolean {
    return this.#outbox.writable && this.#ending === undefined;
  }

  get sentBytes(): number {
    return this.#outbox.sentBytes;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  get lastSeen(): number {
    return this.#lastSeen;
  }

  attach(events: LinkEvents): void {
    this.#delivery.attach(events);
    this.#awaitHello();
    this.#readOn();
  }

  send(message: Message): void {
    if (this.#ending !== undefined) return;
    const { bufferedBytes, heartbeatMs } = this.#options.limits;
    const bytes = encodeMessage(message, heartbeatMs);
    if (bytes.length > MESSAGE_LIMIT_BYTES) {
      throw new EvertreeError('TOO_LARGE', `a ${message.type} of ${bytes.length} bytes; the wire takes ${MESSAGE_LIMIT_BYTES}`);
    }
    if (message.type === 'role' && message.message.kind === 'lend') this.#inbox.asked();
    const { waitingBytes } = this.#outbox;
    if (waitingBytes <= bufferedBytes) this.#outbox.send(bytes);
    else this.#abort('too-large', `${waitingBytes} bytes wait for ${this.remote}, which does not read; the limit is ${bufferedBytes}`);
  }

  pause(): void {
    this.#delivery.pause();
    if (this.#ending === undefined) this.#websocket.pause();
  }

  resume(): void {
    this.#delivery.resume();
    this.#readOn();
  }

  close(reason: CloseReason, explanation: string): void {
    if (this.#ending !== undefined) return;
    this.#outbox.flush();
    this.#websocket.close(closeCode(reason), fitExplanation(explanation));
    this.#end({ reason, explanation, byPeer: false });
  }

  #listen(socket: Socket): void {
    this.#websocket.on('message', (payload, binary) => this.#take(payload as Buffer, binary));
    this.#websocket.on('close', (code, reason) => this.#gone(code, reason));
    // The WebSocket library has answered what it found wrong with a close frame of its own.
    this.#websocket.on('error', error => this.#end({ reason: 'protocol-violation', explanation: error.message, byPeer: false }));
    socket.on('error', error => {
      this.#fault = error;
    });
    socket.on('data', (chunk: Buffer) => {
      this.#receivedBytes += chunk.length;
      this.#lastSeen = this.#options.clock.now();
    });
  }

  #take(payload: Buffer, binary: boolean): void {
    if (this.#ending !== undefined) return;
    let message: Message | undefined;
    try {
      message = this.#inbox.take(payload, binary);
    } catch (error) {
      const explanation = error instanceof Error ? error.message : String(error);
      this.close(error instanceof VersionMismatch ? 'protocol-unsupported' : 'protocol-violation', explanation);
      return;
    }
    if (message === undefined) return;
    if (message.type === 'hello') this.#greet();
    this.#messages += 1;
    this.#options.heard(this.#messages);
    if (this.#delivery.flows) this.#delivery.hand(message);
    else this.#delivery.post(message);
  }

  #greet(): void {
    this.#helloTimer?.[Symbol.dispose]();
    this.#heartbeat.sendEvery(this.#inbox.peerHeartbeatMs ?? this.#options.limits.heartbeatMs);
  }

  #awaitHello(): void {
    if (this.#inbox.greeted || this.#ending !== undefined) return;
    const { helloTimeoutMs } = this.#options.limits;
    this.#helloTimer = this.#options.clock.after(helloTimeoutMs, () => {
      if (!this.#delivery.flows) this.#awaitHello();
      else this.close('protocol-violation', `no hello from ${this.remote} within ${helloTimeoutMs} ms`);
    });
  }

  /** Reads the socket again, once what waits was handed up. */
  #readOn(): void {
    if (this.#delivery.flows) this.#websocket.resume();
    else void this.#delivery.flowing().then(() => this.#delivery.flows && this.#websocket.resume());
  }

  /** Sends the reason if the socket takes it at once, and drops the connection. */
  #abort(reason: CloseReason, explanation: string): void {
    this.close(reason, explanation);
    this.#websocket.terminate();
  }

  /** The link ends at this side: messages that wait are dropped. */
  #end(ending: Ending): void {
    this.#ending ??= ending;
    this.#delivery.drop();
    this.#stop();
    // The far end's answer to the close frame has to be read.
    this.#websocket.resume();
  }

  #stop(): void {
    this.#heartbeat.stop();
    this.#helloTimer?.[Symbol.dispose]();
  }

  /** The connection is gone. What came before is handed up first, also where nobody has attached yet. */
  #gone(code: number, reason: Buffer): void {
    this.#stop();
    this.#ending ??=
      code === NO_CLOSE_FRAME ? this.#broken() : { reason: closeReason(code), explanation: printable(reason.toString()), byPeer: true };
    this.#options.gone();
    this.#delivery.endNow(this.#ending);
  }

  #broken(): Ending {
    return { reason: 'lost', explanation: `the connection broke${this.#fault ? `: ${this.#fault.message}` : ''}`, byPeer: false };
  }
}
