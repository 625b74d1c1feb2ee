import type { TransportEvents } from '@evertree/core';
import { Backoff } from '../../wire/backoff.ts';
import type { Broker, PartitionReader } from '../broker.ts';
import { createBroker } from '../kafkajs/broker.ts';
import type { KafkaLimits, SubscribeOptions } from '../options.ts';
import { topicNames } from '../topics.ts';
import type { TopicNames } from '../topics.ts';
import { ControlView } from './control-view.ts';
import type { Announced } from './control-view.ts';
import { ControlWriter } from './control-writer.ts';
import { TopicSession } from './topic-session.ts';

export interface SubscriptionOptions {
  readonly options: SubscribeOptions;
  readonly limits: KafkaLimits;
  readonly remote: string;
  readonly events: TransportEvents;
  /** Snapshots that turned out not to be whole, or gone. */
  readonly spoilt: Set<string>;
  /** A link carried something: the broker serves this site. */
  readonly lived: () => void;
  /** The broker does not serve this site any more; called once. */
  readonly broken: (error: unknown) => void;
}

const CONTROL_PARTITION = 0;
const SNAPSHOT_PARTITION = 0;
/** Waits after a link that this site closed: the first, and the longest, which Backoff knows. */
const REFUSED_MS = 1_000;
/** Pause between two looks at `.control`, or a quarter of the primary's heartbeat: the other secondaries' acknowledgements are no business of this site. */
const CONTROL_PAUSE_MS = 100;
/** What a site's last word may take before its connection is cut. */
const LAST_WORD_MS = 1_000;

/** One connected life: reads `.control`, and makes a link whenever there is a primary to follow. */
export class Subscription {
  readonly #options: SubscriptionOptions;
  readonly #view: ControlView;
  readonly #broker: Broker;
  readonly #topics: TopicNames;
  readonly #writer: ControlWriter;
  readonly #refused: Backoff;
  #control: PartitionReader | undefined;
  /** Where `.control` ended when this life began: what stands before is history. */
  #present = 0n;
  #session: TopicSession | undefined;
  #ended: Promise<void> = Promise.resolve();
  #linking = false;
  /** Nobody was heard since the last link ended. */
  #quiet = false;
  #wait: Disposable | undefined;
  #closed = false;

  constructor(options: SubscriptionOptions) {
    const { clock, connection, report, topic, random } = options.options;
    const { answerMs } = options.limits;
    this.#options = options;
    this.#topics = topicNames(topic);
    this.#view = new ControlView(this.#topics.control, report);
    this.#broker = createBroker({ connection, report, clock, answerMs });
    this.#writer = new ControlWriter(this.#broker, this.#topics.control, answerMs);
    this.#refused = new Backoff(REFUSED_MS, random);
  }

  /** Reads `.control` to its end. Rejects when the broker does not let it. */
  async open(): Promise<void> {
    this.#control = await this.#openReader(this.#topics.control, CONTROL_PARTITION);
    const { low, high } = await this.#control.offsets();
    this.#present = high;
    let next = low;
    while (next < high && !this.#closed) {
      const from: bigint = next;
      next = await this.#readControl(next);
      if (next === from) break;
    }
    void this.#listen(next);
    this.#consider();
  }

  /** The broker does not answer, or this end stops. Bounded, whatever the broker does. */
  async close(lost?: { readonly reason: 'lost' | 'silent'; readonly explanation: string }): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#wait?.[Symbol.dispose]();
    if (lost !== undefined) this.#session?.lost(lost.reason, lost.explanation);
    const lastWord = this.#options.options.clock.after(LAST_WORD_MS, () => this.#broker.abandon());
    await this.#session?.close();
    await this.#ended;
    lastWord[Symbol.dispose]();
    await this.#broker.close();
  }

  async #listen(from: bigint): Promise<void> {
    try {
      for (let next = from; !this.#closed; await this.#pause()) next = await this.#readControl(next);
    } catch (error) {
      this.#break(error);
    }
  }

  #pause(): Promise<void> {
    const heartbeatMs = this.#view.primary?.record.hello.heartbeatMs ?? Infinity;
    return new Promise(resolve => this.#options.options.clock.after(Math.min(CONTROL_PAUSE_MS, heartbeatMs / 4), resolve));
  }

  async #readControl(from: bigint): Promise<bigint> {
    const { records, next } = await this.#control!.fetch(from);
    for (const record of records) {
      const news = this.#view.take(record, this.#session === undefined && this.#quiet);
      const isFresh = BigInt(record.offset) >= this.#present;
      if (news === 'snapshot') this.#session?.announced();
      if (news === 'primary' && isFresh) this.#heard(record.value?.length ?? 0);
    }
    return next;
  }

  #heard(bytes: number): void {
    const primary = this.#view.primary!;
    this.#session?.heard(primary, bytes);
    if (primary.record.closing === undefined) this.#quiet = false;
    this.#consider();
  }

  /** Makes a link, if there is a primary to follow and nothing stands against it. */
  #consider(): void {
    const { primary } = this.#view;
    const idle = this.#session === undefined && !this.#linking && this.#wait === undefined && !this.#closed;
    if (idle && primary !== undefined && !this.#quiet) void this.#link(primary);
  }

  async #link(primary: Announced): Promise<void> {
    const { options, limits, remote, events, spoilt } = this.#options;
    this.#linking = true;
    try {
      await this.#ended;
      const reader = await this.#openReader(options.topic, primary.record.partition);
      if (this.#closed) return await reader.close();
      const session = new TopicSession({
        options,
        limits,
        remote,
        view: this.#view,
        primary,
        reader,
        openSnapshots: () => this.#openReader(this.#topics.snapshots, SNAPSHOT_PARTITION),
        spoilt,
        writer: this.#writer,
        commit: offset => this.#commit(primary.record.partition, offset),
        over: here => this.#over(session, here),
        broken: error => this.#break(error),
      });
      this.#session = session;
      events.link(session.link);
    } catch (error) {
      this.#break(error);
    } finally {
      this.#linking = false;
    }
  }

  #over(session: TopicSession, here: boolean): void {
    if (session.lived) {
      this.#refused.reset();
      this.#options.lived();
    }
    this.#session = undefined;
    this.#ended = session.close();
    const primary = this.#view.primary;
    // A site that closed its link asks again after a while; else the next sign of a primary makes the next link.
    this.#quiet = !here && primary?.from === session.from;
    if (here && !this.#closed) {
      this.#wait = this.#options.options.clock.after(this.#refused.next(), () => {
        this.#wait = undefined;
        this.#consider();
      });
    }
    this.#consider();
  }

  async #commit(partition: number, offset: bigint): Promise<void> {
    const { topic, groupId, site } = this.#options.options;
    await this.#broker.commitOffset(`${groupId}.${site}`, topic, partition, offset);
  }

  #openReader(topic: string, partition: number): Promise<PartitionReader> {
    const { fetch, readCommitted } = this.#options.options;
    const { minBytes, maxWaitMs } = fetch ?? {};
    const maxBytes = Math.min(fetch?.partitionBytes ?? Infinity, fetch?.maxBytes ?? Infinity);
    return this.#broker.openReader({
      topic,
      partition,
      readUncommitted: readCommitted !== true,
      maxWaitMs,
      ...(minBytes === undefined ? {} : { minBytes }),
      ...(Number.isFinite(maxBytes) ? { maxBytes } : {}),
    });
  }

  #break(error: unknown): void {
    if (this.#closed) return;
    this.#options.broken(error);
  }
}
