import {
  type EpochName,
  type FarEnd,
  type Hello,
  type Link,
  type LinkEvents,
  type Message,
  type RoleMessage,
  type Transport,
  covers,
  forkOf,
  greet,
  heedEpoch,
  helloOf,
  highestEpoch,
  parseFrame,
  samePosition,
} from '@evertree/core';
import type { Extent, ReachedSite } from './losses.ts';
import type { PromotionEvent } from './promotion-events.ts';
import { type RoleContext, describe } from './role-context.ts';

/** What is being lent: the site's frames are applied until this site stands at `upTo`. */
interface Loan {
  readonly from: string;
  readonly upTo: Extent;
}

export interface RaisingOptions {
  readonly context: RoleContext;
  /** Not yet opened; closed with this. */
  readonly transports: readonly Transport[];
  /** The epoch that is to begin, as far as this site knows now: a far end that knows a higher one says so. */
  readonly epoch: EpochName;
  readonly program: string;
  readonly heard: (event: PromotionEvent) => void;
}

/**
 * The links of a promotion: one to each remote of the primary file. It asks, and takes the frames that are lent; it
 * feeds nobody.
 */
export class Raising {
  readonly #options: RaisingOptions;
  /** By site. */
  readonly #met = new Map<string, Link>();
  #loan: Loan | undefined;
  /** Of the epoch that is to begin. */
  #number = 0;
  #closed = false;

  constructor(options: RaisingOptions) {
    this.#options = options;
  }

  open(): void {
    for (const transport of this.#options.transports) {
      transport
        .open({
          link: link => this.#introduce(link, transport.farEnd),
          failed: remote => this.#options.heard({ type: 'unreachable', remote }),
        })
        .catch(() => {
          for (const remote of transport.remotes) this.#options.heard({ type: 'unreachable', remote });
        });
    }
  }

  /** Asks these sites for a promise. */
  raise(epoch: EpochName, sites: readonly string[]): void {
    const { epochs } = this.#options.context.store;
    this.#number = epoch.number;
    for (const site of sites) if (!this.#say(site, { kind: 'raise', epoch, epochs })) this.#options.heard({ type: 'gone', site });
  }

  /** Takes over the history of a site up to where it promised. What this site has beside it is kept first. */
  async adopt(from: string, upTo: Extent): Promise<void> {
    const { store } = this.#options.context;
    try {
      await store.flush();
      const own: Extent = { epochs: store.epochs, last: store.position };
      // Another site was promoted above this number meanwhile, and this one follows it: its history stays.
      const followed = highestEpoch(own.epochs, own.last);
      if (followed.number >= this.#number) return this.#fail(`epoch ${followed.number} (${followed.id}) has begun meanwhile`);
      if (!covers(upTo, own.last)) await store.rewind(forkOf(own, upTo));
      this.#loan = { from, upTo };
      if (this.#isPaid(this.#loan)) return this.#settleLoan();
      if (!this.#say(from, { kind: 'lend', after: store.position })) this.#fail(`${from} is further, and its link is gone`);
    } catch (error) {
      this.#fail(describe(error));
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#options.transports.map(transport => transport.close()));
  }

  #introduce(link: Link, farEnd: FarEnd): void {
    const { context, epoch, program } = this.#options;
    const { store, advertised, limits, factory } = context;
    greet(link, {
      store,
      helloMs: farEnd.kind === 'log' ? limits.claimMs : limits.silentMs,
      meet: hello => this.#meet(link, hello, farEnd),
      left: () => this.#options.heard({ type: 'unreachable', remote: link.remote }),
    });
    link.send({ type: 'hello', hello: helloOf(store, { program, standby: factory.standby !== undefined, advertised, raises: epoch }) });
  }

  #meet(link: Link, hello: Hello, farEnd: FarEnd): LinkEvents | undefined {
    const { stream } = this.#options.context.store;
    const { site } = hello;
    if (this.#closed || (hello.stream !== null && stream !== null && hello.stream !== stream)) {
      link.close('stream-mismatch', 'this link asks for a promise in another stream');
      return undefined;
    }
    this.#met.set(site, link);
    void heedEpoch(this.#options.context.store, hello);
    const reached: ReachedSite = {
      site,
      standing: hello.standing,
      epochs: hello.epochs,
      last: hello.position,
      fencedBy: hello.fencedBy,
      ...(farEnd.kind === 'log' ? { isLog: true as const } : {}),
    };
    this.#options.heard({ type: 'met', remote: link.remote, site: reached });
    return {
      message: message => this.#receive(link, site, message),
      drained: () => undefined,
      closed: () => this.#gone(link, site),
    };
  }

  #gone(link: Link, site: string): void {
    if (this.#met.get(site) !== link) return;
    this.#met.delete(site);
    this.#options.heard({ type: 'gone', site });
    if (this.#loan?.from === site) this.#fail(`the link to ${site}, which lends its frames, ended`);
  }

  #say(site: string, message: RoleMessage): boolean {
    const met = this.#met.get(site);
    met?.send({ type: 'role', from: this.#options.context.store.site, to: site, message });
    return met !== undefined;
  }

  #receive(link: Link, site: string, message: Message): void {
    switch (message.type) {
      case 'role':
        return this.#hear(site, message.message);
      case 'frame':
        return this.#take(site, message);
      default:
        return link.close('protocol-violation', `no ${message.type} belongs on a link that asks for a promise`);
    }
  }

  #hear(site: string, message: RoleMessage): void {
    const { heard } = this.#options;
    switch (message.kind) {
      case 'promised':
        return heard({ type: 'promised', site, epoch: message.epoch, extent: { epochs: message.epochs, last: message.position } });
      case 'not-promised':
        return heard({ type: 'not-promised', site, epoch: message.epoch, text: message.text, highest: message.highest });
      case 'not-lent':
        this.#loan = undefined;
        return heard({ type: 'not-lent', site, text: message.text });
      default:
        return;
    }
  }

  /** A frame that came twice, or on another link meanwhile, is passed over. */
  #take(site: string, { bytes, parsed, trailer }: Message & { type: 'frame' }): void {
    const loan = this.#loan;
    if (loan?.from !== site) return;
    const { store } = this.#options.context;
    try {
      const frame = parsed ?? parseFrame(bytes);
      if (samePosition(frame.header.base, store.position)) store.applyFrame(frame, trailer);
      if (this.#isPaid(loan)) this.#settleLoan();
      else this.#options.heard({ type: 'lent' });
    } catch (error) {
      this.#fail(`a frame that ${site} lent can't be applied: ${describe(error)}`);
    }
  }

  #isPaid({ upTo }: Loan): boolean {
    const { epochs, position: last } = this.#options.context.store;
    return covers({ epochs, last }, upTo.last);
  }

  #settleLoan(): void {
    this.#loan = undefined;
    const { epochs, position: last } = this.#options.context.store;
    this.#options.heard({ type: 'adopted', own: { epochs, last } });
  }

  #fail(why: string): void {
    this.#loan = undefined;
    this.#options.heard({ type: 'failed', why });
  }
}
