import type { CloseReason, Link, LinkEvents, Message } from '@evertree/core';
import { Delivery } from '../../wire/delivery.ts';
import { asBrokerError } from '../broker.ts';
import type { PublishAction, PublishEvent, ReadRange } from './actions.ts';
import type { LinkMemory } from './link-memory.ts';
import { PrimaryEnd } from './primary-end.ts';
import type { PublisherSettings } from './settings.ts';
import { readRange } from './topic-connection.ts';
import type { TopicConnection } from './topic-connection.ts';

/** How long a fetch at the topic's end waits at the broker, and the pause between two of them that bring something. */
const WATCH_MS = 500;
const WATCH_PAUSE_MS = 100;

type Of<Type extends PublishAction['type']> = Extract<PublishAction, { readonly type: Type }>;

/**
 * A topic as the seam's Link: the driver of one PrimaryEnd. It carries out the machine's actions, and tells it the
 * results.
 */
export class PublishLink implements Link {
  readonly remote: string;
  /** Why it ended; resolves when its connections are cut and the producer has been told. Never rejects. */
  readonly ended: Promise<CloseReason>;
  readonly #settings: PublisherSettings;
  readonly #topic: TopicConnection;
  readonly #end: PrimaryEnd;
  readonly #delivery: Delivery;
  readonly #over = Promise.withResolvers<CloseReason>();
  /** Settles when the last read of the reader is done: the reader answers one call at a time. */
  #reading: Promise<unknown> = Promise.resolve();
  /** When the timer wakes the machine, on the monotonic clock; Infinity while no timer is set. */
  #plannedAt = Infinity;
  #timer: Disposable | undefined;
  #sentBytes = 0;
  #receivedBytes = 0;
  #lastSeen: number;
  #hasAccepted = false;

  constructor(settings: PublisherSettings, topic: TopicConnection, memory: LinkMemory) {
    const { clock, report, remote } = settings;
    this.remote = remote;
    this.ended = this.#over.promise;
    this.#settings = settings;
    this.#topic = topic;
    this.#end = new PrimaryEnd(settings, topic.opened, memory, clock.monotonic());
    this.#delivery = new Delivery(this, clock, report);
    this.#lastSeen = clock.now();
    this.#plan();
    void this.#watch();
  }

  get writable(): boolean {
    return this.#end.writable;
  }

  /** The topic has taken something. */
  get hasAccepted(): boolean {
    return this.#hasAccepted;
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  get lastSeen(): number {
    return this.#lastSeen;
  }

  attach(events: LinkEvents): void {
    this.#delivery.attach(events);
  }

  send(message: Message): void {
    this.#step({ type: 'sent', message });
  }

  pause(): void {
    this.#delivery.pause();
  }

  resume(): void {
    this.#delivery.resume();
  }

  close(reason: CloseReason, explanation: string): void {
    this.#delivery.close({ reason, explanation, byPeer: false });
    this.#step({ type: 'closed', reason, explanation });
  }

  #step(event: PublishEvent): void {
    for (const action of this.#end.step(event, this.#settings.clock.monotonic())) this.#carryOut(action);
    this.#plan();
  }

  #carryOut(action: PublishAction): void {
    switch (action.type) {
      case 'produce':
        return void this.#feed(this.#produce(action));
      case 'read':
        this.#reading = this.#reading.then(() => this.#read(action));
        return;
      case 'ask-watermarks':
        return void this.#feed(this.#askWatermarks());
      case 'fetch-control':
        return void this.#feed(this.#fetchControl(action));
      case 'delete-snapshots':
        return void this.#deleteSnapshots(action.before);
      case 'hand':
        this.#hasAccepted ||= action.accepted === true;
        return this.#delivery.post(action.message);
      case 'drained':
        return this.#delivery.drained();
      case 'end':
        return this.#finish(action);
    }
  }

