import { SITE } from '@evertree/core';
import type { Clock, CloseReason, Link, LinkEvents, Message, Random, Transport, TransportEvents } from '@evertree/core';

/** Bytes on the way to a far end that does not read: the sender is asked to wait. */
const WRITABLE_BYTES = 64 * 1024;
/** The same: the link is closed as too-large. */
const LIMIT_BYTES = 1024 * 1024;
const RETRY_MS = 50;
const HEARTBEAT_MS = 100;

/** A network in memory: who listens at which address, and what happens to the messages between. */
export class Loopback {
  readonly clock: Clock;
  readonly random: Random;
  readonly #listeners = new Map<string, Listener>();
  readonly #links = new Set<Pair>();
  /** Each message takes between these, drawn anew; order is kept. */
  delayMs: readonly [least: number, most: number] = [0, 1];
  /** Whether new links come about. */
  up = true;
  /** What went over it, for tests to look at: every message, when it is delivered. */
  readonly watchers = new Set<(to: 'primary' | 'secondary', message: Message) => void>();

  constructor(host: { readonly clock: Clock; readonly random: Random }) {
    this.clock = host.clock;
    this.random = host.random;
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
    for (const pair of this.pairs) pair.primary.close('going-away', 'the primary stops');
    return Promise.resolve();
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
    for (const pair of this.pairs) pair.secondary.close('going-away', 'the secondary stops');
    return Promise.resolve();
  }

  kill(): void {
    this.#network.unregister(this);
    this.events = undefined;
    for (const pair of this.pairs) pair.kill('secondary');
  }
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
  muted = false;

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
    this.muted = true;
    this.#network.clock.after(3 * HEARTBEAT_MS, () => this.break('silent', 'three heartbeats were missed'));
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
  sentBytes = 0;
  receivedBytes = 0;
  lastSeen: number;

  constructor(network: Loopback, pair: Pair, side: 'primary' | 'secondary', remote: string) {
    this.#network = network;
    this.#pair = pair;
    this.#side = side;
    this.remote = remote;
    this.lastSeen = network.clock.now();
  }

  get writable(): boolean {
    return !this.#ending && this.#pair.other(this).#underwayBytes < WRITABLE_BYTES;
  }

  attach(events: LinkEvents): void {
    this.#events = events;
    this.#network.clock.soon(() => this.#deliver());
  }

  send(message: Message): void {
    if (this.#ending) return;
    const other = this.#pair.other(this);
    this.sentBytes += sizeOf(message);
    if (other.#underwayBytes > LIMIT_BYTES) {
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
    this.#pair.ended();
  }

  #take(item: Message | Ending): void {
    const { clock, random, delayMs } = this.#network;
    const now = clock.monotonic();
    const atMs = Math.max(this.#lastArrivalMs, now + delayMs[0] + random.fraction() * (delayMs[1] - delayMs[0]));
    this.#lastArrivalMs = atMs;
    this.#underwayBytes += sizeOf(item);
    clock.after(atMs - now, () => {
      if (this.#pair.muted || this.#ending) return;
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
      this.lastSeen = this.#network.clock.now();
      this.receivedBytes += sizeOf(item);
      for (const watch of this.#network.watchers) watch(this.#side, item);
      this.#events.message(item);
      this.#pair.other(this).#unblock();
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
    this.#events?.closed(ending.reason, ending.explanation, ending.byPeer);
    this.#pair.ended();
  }
}

function sizeOf(item: Message | Ending): number {
  if (!('type' in item)) return 0;
  return item.type === 'frame' || item.type === 'snapshot-chunk' ? item.bytes.length : 100;
}
