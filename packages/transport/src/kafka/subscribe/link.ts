import type { Clock, CloseReason, Hello, Link, LinkEvents, Message, Reporter } from '@evertree/core';
import { handToHandler } from '../../wire/handler.ts';

export interface LinkOptions {
  /** The topic's address, for people. */
  readonly remote: string;
  readonly clock: Clock;
  readonly report: Reporter;
  /** The primary's hello, which is the first message. */
  readonly hello: Hello;
  /** When the primary was heard last, milliseconds since 1970. */
  readonly lastSeen: number;
  /** The site sent something. */
  sent(message: Message): void;
  /** The site closed it. */
  closedHere(reason: CloseReason, explanation: string): void;
}

interface Ending {
  readonly reason: CloseReason;
  readonly explanation: string;
  readonly byPeer: boolean;
}

/**
 * What a secondary sees of its primary through a topic, as the seam's Link. It keeps nothing but the hello: whoever reads the topic asks
 * `flows` before each message and waits for `flowing`, so that what is not taken stays at the broker.
 */
export class TopicLink implements Link {
  readonly remote: string;
  /** When the primary was heard last. */
  lastSeen: number;
  sentBytes = 0;
  receivedBytes = 0;
  readonly #options: LinkOptions;
  readonly #waiting: Message[];
  #events: LinkEvents | undefined;
  #paused = false;
  #greeted = false;
  #accepting = true;
  #flowing: PromiseWithResolvers<void> | undefined;
  #ending: Ending | undefined;
  #told = false;

  constructor(options: LinkOptions) {
    this.remote = options.remote;
    this.lastSeen = options.lastSeen;
    this.#options = options;
    this.#waiting = [{ type: 'hello', hello: options.hello }];
  }

  get writable(): boolean {
    return this.#accepting && this.#ending === undefined;
  }

  get isOver(): boolean {
    return this.#ending !== undefined;
  }

  /** Whether the next message may be handed up. */
  get flows(): boolean {
    return this.#ready && this.#waiting.length === 0 && this.#ending === undefined;
  }

  /** Nothing goes up before the site's own hello: a refusal has to bear its name. */
  get #ready(): boolean {
    return this.#events !== undefined && this.#greeted && !this.#paused;
  }

  /** Resolves when messages may be handed up, or never will. */
  flowing(): Promise<void> {
    if (this.flows || this.isOver) return Promise.resolve();
    this.#flowing ??= Promise.withResolvers();
    return this.#flowing.promise;
  }

  attach(events: LinkEvents): void {
    if (this.#events !== undefined) throw new Error('a link is attached once');
    this.#events = events;
    this.#proceed();
  }

  send(message: Message): void {
    if (this.#ending !== undefined) return;
    this.#options.sent(message);
    if (message.type !== 'hello') return;
    this.#greeted = true;
    this.#proceed();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#proceed();
  }

  close(reason: CloseReason, explanation: string): void {
    if (this.#ending !== undefined) return;
    this.#waiting.length = 0;
    this.#end({ reason, explanation, byPeer: false });
    this.#options.closedHere(reason, explanation);
  }

  /** Hands a message up. Only where `flows`. */
  hand(message: Message): void {
    if (this.#events !== undefined) handToHandler(this.#events, message, this, this.#options.report);
  }

  /** The link ends at the far side: what was handed over before is handed up first. */
  end(reason: CloseReason, explanation: string, byPeer: boolean): void {
    if (this.#ending === undefined) this.#end({ reason, explanation, byPeer });
  }

  /** Whether the broker takes what this site sends. */
  accept(accepting: boolean): void {
    const drained = accepting && !this.#accepting;
    this.#accepting = accepting;
    if (drained && this.#ending === undefined) this.#events?.drained();
  }

  #end(ending: Ending): void {
    this.#ending = ending;
    this.#proceed();
  }

  /** In a turn of its own: no handler runs inside a call of its own. */
  #proceed(): void {
    this.#options.clock.soon(() => {
      while (this.#ready && this.#waiting.length > 0) this.hand(this.#waiting.shift()!);
      // A pause keeps back what waits, and not the news that nothing follows.
      if (this.#waiting.length === 0 && this.#ending !== undefined) this.#tellClosed(this.#ending);
      if (this.flows || this.isOver) this.#release();
    });
  }

  #release(): void {
    const flowing = this.#flowing;
    this.#flowing = undefined;
    flowing?.resolve();
  }

  #tellClosed({ reason, explanation, byPeer }: Ending): void {
    const events = this.#events;
    if (this.#told || events === undefined) return;
    this.#told = true;
    events.closed(reason, explanation, byPeer);
  }
}
