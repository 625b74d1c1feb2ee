import { SITE } from '@evertree/core';
import type { CloseReason, FarEnd, Hello, Link, LinkEvents, Message, Transport, TransportEvents } from '@evertree/core';

/** A transport whose links a test makes, and whose far end it plays. */
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
    return Promise.resolve();
  }

  /** A new link from the far end; with a hello, that is said at once. */
  connect(remote: string, hello?: Hello): ScriptedLink {
    const link = new ScriptedLink(remote);
    this.events!.link(link);
    if (hello !== undefined) link.say({ type: 'hello', hello });
    return link;
  }
}

/** The near end of a link; `say` is what the far end says, `sent` what it was told. */
export class ScriptedLink implements Link {
  readonly remote: string;
  readonly sent: Message[] = [];
  closed: { readonly reason: CloseReason; readonly explanation: string } | undefined;
  paused = false;
  writable = true;
  sentBytes = 0;
  readonly receivedBytes = 0;
  readonly lastSeen = 0;
  #events: LinkEvents | undefined;
  readonly #waiting: Message[] = [];

  constructor(remote: string) {
    this.remote = remote;
  }

  attach(events: LinkEvents): void {
    this.#events = events;
  }

  send(message: Message): void {
    if (this.closed !== undefined) return;
    this.sent.push(message);
    if (message.type === 'frame') this.sentBytes += message.bytes.length;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    while (!this.paused && this.closed === undefined) {
      const message = this.#waiting.shift();
      if (message === undefined) return;
      this.#events!.message(message);
    }
  }

  close(reason: CloseReason, explanation: string): void {
    if (this.closed !== undefined) return;
    this.closed = { reason, explanation };
    this.#events?.closed(reason, explanation, false);
  }

  /** What the far end says; it waits while this end is paused, as on a wire. */
  say(message: Message): void {
    if (this.closed !== undefined) return;
    if (this.paused) this.#waiting.push(message);
    else this.#events!.message(message);
  }

  /** What the far end said before it heard of the close; a link that heeds the seam's law never delivers it. */
  sayLate(message: Message): void {
    this.#events!.message(message);
  }

  /** The far end is gone. */
  lose(reason: CloseReason, explanation = 'gone'): void {
    this.closed = { reason, explanation };
    this.#events!.closed(reason, explanation, true);
  }

  setWritable(writable: boolean): void {
    this.writable = writable;
    if (writable) this.#events!.drained();
  }

  of<Type extends Message['type']>(type: Type): Extract<Message, { type: Type }>[] {
    return this.sent.filter((message): message is Extract<Message, { type: Type }> => message.type === type);
  }
}
