import { covers, formatPosition, heedEpoch, isEvertreeError, Signal, Turn } from '@evertree/core';
import type { ExactPosition, FrameReader, Hello, Link, LinkEvents, Message, RoleMessage, Store } from '@evertree/core';
import { describe } from './return.ts';

/**
 * The link of a site that is to be promoted: it asks for a promise, and may ask for the frames that it lacks. It feeds
 * nothing. Whoever decides about roles answers its questions; the frames are sent from here.
 */
class PromiseLink {
  readonly link: Link;
  readonly hello: Hello;
  readonly #store: Store;
  /** The link drained, or is gone. */
  readonly #signal = new Signal();
  #lending = false;
  #over = false;

  constructor(link: Link, hello: Hello, store: Store) {
    this.link = link;
    this.hello = hello;
    this.#store = store;
  }

  say(message: RoleMessage): void {
    this.link.send({ type: 'role', from: this.#store.site, to: this.hello.site, message });
  }

  /** Anything but a role message. */
  refuse({ type }: Message): void {
    this.link.close('protocol-violation', `a site that asks for a promise sends no ${type} after its hello`);
  }

  drained(): void {
    this.#signal.notify();
  }

  closed(): void {
    this.#over = true;
    this.#signal.notify();
  }

  /** Sends the frames after a position, up to where this site is stable now. Never rejects. */
  async lend(after: ExactPosition): Promise<void> {
    const { site, epochs, journal } = this.#store;
    const { stable } = journal.log;
    if (this.#lending) return this.#decline(`${site} is lending already`);
    if (!covers({ epochs, last: stable }, after)) return this.#decline(`${formatPosition(after)} is not in the history of ${site}`);
    this.#lending = true;
    try {
      const reader = journal.log.read(after);
      try {
        await this.#send(reader, after, stable);
      } finally {
        await reader.close();
      }
    } catch (error) {
      const isGone = isEvertreeError(error, 'COMPACTED');
      this.#decline(isGone ? `the journal of ${site} keeps what follows ${formatPosition(journal.log.base)}` : describe(error));
    } finally {
      this.#lending = false;
    }
  }

  async #send(reader: FrameReader, after: ExactPosition, end: ExactPosition): Promise<void> {
    const turn = new Turn(this.#store.clock);
    let { revision } = after;
    while (!this.#over && revision < end.revision) {
      if (!this.link.writable) {
        await this.#signal.wait();
        turn.restart();
        continue;
      }
      const stored = await reader.next();
      if (stored === undefined || this.#over) return;
      const { frame } = stored;
      this.link.send({ type: 'frame', bytes: frame.bytes, parsed: frame });
      revision = frame.header.last.revision;
      await turn.breathe();
    }
  }

  #decline(text: string): void {
    if (!this.#over) this.say({ kind: 'not-lent', text });
  }
}

type RoleReceiver = (link: Link, site: string, message: Extract<Message, { type: 'role' }>) => void;

/** The sites that ask this one for a promise, by name: one link each. */
export class PromiseLinks {
  readonly #store: Store;
  readonly #hear: RoleReceiver;
  readonly #links = new Map<string, PromiseLink>();

  /** @param hear takes all role messages but `lend` */
  constructor(store: Store, hear: RoleReceiver) {
    this.#store = store;
    this.#hear = hear;
  }

  linkOf(site: string): Link | undefined {
    return this.#links.get(site)?.link;
  }

  /** Takes a link whose far end has said hello. @returns who takes what follows */
  take(link: Link, hello: Hello): LinkEvents {
    const { site } = hello;
    const { report } = this.#store;
    report({
      level: 'info',
      event: 'promise-asked',
      message: `${site} asks where this site stands, for a promotion or a dry run of one`,
      details: { site },
    });
    void heedEpoch(this.#store, hello);
    const asking = new PromiseLink(link, hello, this.#store);
    this.linkOf(site)?.close('replaced', `${site} has made a newer link, from ${link.remote}`);
    this.#links.set(site, asking);
    return {
      message: message => {
        if (message.type !== 'role') return asking.refuse(message);
        if (message.message.kind === 'lend') return void asking.lend(message.message.after);
        this.#hear(link, site, message);
      },
      drained: () => asking.drained(),
      closed: () => {
        asking.closed();
        if (this.#links.get(site) === asking) this.#links.delete(site);
      },
    };
  }
}
