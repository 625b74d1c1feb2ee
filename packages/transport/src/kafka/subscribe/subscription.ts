import { Signal } from '@evertree/core';
import type { TransportEvents } from '@evertree/core';
import { Backoff } from '../../wire/backoff.ts';
import type { Broker, BrokerOptions, PartitionReader } from '../broker.ts';
import { topicNames } from '../topics.ts';
import type { TopicNames } from '../topics.ts';
import { TopicAccess } from './topic-access.ts';
import { ControlView } from './control-view.ts';
import type { HeardPrimary, SaidRole } from './control-view.ts';
import { TopicLink } from './link.ts';
import type { SubscriberSettings } from './settings.ts';

/** The first wait after a link that this site closed; Backoff bounds the longest. */
const REFUSED_MS = 1_000;
/**
 * Pause between two looks at `.control`, or a quarter of the primary's heartbeat where that is less. Most records there
 * are acknowledgements of other secondaries, which this site does not need.
 */
const CONTROL_PAUSE_MS = 100;
/** A link that lasted so long counts as a success, even if it carried nothing new. */
const LIVED_MS = 10_000;
/** How long the last records of a site may take before its connection is cut. */
const LAST_WORD_MS = 1_000;

/** One attempt, on new connections: it reads `.control`, and makes a link whenever there is a primary to follow. */
export class Subscription {
  readonly #settings: SubscriberSettings;
  readonly #topics: TopicNames;
  readonly #spoilt: Set<string>;
  readonly #events: TransportEvents;
  readonly #access: TopicAccess;
  readonly #view: ControlView;
  readonly #refused: Backoff;
  /** Where `.control` ended when this attempt began: records before it do not say who is present. */
  #present = 0n;
  #opened = false;
  /** A link that is over carried something, or lasted. */
  #lived = false;
  /** The link that is not over yet. */
  #link: TopicLink | undefined;
  /** When it will have lasted LIVED_MS, on the monotonic clock. */
  #livesAt = Infinity;
  /** Resolves when the link before has ended altogether. */
  #shut: Promise<void> = Promise.resolve();
  /** No primary was heard since the last link ended. */
  #quiet = false;
  /** A primary was heard, or this attempt is over. */
  readonly #news = new Signal();
  #closed = false;

  /** @param spoilt ids of snapshots that turned out not to be whole, or gone; attempts share it */
  constructor(settings: SubscriberSettings, connect: (options: BrokerOptions) => Broker, spoilt: Set<string>, events: TransportEvents) {
    const { clock, connection, report, random, limits } = settings;
    this.#settings = settings;
    this.#topics = topicNames(settings.topic);
    this.#spoilt = spoilt;
    this.#events = events;
    this.#access = new TopicAccess(settings, connect({ connection, report, clock, answerMs: limits.answerMs }));
    this.#view = new ControlView(this.#topics.control, settings.site, report);
    this.#refused = new Backoff(REFUSED_MS, random);
  }

  /** `.control` was read to its end: the broker serves this site. */
  get opened(): boolean {
    return this.#opened;
  }

  /** A link carried something, or lasted. */
  get lived(): boolean {
    return this.#lived || (this.#link !== undefined && this.#hasLived(this.#link));
  }

