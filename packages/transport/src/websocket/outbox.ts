import type { Socket } from 'node:net';
import type { Clock } from '@evertree/core';
import type { WebSocket } from 'ws';
import { HEARTBEAT } from './messages.ts';
import type { WireLimits } from './options.ts';
import { PAYLOAD_LIMIT_BYTES, splitMessage } from './parts.ts';

/** Corked bytes beyond which the socket is written to at once. */
const CORKED_BYTES = 64 * 1024;
const BINARY = { binary: true } as const;

/** Writes messages to a WebSocket, and counts what waits for a far end that reads slowly. */
export class Outbox {
  readonly #websocket: WebSocket;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #limits: WireLimits;
  readonly #drained: () => void;
  #writable = true;
  #corked = false;
  #wrote = false;

  /** @param drained `writable` is true again */
  constructor(websocket: WebSocket, socket: Socket, clock: Clock, limits: WireLimits, drained: () => void) {
    this.#websocket = websocket;
    this.#socket = socket;
    this.#clock = clock;
    this.#limits = limits;
    this.#drained = drained;
  }

  get writable(): boolean {
    return this.#writable;
  }

  /** Bytes that wait for the socket. */
  get waitingBytes(): number {
    return this.#websocket.bufferedAmount;
  }

  /** Bytes that the socket has taken, those of the upgrade among them. */
  get sentBytes(): number {
    return this.#socket.bytesWritten - this.#socket.writableLength;
  }

  /** @param message encoded, whole; in parts where it is long */
  send(message: Buffer): void {
    this.#cork();
    if (message.length <= PAYLOAD_LIMIT_BYTES) this.#write(message);
    else for (const part of splitMessage(message)) this.#write(part);
    if (this.#socket.writableLength >= CORKED_BYTES) this.flush();
    if (this.waitingBytes >= this.#limits.writableBytes) this.#writable = false;
  }

  /**
   * Sends a heartbeat if nothing was sent since the last call, and nothing waits that will be a sign of life itself.
   */
  beat(): void {
    if (!this.#wrote && this.waitingBytes === 0) this.#write(HEARTBEAT);
    this.#wrote = false;
  }

  /** Writes out what is corked. */
  flush(): void {
    if (!this.#corked) return;
    this.#corked = false;
    this.#socket.uncork();
  }

  #write(bytes: Buffer): void {
    this.#wrote = true;
    this.#websocket.send(bytes, BINARY, this.#written);
  }

  /**
   * Collects the small messages of a turn in one system call, also where each comes from a promise of its own: 0.7 to
   * 1.0 million messages of 200 bytes a second instead of 0.15, at the same round trip.
   */
  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.#socket.cork();
    this.#clock.soon(() => this.flush());
  }

  readonly #written = (): void => {
    if (this.#writable || this.waitingBytes > this.#limits.writableBytes / 2) return;
    this.#writable = true;
    this.#drained();
  };
}
