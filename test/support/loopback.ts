import { SITE } from '@evertree/core';
import type { Clock, CloseReason, Link, LinkEvents, Message, Random, Reporter, Transport, TransportEvents } from '@evertree/core';
import { handToHandler } from '../../packages/transport/src/wire/delivery.ts';
import { strictReport } from './reports.ts';

export interface LoopbackLimits {
  /** Bytes on the way to a far end that does not read: the sender is asked to wait. */
  readonly writableBytes: number;
  /** The same: the link is closed as too-large. */
  readonly bufferedBytes: number;
  readonly heartbeatMs: number;
}

/** Small, so that simulations meet them. */
const LIMITS: LoopbackLimits = { writableBytes: 64 * 1024, bufferedBytes: 1024 * 1024, heartbeatMs: 100 };
const RETRY_MS = 50;
const HEARTBEAT_BYTES = 1;

/** A network in memory: who listens at which address, and what happens to the messages between. */
export class Loopback {
  readonly clock: Clock;
  readonly random: Random;
  readonly report: Reporter;
  readonly limits: LoopbackLimits;
  readonly #listeners = new Map<string, Listener>();
  readonly #links = new Set<Pair>();
  /** The delay of each message is drawn from this range; order is kept. */
  delayMs: readonly [least: number, most: number] = [0, 1];
  /** Each direction of a link carries so much. */
  bytesPerSecond = Infinity;
  /** Whether new links come about. */
  up = true;
  /** What went over it, for tests to look at: every message, when it is delivered. */
  readonly watchers = new Set<(to: 'primary' | 'secondary', message: Message) => void>();

  constructor(host: { readonly clock: Clock; readonly random: Random; readonly report?: Reporter }, limits: Partial<LoopbackLimits> = {}) {
    this.clock = host.clock;
    this.random = host.random;
    this.report = host.report ?? strictReport;
    this.limits = { ...LIMITS, ...limits };
  }

  get links(): number {
    return this.#links.size;
  }

  /** The secondary's end. */
  listen(address: string): Transport {
    return new Listener(this, address);
  }

  /** The primary's end. */
  dial(addresses: readonly string[]): Transport {
    return new Dialler(this, addresses);
  }