  /** Makes links until it is closed. Rejects when the broker does not answer, or refuses this user. */
  async run(): Promise<void> {
    const control = await this.#access.open(this.#topics.control);
    const next = await this.#readPast(control);
    this.#opened = true;
    await Promise.race([this.#listen(control, next), this.#followPrimaries()]);
  }

  /** The broker does not answer, or this end stops. Bounded, whatever the broker does. */
  async close(lost?: { readonly reason: 'lost' | 'silent'; readonly explanation: string }): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#news.notify();
    const link = this.#link;
    if (lost !== undefined) link?.lost(lost.reason, lost.explanation);
    const lastWord = this.#settings.clock.after(LAST_WORD_MS, () => this.#access.broker.abandon());
    await Promise.all([this.#shut, link?.shut()]);
    lastWord[Symbol.dispose]();
    await this.#access.broker.close();
  }

  async #readPast(control: PartitionReader): Promise<bigint> {
    const { low, high } = await control.offsets();
    this.#present = high;
    let next = low;
    while (next < high && !this.#closed) {
      const from = next;
      next = await this.#readControl(control, from);
      // What is left there are records that can't be read yet.
      if (next === from) break;
    }
    return next;
  }

  async #listen(control: PartitionReader, from: bigint): Promise<void> {
    for (let next = from; !this.#closed; await this.#pause(this.#controlPauseMs)) next = await this.#readControl(control, next);
  }

  get #controlPauseMs(): number {
    const heartbeatMs = this.#view.primary?.record.hello.heartbeatMs ?? Infinity;
    return Math.min(CONTROL_PAUSE_MS, heartbeatMs / 4);
  }

  async #readControl(control: PartitionReader, from: bigint): Promise<bigint> {
    const { records, next } = await control.fetch(from);
    for (const record of records) {
      const isFresh = BigInt(record.offset) >= this.#present;
      if (isFresh) this.#tell(this.#view.roleIn(record));
      const news = this.#view.take(record, this.#link === undefined && this.#quiet);
      if (news === 'claim') this.#link?.claimed(this.#view.claims);
      if (news === 'snapshot') this.#link?.announced(this.#view.snapshot!);
      if (news === 'primary' && isFresh) this.#heard(this.#view.newest!, record.value?.length ?? 0);
    }
    return next;
  }

  /** A message about who leads is for the link that lives when it comes: one from before this attempt is history. */
  #tell(said: SaidRole | undefined): void {
    if (said !== undefined) this.#link?.told(said.role, said.from);
  }

  #heard(primary: HeardPrimary, bytes: number): void {
    this.#link?.heard(primary, bytes);
    if (primary.record.closing === undefined) this.#quiet = false;
    this.#news.notify();
  }

  /** Makes one link after the other, as long as there is a primary to follow. */
  async #followPrimaries(): Promise<void> {
    while (!this.#closed) {
      const { primary } = this.#view;
      if (primary === undefined || this.#quiet) await this.#news.wait();
      else await this.#follow(primary);
    }
  }

  async #follow(primary: HeardPrimary): Promise<void> {
    const reader = await this.#access.open(this.#topics.frames, primary.record.partition);
    if (this.#closed) return reader.close();
    const beginning = { primary, snapshot: this.#view.snapshot, claims: this.#view.claims, spoilt: this.#spoilt };
    const link = new TopicLink(this.#settings, this.#access, reader, beginning);
    if (this.#view.newest !== undefined && this.#view.newest !== primary) link.heard(this.#view.newest, 0);
    this.#link = link;
    this.#livesAt = this.#settings.clock.monotonic() + LIVED_MS;
    this.#events.link(link);
    const outcome = await link.outcome;
    if (outcome.kind === 'broken') throw outcome.error;
    const lived = this.#hasLived(link);
    this.#lived ||= lived;
    this.#link = undefined;
    // After a link that the site closed, the next one is made after a wait; after any other, when a primary is next
    // heard.
    this.#quiet = outcome.kind === 'ended' && this.#view.primary?.from === primary.from;
    if (lived) this.#refused.reset();
    this.#shut = link.shut();
    await this.#shut;
    if (outcome.kind === 'closed-here') await this.#waitForAnother(primary.from, this.#refused.next());
  }

  /** This site closed its link to a primary: it is not linked again before so long, but another one is at once. */
  async #waitForAnother(from: string, ms: number): Promise<void> {
    const { clock } = this.#settings;
    const until = clock.monotonic() + ms;
    for (let leftMs = ms; leftMs > 0 && !this.#closed && this.#view.primary?.from === from; leftMs = until - clock.monotonic()) {
      await this.#news.waitAtMost(clock, leftMs);
    }
  }

  #hasLived(link: TopicLink): boolean {
    return link.carried || this.#settings.clock.monotonic() > this.#livesAt;
  }

  #pause(ms: number): Promise<void> {
    return new Promise(resolve => void this.#settings.clock.after(ms, resolve));
  }
}
