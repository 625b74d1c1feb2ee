import type { CloseReason, Link, LinkEvents, Message } from '@evertree/core';
import { handToHandler } from '../../packages/transport/src/wire/delivery.ts';
import type { SimulatedProcess } from './machine.ts';
import type { Paths } from './paths.ts';

const HEARTBEAT_MS = 30;
/** After so long without a byte an end gives its link up. */
const SILENCE_MS = 3 * HEARTBEAT_MS;
/** Bytes on the way to a far end that does not read: the sender is asked to wait. */
const WRITABLE_BYTES = 16 * 1024;

interface LinkEnding {
  readonly reason: CloseReason;
  readonly explanation: string;
}

/** Whose an end is: it is told when the end is over. */
interface EndOwner {
  readonly process: SimulatedProcess;
  ended(end: LinkEnd): void;
}

interface Parcel {
  readonly atMs: number;
  readonly item: Message | LinkEnding;
}

/** One link. Its ends learn of its end each by itself: until then one may be open while the other is not. */
export class SimulatedLink {
  readonly paths: Paths;
  readonly dialled: LinkEnd;
  readonly accepted: LinkEnd;
  /** Nothing arrives over it any more. */
  muted = false;
  readonly #dialler: EndOwner & { dialAgain(remote: string): void };

  /** @param links all that are open: it is one of them until both ends are over */
  constructor(paths: Paths, links: Set<SimulatedLink>, dialler: EndOwner & { dialAgain(remote: string): void }, listener: EndOwner) {
    this.paths = paths;
    this.#dialler = dialler;
    this.dialled = new LinkEnd(this, dialler.process, listener.process);
    this.accepted = new LinkEnd(this, listener.process, dialler.process);
    links.add(this);
    this.pathChanged();
    const ended = (owner: EndOwner, end: LinkEnd) => {
      owner.ended(end);
      if (this.dialled.isOver && this.accepted.isOver) links.delete(this);
    };
    void this.dialled.gone.then(() => ended(dialler, this.dialled));
    void this.accepted.gone.then(() => ended(listener, this.accepted));
  }

  other(end: LinkEnd): LinkEnd {
    return end === this.dialled ? this.accepted : this.dialled;
  }

  break(): void {
    for (const end of [this.dialled, this.accepted]) end.loseSoon('lost', 'the network broke this link');
  }

  mute(): void {
    this.muted = true;
    this.pathChanged();
  }

  pathChanged(): void {
    for (const end of [this.dialled, this.accepted]) end.pathChanged();
  }

  /** Its dialler makes a second link beside it. */
  dialAgain(): void {
    this.#dialler.dialAgain(this.dialled.remote);
  }
}

/** One end of a link, as a producer or a consumer sees it. */
export class LinkEnd implements Link {
  readonly remote: string;
  readonly process: SimulatedProcess;
  readonly #link: SimulatedLink;
  readonly #far: SimulatedProcess;
  readonly #gone = Promise.withResolvers<void>();
  #events: LinkEvents | undefined;
  /** On its way to this end, in order. */
  #coming: Parcel[] = [];
  /** Here, and not handed up: nobody is attached, or this end is paused. */
  readonly #arrived: (Message | LinkEnding)[] = [];
  #underwayBytes = 0;
  #paused = false;
  /** This end closed it, or heard that it is gone: nothing is handed up any more but `closed`. */
  #ending = false;
  #blocked = false;
  #silence: Disposable | undefined;
  #lastSeen: number;
  isOver = false;
  sentBytes = 0;
  receivedBytes = 0;

