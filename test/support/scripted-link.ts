import { SITE } from '@evertree/core';
import type { CloseReason, FarEnd, Hello, Link, LinkEvents, Message, Transport, TransportEvents } from '@evertree/core';
import { handToHandler } from '../../packages/transport/src/wire/delivery.ts';
import { strictReport } from './reports.ts';

/** A transport for tests: the test makes its links and plays the far end. */
export class ScriptedTransport implements Transport {
  readonly remotes: readonly string[];
  readonly farEnd: FarEnd;
  events: TransportEvents | undefined;

  constructor(remotes: readonly string[] = [], farEnd: FarEnd = SITE) {
    this.remotes = remotes;
    this.farEnd = farEnd;
  }

  open(events: TransportEvents): Promise<void> {
    this.events = events;
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.events = undefined;
    for (const link of this.links) link.close('going-away', 'this end stops');
    return Promise.resolve();
  }

  readonly links: ScriptedLink[] = [];

  /** A new link from the far end; with a hello, that is said at once. */
  connect(remote: string, hello?: Hello): ScriptedLink {
    const link = new ScriptedLink(remote);
    this.links.push(link);
    this.events!.link(link);
    if (hello !== undefined) link.say({ type: 'hello', hello });
    return link;
  }
}

interface Ending {
  readonly reason: CloseReason;
  readonly explanation: string;
  readonly byPeer: boolean;
}

/** The near end of a link; `say` is what the far end says, `sent` what it was told. */
export class ScriptedLink implements Link {
  readonly remote: string;
  readonly sent: Message[] = [];
  /** Why this end closed, or heard that the far end did. */
  closed: { readonly reason: CloseReason; readonly explanation: string } | undefined;
  paused = false;
  writable = true;
  sentBytes = 0;
  receivedBytes = 0;
  readonly lastSeen = 0;
  #events: LinkEvents | undefined;
  /** Events of the far end that wait because this end has not attached, or is paused. */
  readonly #waiting: (Message | Ending)[] = [];
  #far: ScriptedLink | undefined;

  constructor(remote: string) {
    this.remote = remote;
  }

  /** Lets each of two ends be the far end of the other, instead of a test. */
  static join(one: ScriptedLink, other: ScriptedLink): void {
    one.#far = other;
    other.#far = one;
  }

  attach(events: LinkEvents): void {
    this.#events = events;
    queueMicrotask(() => this.#deliver());
  }

  send(message: Message): void {
    if (this.closed !== undefined) return;
    this.sent.push(message);
    this.sentBytes += sizeOf(message);
    this.#far?.say(message);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    queueMicrotask(() => this.#deliver());
  }

  close(reason: CloseReason, explanation: string): void {
    if (this.closed !== undefined) return;
    this.#end({ reason, explanation, byPeer: false });
    // The far end hears of it later: it may close meanwhile for a reason of its own.
    queueMicrotask(() => this.#far?.lose(reason, explanation));
  }

  /** What the far end says; it waits while this end is paused, as on a wire. */
  say(message: Message): void {
    this.#take(message);
  }

  /** What the far end said before it heard of the close; a link that heeds the seam's law never delivers it. */
  sayLate(message: Message): void {
    this.#events!.message(message);
  }

  /** The far end is gone. */
  lose(reason: CloseReason, explanation = 'gone'): void {
    this.#take({ reason, explanation, byPeer: true });
  }

  setWritable(writable: boolean): void {
    this.writable = writable;
    if (writable) this.#events!.drained();
  }

  of<Type extends Message['type']>(type: Type): Extract<Message, { type: Type }>[] {
    return this.sent.filter((message): message is Extract<Message, { type: Type }> => message.type === type);
  }

  #take(item: Message | Ending): void {
    if (this.closed !== undefined) return;
    this.#waiting.push(item);
    this.#deliver();
  }

  #deliver(): void {
    while (this.#events !== undefined && !this.paused && this.closed === undefined) {
      const item = this.#waiting.shift();
      if (item === undefined) return;
      if (!('type' in item)) {
        this.#end(item);
        return;
      }
      this.receivedBytes += sizeOf(item);
      handToHandler(this.#events, item, this, strictReport);
    }
  }

  #end({ reason, explanation, byPeer }: Ending): void {
    this.closed = { reason, explanation };
    this.writable = false;
    this.#waiting.length = 0;
    this.#events?.closed(reason, explanation, byPeer);
  }
}

function sizeOf(message: Message): number {
  return message.type === 'frame' ? message.bytes.length : 0;
}
