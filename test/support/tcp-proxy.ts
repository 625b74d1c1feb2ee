import { once } from 'node:events';
import net from 'node:net';

/** What a bad network does to the bytes between two processes. Stands between them on a port of its own. */
export interface TcpProxy extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** Connections open now, and ever taken. */
  readonly connections: number;
  readonly accepted: number;
  /** Bytes forwarded so far, both directions together. */
  readonly forwardedBytes: number;
  /** Pieces of bytes that either end has sent so far, whether they were forwarded or not. */
  readonly pieces: number;
  /** Where new connections lead. Present ones stay. */
  setTarget(target: Target): void;
  /** Every byte arrives this much later. 0: at once. */
  setDelay(delayMs: number): void;
  /**
   * At most so many bytes a second, each direction and connection; undefined: as fast as it goes; 0: nothing until the
   * next call.
   */
  setRate(bytesPerSecond: number | undefined): void;
  /** What happens to new connections: forwarded, closed at once, or taken and never answered. Present ones stay. */
  setAccepting(mode: 'forward' | 'refuse' | 'silent'): void;
  /** Resets the present connections, towards both ends. New ones work. */
  cut(): void;
  /** Resets the present connections once so many further bytes were forwarded, wherever in a message that is. */
  cutAfter(bytes: number): void;
  /**
   * The present connections become half-open: what either end sends vanishes, and neither hears that the other closed.
   * New connections work.
   */
  halfOpen(): void;
  close(): Promise<void>;
}

export interface Target {
  readonly host?: string;
  readonly port: number;
}

/** Bytes a direction may hold back before it stops reading. */
const HELD_LIMIT_BYTES = 256 * 1024;
/** A throttled direction forwards in slices of this share of a second. */
const SLICE_SECONDS = 0.02;

interface Network {
  delayMs: number;
  bytesPerSecond: number | undefined;
  /** How many pieces of bytes have come from either end. */
  pieces: number;
  /** Called with what a direction is about to forward; how much of it may pass. */
  passes(bytes: number): number;
}

/** Starts a proxy on a port of 127.0.0.1 (0: any free one). */
export async function startTcpProxy(target: Target, options: { readonly port?: number } = {}): Promise<TcpProxy> {
  const proxy = new Proxy(target);
  await proxy.listen(options.port ?? 0);
  return proxy;
}

class Proxy implements TcpProxy, Network {
  readonly host = '127.0.0.1';
  accepted = 0;
  forwardedBytes = 0;
  pieces = 0;
  delayMs = 0;
  bytesPerSecond: number | undefined;
  #target: Target;
  #accepting: 'forward' | 'refuse' | 'silent' = 'forward';
  #cutAt = Infinity;
  readonly #pairs = new Set<Pair>();
  readonly #silent = new Set<net.Socket>();
  readonly #server: net.Server;

  constructor(target: Target) {
    this.#target = target;
    this.#server = net.createServer({ allowHalfOpen: true }, socket => this.#accept(socket));
  }