  constructor(link: SimulatedLink, process: SimulatedProcess, far: SimulatedProcess) {
    this.#link = link;
    this.process = process;
    this.#far = far;
    this.remote = far.machine.name;
    this.#lastSeen = process.clock.now();
    process.died.add(() => this.#vanish());
    far.died.add(how => {
      if (how === 'killed') this.loseSoon('lost', 'the connection was reset');
      else this.pathChanged();
    });
    far.stalls.add(() => this.pathChanged());
  }

  /** Resolves when this end was told that the link is gone, or its process is. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  get lastSeen(): number {
    return this.#lastSeen;
  }

  get writable(): boolean {
    return !this.#ending && this.#other.#underwayBytes < WRITABLE_BYTES;
  }

  attach(events: LinkEvents): void {
    this.#events = events;
    this.process.clock.soon(() => this.#deliver());
  }

  send(message: Message): void {
    if (this.#ending || !this.process.isAlive) return;
    const { paths } = this.#link;
    for (const told of paths.sent) told(this.process.machine.name, this.remote, message);
    this.sentBytes += sizeOf(message);
    if (paths.chance.happens(paths.of(this.process.machine.name, this.remote).loss)) return this.#link.break();
    this.#other.#take(message);
    if (!this.writable) this.#blocked = true;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.process.clock.soon(() => this.#deliver());
  }

  close(reason: CloseReason, explanation: string): void {
    if (this.#ending || !this.process.isAlive) return;
    this.#other.#take({ reason, explanation });
    this.lose(reason, explanation);
  }

  /** Hears that the link is gone. */
  lose(reason: CloseReason, explanation: string): void {
    if (this.#ending) return;
    this.#ending = true;
    this.process.clock.soon(() => this.#end({ reason, explanation }, false));
  }

  /** The same, at some moment before it would find it by itself. */
  loseSoon(reason: CloseReason, explanation: string): void {
    const { chance } = this.#link.paths;
    this.#coming = [];
    this.process.clock.after(chance.fraction() * SILENCE_MS, () => this.lose(reason, explanation));
  }

  /** Whether anything arrives here may have changed. */
  pathChanged(): void {
    if (this.isOver) return;
    if (!this.#isSilent) {
      this.#silence?.[Symbol.dispose]();
      this.#silence = undefined;
      this.#pump();
      return;
    }
    this.#silence ??= this.process.clock.after(SILENCE_MS, () => this.lose('silent', 'three heartbeats were missed'));
    // Only a far end that is there can say that it is not: a reset arrives, if anything does.
    if (this.#other.isOver && !this.#isCutOff) this.loseSoon('lost', 'the connection was reset');
  }

  get #other(): LinkEnd {
    return this.#link.other(this);
  }

  get #isSilent(): boolean {
    return this.#isCutOff || !this.#far.isAlive || this.#far.isStalled || (this.#other.isOver && !this.#hearsOfTheEnd);
  }

  /** The far end closed it, and said so: that arrives after what it sent before. */
  get #hearsOfTheEnd(): boolean {
    return [...this.#coming.map(({ item }) => item), ...this.#arrived].some(item => !('type' in item));
  }

  get #isCutOff(): boolean {
    return this.#link.muted || this.#link.paths.of(this.remote, this.process.machine.name).blocked;
  }

  /** The far end sent this. */
  #take(item: Message | LinkEnding): void {
    const { paths } = this.#link;
    const { time } = paths;
    const atMs = Math.max(this.#coming.at(-1)?.atMs ?? 0, time.nowMs + paths.drawDelayMs(this.remote, this.process.machine.name));
    this.#coming.push({ atMs, item });
    this.#underwayBytes += sizeOf(item);
    time.after(atMs - time.nowMs, () => this.#pump());
  }

  /** Each message comes in a turn of its own: what it settles is settled before the next one. */
  #pump(): void {
    const { time } = this.#link.paths;
    const first = this.#coming[0];
    if (this.#isCutOff || first === undefined || first.atMs > time.nowMs) return;
    this.#coming.shift();
    if (this.#coming.length > 0) time.after(0, () => this.#pump());
    this.process.run(() => {
      this.#arrived.push(first.item);
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
        this.#end(item, true);
        return;
      }
      this.#lastSeen = this.process.clock.now();
      this.receivedBytes += sizeOf(item);
      for (const told of this.#link.paths.delivered) told(this.remote, this.process.machine.name, item);
      handToHandler(this.#events, item, this, this.process.report);
      this.#other.#unblock();
    }
  }

  #unblock(): void {
    if (!this.#blocked || !this.writable) return;
    this.#blocked = false;
    this.process.run(() => {
      if (!this.#ending) this.#events?.drained();
    });
  }

  #end({ reason, explanation }: LinkEnding, byPeer: boolean): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#silence?.[Symbol.dispose]();
    this.#events?.closed(reason, explanation, byPeer);
    this.#gone.resolve();
    this.#other.pathChanged();
  }

  #vanish(): void {
    this.#ending = true;
    this.#events = undefined;
    this.isOver = true;
    this.#silence?.[Symbol.dispose]();
    this.#gone.resolve();
  }
}

function sizeOf(item: Message | LinkEnding): number {
  if (!('type' in item)) return 0;
  return item.type === 'frame' || item.type === 'snapshot-chunk' ? item.bytes.length : 100;
}