  /** Breaks every link; what is on its way is lost from a random message on. */
  cut(): void {
    for (const pair of this.#links) pair.break('lost', 'the network was cut');
  }

  /** Nothing arrives any more over the present links, and neither end hears of it for three heartbeats. */
  halfOpen(): void {
    for (const pair of this.#links) pair.mute();
  }

  /** A second link from a dialler's address beside the one it has. */
  duplicate(dialler: Transport): void {
    (dialler as Dialler).dialAgain();
  }

  register(listener: Listener): void {
    if (this.#listeners.has(listener.address)) throw new Error(`${listener.address} is in use`);
    this.#listeners.set(listener.address, listener);
  }

  unregister(listener: Listener): void {
    if (this.#listeners.get(listener.address) === listener) this.#listeners.delete(listener.address);
  }

  connect(from: Dialler, address: string): Pair | undefined {
    const listener = this.#listeners.get(address);
    if (listener === undefined || !this.up) return undefined;
    const pair = new Pair(this, from, listener, address);
    this.#links.add(pair);
    return pair;
  }

  forget(pair: Pair): void {
    this.#links.delete(pair);
  }
}

class Dialler implements Transport {
  readonly farEnd = SITE;
  readonly remotes: readonly string[];
  readonly #network: Loopback;
  #events: TransportEvents | undefined;

  constructor(network: Loopback, remotes: readonly string[]) {
    this.#network = network;
    this.remotes = remotes;
  }

  open(events: TransportEvents): Promise<void> {
    this.#events = events;
    for (const remote of this.remotes) this.#dial(remote);
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#events = undefined;
    return closeAll(
      Array.from(this.pairs, pair => pair.primary),
      'the primary stops',
    );
  }

  /** Vanishes without a word, as a killed process does. */
  kill(): void {
    this.#events = undefined;
    for (const pair of this.pairs) pair.kill('primary');
  }

  readonly pairs = new Set<Pair>();

  dialAgain(): void {
    for (const remote of this.remotes) this.#connect(remote);
  }

  #dial(remote: string): void {
    if (this.#events === undefined) return;
    if (this.#connect(remote)) return;
    this.#events.failed(remote, new Error(`${remote} refuses`), RETRY_MS);
    this.redial(remote);
  }

  redial(remote: string): void {
    this.#network.clock.after(RETRY_MS, () => {
      if ([...this.pairs].every(pair => pair.address !== remote)) this.#dial(remote);
    });
  }

  #connect(remote: string): boolean {
    const pair = this.#events && this.#network.connect(this, remote);
    if (pair === undefined) return false;
    this.pairs.add(pair);
    this.#events?.link(pair.primary);
    pair.listener.events?.link(pair.secondary);
    return true;
  }
}

class Listener implements Transport {
  readonly farEnd = SITE;
  readonly remotes: readonly string[] = [];
  readonly address: string;
  readonly #network: Loopback;
  events: TransportEvents | undefined;
  readonly pairs = new Set<Pair>();

  constructor(network: Loopback, address: string) {
    this.#network = network;
    this.address = address;
  }

  open(events: TransportEvents): Promise<void> {
    this.#network.register(this);
    this.events = events;
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#network.unregister(this);
    this.events = undefined;
    return closeAll(
      Array.from(this.pairs, pair => pair.secondary),
      'the secondary stops',
    );
  }

  kill(): void {
    this.#network.unregister(this);
    this.events = undefined;
    for (const pair of this.pairs) pair.kill('secondary');
  }
}

/** Resolves when each of them was told of its end. */
async function closeAll(ends: readonly End[], explanation: string): Promise<void> {
  for (const end of ends) end.close('going-away', explanation);
  await Promise.all(ends.map(end => end.gone));
}

/** Ends an end of the loopback as SIGKILL would: the other end finds its link lost. */
export function kill(transport: Transport): void {
  (transport as Dialler | Listener).kill();
}

/** One link, seen from both ends. */
class Pair {
  readonly primary: End;
  readonly secondary: End;
  readonly address: string;
  readonly listener: Listener;
  readonly #network: Loopback;
  readonly #dialler: Dialler;
  /** When the network went silent, in `clock.now`; undefined: it carries. */
  mutedAtMs: number | undefined;

  constructor(network: Loopback, dialler: Dialler, listener: Listener, address: string) {
    this.#network = network;
    this.#dialler = dialler;
    this.listener = listener;
    this.address = address;
    this.primary = new End(network, this, 'primary', address);
    this.secondary = new End(network, this, 'secondary', `dialler of ${address}`);
    listener.pairs.add(this);
  }

  other(end: End): End {
    return end === this.primary ? this.secondary : this.primary;
  }

  break(reason: CloseReason, explanation: string): void {
    for (const end of [this.primary, this.secondary]) end.lose(reason, explanation);
  }

  mute(): void {
    const { clock, limits } = this.#network;
    this.mutedAtMs ??= clock.now();
    clock.after(3 * limits.heartbeatMs, () => this.break('silent', 'three heartbeats were missed'));
  }

  kill(side: 'primary' | 'secondary'): void {
    this[side].vanish();
    this.other(this[side]).lose('lost', 'the connection was reset');
  }

  ended(): void {
    if (this.secondary.over) this.listener.pairs.delete(this);
    if (this.primary.over && this.#dialler.pairs.delete(this)) this.#dialler.redial(this.address);
    if (this.primary.over && this.secondary.over) this.#network.forget(this);
  }
}

interface Ending {
  readonly reason: CloseReason;
  readonly explanation: string;
  readonly byPeer: boolean;
}

class End implements Link {
  readonly remote: string;
  readonly #network: Loopback;
  readonly #pair: Pair;
  readonly #side: 'primary' | 'secondary';
  #events: LinkEvents | undefined;
  /** Sent to this end and not delivered: messages that may be, and those still on their way. */
  readonly #arrived: (Message | Ending)[] = [];
  #underwayBytes = 0;
  #lastArrivalMs = 0;
  #paused = false;
  #blocked = false;
  /** Set when this end sends and takes nothing more. */
  #ending = false;
  over = false;
  readonly #gone = Promise.withResolvers<void>();
  /** Bytes that the far end was handed. */
  sentBytes = 0;
  #receivedBytes = 0;
  #lastMessageMs: number;
  readonly #bornMs: number;
  #endedMs: number | undefined;

  constructor(network: Loopback, pair: Pair, side: 'primary' | 'secondary', remote: string) {
    this.#network = network;
    this.#pair = pair;
    this.#side = side;
    this.remote = remote;
    this.#bornMs = network.clock.now();
    this.#lastMessageMs = this.#bornMs;
  }

  /** Resolves when it was told of its end, or its process is gone. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  get writable(): boolean {
    return !this.#ending && this.#pair.other(this).#underwayBytes < this.#network.limits.writableBytes;
  }

  get receivedBytes(): number {
    return this.#receivedBytes + this.#heartbeats * HEARTBEAT_BYTES;
  }

  get lastSeen(): number {
    return Math.max(this.#lastMessageMs, this.#bornMs + this.#heartbeats * this.#network.limits.heartbeatMs);
  }

  /** How many have come. They are counted, not sent: a simulation has better things to do with its timers. */
  get #heartbeats(): number {
    const { clock, limits } = this.#network;
    const untilMs = Math.min(this.#endedMs ?? Infinity, this.#pair.mutedAtMs ?? Infinity, clock.now());
    return Math.floor((untilMs - this.#bornMs) / limits.heartbeatMs);
  }

  attach(events: LinkEvents): void {
    this.#events = events;
    this.#network.clock.soon(() => this.#deliver());
  }

  send(message: Message): void {
    if (this.#ending) return;
    const other = this.#pair.other(this);
    if (other.#underwayBytes > this.#network.limits.bufferedBytes) {
      this.close('too-large', `${other.#underwayBytes} bytes wait for ${this.remote}`);
      return;
    }
    other.#take(message);
    if (!this.writable) this.#blocked = true;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#network.clock.soon(() => this.#deliver());
  }

  close(reason: CloseReason, explanation: string): void {
    if (this.#ending) return;
    this.#pair.other(this).#take({ reason, explanation, byPeer: true });
    this.lose(reason, explanation);
  }

  /** Hears that the link is gone; what had not been delivered is not. */
  lose(reason: CloseReason, explanation: string): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#network.clock.soon(() => this.#end({ reason, explanation, byPeer: false }));
  }

  /** Its process is gone: it hears nothing. */
  vanish(): void {
    this.#ending = true;
    this.#events = undefined;
    this.over = true;
    this.#gone.resolve();
    this.#pair.ended();
  }

  #take(item: Message | Ending): void {
    const { clock, random, delayMs, bytesPerSecond } = this.#network;
    const now = clock.monotonic();
    const beginsMs = Math.max(this.#lastArrivalMs, now + delayMs[0] + random.fraction() * (delayMs[1] - delayMs[0]));
    const atMs = beginsMs + (sizeOf(item) / bytesPerSecond) * 1000;
    this.#lastArrivalMs = atMs;
    this.#underwayBytes += sizeOf(item);
    clock.after(atMs - now, () => {
      if (this.#pair.mutedAtMs !== undefined || this.#ending) return;
      this.#arrived.push(item);
      this.#deliver();
    });
  }

  #deliver(): void {
    while (!this.#paused && !this.#ending && this.#events !== undefined) {
      const item = this.#arrived.shift();
      if (item === undefined) return;
      this.#underwayBytes -= sizeOf(item);
      if (!('type' in item)) {
        this.#ending = true;
        this.#end(item);
        return;
      }
      const other = this.#pair.other(this);
      this.#lastMessageMs = this.#network.clock.now();
      this.#receivedBytes += sizeOf(item);
      other.sentBytes += sizeOf(item);
      for (const watch of this.#network.watchers) watch(this.#side, item);
      handToHandler(this.#events, item, this, this.#network.report);
      other.#unblock();
    }
  }

  #unblock(): void {
    if (!this.#blocked || !this.writable) return;
    this.#blocked = false;
    this.#events?.drained();
  }

  #end(ending: Ending): void {
    if (this.over) return;
    this.over = true;
    this.#endedMs = this.#network.clock.now();
    this.#events?.closed(ending.reason, ending.explanation, ending.byPeer);
    this.#gone.resolve();
    this.#pair.ended();
  }
}

function sizeOf(item: Message | Ending): number {
  if (!('type' in item)) return 0;
  return item.type === 'frame' || item.type === 'snapshot-chunk' ? item.bytes.length : 100;
}