  async listen(port: number): Promise<void> {
    this.#server.listen(port, this.host);
    await once(this.#server, 'listening');
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  setTarget(target: Target): void {
    this.#target = target;
  }

  setDelay(delayMs: number): void {
    this.delayMs = delayMs;
  }

  setRate(bytesPerSecond: number | undefined): void {
    this.bytesPerSecond = bytesPerSecond;
    for (const pair of this.#pairs) pair.wake();
  }

  setAccepting(mode: 'forward' | 'refuse' | 'silent'): void {
    this.#accepting = mode;
  }

  cut(): void {
    this.#cutAt = Infinity;
    for (const pair of this.#pairs) pair.reset();
  }

  cutAfter(bytes: number): void {
    this.#cutAt = this.forwardedBytes + bytes;
  }

  halfOpen(): void {
    for (const pair of this.#pairs) pair.silence();
  }

  passes(bytes: number): number {
    const passing = Math.min(bytes, this.#cutAt - this.forwardedBytes);
    this.forwardedBytes += passing;
    if (this.forwardedBytes >= this.#cutAt) setImmediate(() => this.cut());
    return passing;
  }

  async close(): Promise<void> {
    this.cut();
    for (const socket of this.#silent) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #accept(client: net.Socket): void {
    this.accepted += 1;
    if (this.#accepting === 'refuse') {
      client.resetAndDestroy();
    } else if (this.#accepting === 'silent') {
      this.#silent.add(client);
      client.on('error', () => client.destroy());
      client.on('close', () => this.#silent.delete(client));
      client.on('data', () => (this.pieces += 1));
    } else {
      const server = net.connect({ host: this.#target.host ?? '127.0.0.1', port: this.#target.port, allowHalfOpen: true });
      const pair = new Pair(client, server, this, () => this.#pairs.delete(pair));
      this.#pairs.add(pair);
    }
  }
}

/** One connection through the proxy: a socket to each end, a direction each way. */
class Pair {
  readonly #sockets: readonly [net.Socket, net.Socket];
  readonly #directions: readonly [Direction, Direction];
  #silent = false;

  constructor(client: net.Socket, server: net.Socket, network: Network, gone: () => void) {
    this.#sockets = [client, server];
    this.#directions = [new Direction(client, server, network), new Direction(server, client, network)];
    for (const socket of this.#sockets) {
      socket.setNoDelay(true);
      socket.on('error', () => this.#lost());
      socket.on('close', () => {
        // A half-open connection stays open for the other end.
        if (!this.#silent) this.#lost();
        if (this.#sockets.every(each => each.destroyed)) gone();
      });
    }
  }

  wake(): void {
    for (const direction of this.#directions) direction.wake();
  }

  silence(): void {
    this.#silent = true;
    for (const direction of this.#directions) direction.silence();
  }

  reset(): void {
    this.silence();
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** An end failed: so does the other, unless the network is silent about it. */
  #lost(): void {
    if (this.#silent) return;
    for (const direction of this.#directions) direction.abandon();
  }
}

interface Held {
  readonly bytes: Buffer;
  readonly due: number;
}

class Direction {
  readonly #from: net.Socket;
  readonly #to: net.Socket;
  readonly #network: Network;
  readonly #held: Held[] = [];
  #heldBytes = 0;
  /** When the last byte forwarded, or to be forwarded next, may pass at the given rate. */
  #freeAt = 0;
  #ended = false;
  #blocked = false;
  #silent = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: net.Socket, to: net.Socket, network: Network) {
    this.#from = from;
    this.#to = to;
    this.#network = network;
    from.on('data', bytes => this.#take(bytes));
    from.on('end', () => {
      this.#ended = true;
      this.#forward();
    });
    to.on('drain', () => {
      this.#blocked = false;
      this.#forward();
    });
  }

  wake(): void {
    this.#freeAt = 0;
    this.#forward();
  }

  silence(): void {
    this.#silent = true;
    clearTimeout(this.#timer);
    this.#held.length = 0;
    this.#heldBytes = 0;
    this.#from.resume();
  }

  /** The source is gone: what it sent before still arrives, then the far socket is closed. */
  abandon(): void {
    this.#ended = true;
    this.#forward();
    if (this.#from.destroyed && this.#held.length === 0) this.#to.destroySoon();
  }

  #take(bytes: Buffer): void {
    this.#network.pieces += 1;
    if (this.#silent) return;
    this.#held.push({ bytes, due: performance.now() + this.#network.delayMs });
    this.#heldBytes += bytes.length;
    if (this.#heldBytes >= HELD_LIMIT_BYTES) this.#from.pause();
    this.#forward();
  }

  #forward(): void {
    if (this.#silent || this.#blocked) return;
    clearTimeout(this.#timer);
    for (let head = this.#held[0]; head !== undefined && !this.#blocked; head = this.#held[0]) {
      const rate = this.#network.bytesPerSecond;
      if (rate === 0) return;
      const waitMs = Math.max(head.due, rate === undefined ? 0 : this.#freeAt) - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#forward(), waitMs);
        return;
      }
      this.#write(head, rate);
    }
    if (this.#ended && this.#held.length === 0 && !this.#to.writableEnded) this.#to.end();
  }

  #write(head: Held, rate: number | undefined): void {
    const slice = rate === undefined ? head.bytes : head.bytes.subarray(0, Math.max(1, Math.floor(rate * SLICE_SECONDS)));
    if (slice.length === head.bytes.length) this.#held.shift();
    else this.#held[0] = { bytes: head.bytes.subarray(slice.length), due: head.due };
    this.#heldBytes -= slice.length;
    if (rate !== undefined) this.#freeAt = Math.max(this.#freeAt, performance.now()) + (slice.length / rate) * 1000;
    const passing = this.#network.passes(slice.length);
    if (passing > 0 && !this.#to.destroyed) this.#blocked = !this.#to.write(slice.subarray(0, passing));
    if (this.#heldBytes < HELD_LIMIT_BYTES) this.#from.resume();
  }
}