  /** Tells the machine of an answer, or of its failure. Never rejects. */
  async #feed(answer: Promise<PublishEvent>): Promise<void> {
    let event: PublishEvent;
    try {
      event = await answer;
      this.#lastSeen = this.#settings.clock.now();
    } catch (error) {
      event = { type: 'failed', error: asBrokerError(error) };
    }
    this.#step(event);
  }

  async #produce({ lane, topic, records }: Of<'produce'>): Promise<PublishEvent> {
    const partition = lane === 'frames' ? this.#settings.partition : 0;
    const offset = await this.#topic[lane].send(topic, partition, records);
    for (const { value } of records) this.#sentBytes += value?.length ?? 0;
    return { type: 'stored', lane, offset, time: this.#settings.clock.now() };
  }

  /** Never rejects. */
  async #read({ task, from, to }: ReadRange): Promise<void> {
    try {
      for await (const { records, done } of readRange(this.#topic.reader, from, to)) {
        this.#lastSeen = this.#settings.clock.now();
        this.#step({ type: 'read', task, from, to, records, done });
      }
    } catch (error) {
      this.#step({ type: 'failed', error: asBrokerError(error) });
    }
  }

  /**
   * Waits at the topic's end for what others write, while this end writes nothing: for a pause already, or the broker
   * would give it the next of its own batches back. Ends with the link. Never rejects.
   */
  async #watch(): Promise<void> {
    let next = 0n;
    let seen: bigint | undefined;
    while (!this.#delivery.isOver) {
      const from = this.#end.watchFrom;
      if (from === undefined || from !== seen) {
        seen = from;
        await this.#pause(WATCH_PAUSE_MS);
        continue;
      }
      if (from > next) next = from;
      await this.#feed(
        this.#topic.watcher.fetch(next, WATCH_MS).then(fetched => {
          next = fetched.next;
          return { type: 'watched', records: fetched.records };
        }),
      );
      // Our own records end the wait, too: it is not worth a fetch for each of them.
      if (next > from) await this.#pause(WATCH_PAUSE_MS);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise(resolve => void this.#settings.clock.after(ms, resolve));
  }

  async #askWatermarks(): Promise<PublishEvent> {
    const answer = this.#reading.then(() => this.#topic.reader.offsets());
    this.#reading = answer.catch(() => undefined);
    const found = await answer;
    return { type: 'watermarks', found, time: this.#settings.clock.now() };
  }

  async #fetchControl({ from, waitMs }: Of<'fetch-control'>): Promise<PublishEvent> {
    const { records, next } = await this.#topic.control.fetch(from, waitMs);
    for (const { value } of records) this.#receivedBytes += value?.length ?? 0;
    return { type: 'control', records, next };
  }

  async #deleteSnapshots(before: bigint): Promise<void> {
    try {
      await this.#topic.broker.deleteRecords(this.#settings.topics.snapshots, 0, before);
    } catch (error) {
      this.#step({ type: 'not-deleted', error: asBrokerError(error) });
    }
  }

  #finish({ reason, explanation, byPeer }: Of<'end'>): void {
    this.#topic.broker.abandon();
    // What was handed up before may have to be known: it is not dropped.
    if (byPeer) this.#delivery.end({ reason, explanation, byPeer });
    else this.#delivery.close({ reason, explanation, byPeer });
    // By then the owner of the link has been told that it closed.
    this.#settings.clock.soon(() => this.#over.resolve(reason));
  }

  /** Sets the timer for `wakeAt`. A timer that comes too early does no harm: the machine finds nothing due. */
  #plan(): void {
    const { wakeAt } = this.#end;
    if (wakeAt >= this.#plannedAt) return;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#plannedAt = wakeAt;
    const { clock } = this.#settings;
    const waitMs = wakeAt - clock.monotonic();
    // In a turn of its own, after the event loop has read what there was: an answer that is there already is not late.
    if (waitMs <= 0) clock.soon(() => this.#wake());
    else this.#timer = clock.after(waitMs, () => clock.soon(() => this.#wake()));
  }

  #wake(): void {
    this.#plannedAt = Infinity;
    this.#step({ type: 'time' });
  }
}
