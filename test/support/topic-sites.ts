import { Consumer } from '@evertree/consumer';
import type { ConsumerLimits, EarlierFrames } from '@evertree/consumer';
import type { Batch, EpochName, EvertreeError, ExactPosition, Report, Store, StoreOptions, Transport } from '@evertree/core';
import { Producer } from '@evertree/producer';
import type { PeerStatus } from '@evertree/producer';
import { publishTransport, subscribeTransport } from '@evertree/transport/kafka';
import type { KafkaLimits, PublishOptions, SubscribeOptions } from '@evertree/transport/kafka';
import { expect, vi } from 'vitest';
import { FaultDisk } from './fault-disk.ts';
import { systemClock, systemRandom } from './host.ts';
import { diskStore, framesOf } from './stores.ts';
import { testedClient } from './kafka/client.ts';

/** For vi.waitFor: conditions, with a deadline. */
export const SOON = { timeout: 15_000, interval: 10 };

/** Short ones, so that three missed heartbeats are no wait. */
const LIMITS: Partial<KafkaLimits> = { heartbeatMs: 250, watermarksMs: 200, retryMs: 20, retryMostMs: 200, answerMs: 3_000 };

export interface TopicSiteOptions {
  readonly broker: string;
  readonly topic: string;
  readonly site: string;
  /** What its journal is on; an empty disk if left out. */
  readonly disk?: FaultDisk;
  readonly limits?: Partial<KafkaLimits>;
  readonly store?: Partial<StoreOptions>;
}

/** A site on a topic, in this process, on a disk that outlives it. */
abstract class TopicSite implements AsyncDisposable {
  readonly store: Store;
  readonly reports: readonly Report[];
  readonly disk: FaultDisk;

  protected constructor(store: Store, reports: readonly Report[], disk: FaultDisk) {
    this.store = store;
    this.reports = reports;
    this.disk = disk;
  }

  /** What was reported under a name. */
  told(event: string): string[] {
    return this.reports.filter(report => report.event === event).map(report => report.message);
  }

  /** Everything that was worth a warning. */
  get warnings(): string[] {
    return this.reports.filter(({ level }) => level === 'warn' || level === 'error').map(({ event, message }) => `${event}: ${message}`);
  }

  abstract close(): Promise<void>;

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** @param role undefined: as its disk says */
async function openSite(options: TopicSiteOptions, role: 'primary' | 'secondary' | undefined) {
  const disk = options.disk ?? new FaultDisk();
  const opened = await diskStore(disk, { ...options.store, site: options.site, ...(role === undefined ? {} : { role }) });
  const wire = {
    clock: systemClock,
    random: systemRandom,
    report: opened.store.report,
    connection: { brokers: [options.broker] },
    topic: options.topic,
    site: options.site,
    limits: { ...LIMITS, ...options.limits },
  };
  return { ...opened, disk, wire };
}

export interface TopicPrimaryOptions extends Omit<TopicSiteOptions, 'site'> {
  readonly site?: string;
  readonly publish?: Partial<PublishOptions>;
  readonly transports?: readonly Transport[];
  /** Its disk is a secondary's; it begins this epoch. */
  readonly promotion?: EpochName;
}

export class TopicPrimary extends TopicSite {
  readonly producer: Producer;
  readonly #options: TopicPrimaryOptions;

  private constructor(store: Store, reports: readonly Report[], disk: FaultDisk, producer: Producer, options: TopicPrimaryOptions) {
    super(store, reports, disk);
    this.producer = producer;
    this.#options = options;
  }

  static async start(options: TopicPrimaryOptions): Promise<TopicPrimary> {
    const { promotion } = options;
    const { store, reports, disk, wire } = await openSite({ site: 'a', ...options }, promotion === undefined ? 'primary' : undefined);
    if (promotion !== undefined) store.beginEpoch(promotion, 'promotion');
    const transport = publishTransport({ ...wire, partition: 0, key: 'DefaultKey', ...options.publish }, await testedClient());
    const producer = new Producer({ store, transports: [transport, ...(options.transports ?? [])] });
    await producer.open();
    return new TopicPrimary(store, reports, disk, producer, options);
  }

  peer(site: string): PeerStatus {
    const found = this.producer.peers.find(peer => peer.site === site);
    if (found === undefined) throw new Error(`${site} is not listed, but ${this.producer.peers.map(peer => peer.site).join(', ')}`);
    return found;
  }

  /** The topic, as a peer. */
  get topic(): PeerStatus {
    return this.peer(`topic ${this.#options.topic}`);
  }

  /** Commits, one frame each, and resolves when they are durable here. */
  async commit(count: number, path: (index: number) => string = index => `/items/${index}`, value?: string): Promise<void> {
    for (let index = 0; index < count; index++) {
      this.store.put(path(index), value ?? `${index} of ${this.store.position.revision}`);
      this.store.cut();
    }
    await this.store.flush();
  }

  /** Resolves when the topic holds everything. */
  async sent(): Promise<void> {
    await this.store.flush();
    const { revision } = this.store.position;
    await vi.waitFor(
      () => expect(this.topic, this.warnings.join('\n')).toMatchObject({ state: 'replicate', lagRevisions: 0, position: { revision } }),
      SOON,
    );
  }

  async close(): Promise<void> {
    await this.producer.close();
    await this.store.close();
  }
}

export interface TopicSecondaryOptions extends Omit<TopicSiteOptions, 'site'> {
  readonly site?: string;
  readonly subscribe?: Partial<SubscribeOptions>;
  readonly consumer?: Partial<ConsumerLimits>;
  /** What the listener listens to that keeps `batches`; the whole tree if left out. */
  readonly listen?: string;
  /** Instead of the topic. */
  readonly transport?: Transport;
  /** Its disk may be a primary's. */
  readonly standby?: boolean;
  /** Where history is kept that the topic no longer has. */
  readonly earlierFrames?: EarlierFrames;
}

export class TopicSecondary extends TopicSite {
  readonly consumer: Consumer;
  readonly quarantined: readonly EvertreeError[];
  /** What its listener was told. */
  readonly batches: readonly Batch[];

  private constructor(opened: Awaited<ReturnType<typeof openSite>>, consumer: Consumer, quarantined: EvertreeError[], batches: Batch[]) {
    super(opened.store, opened.reports, opened.disk);
    this.consumer = consumer;
    this.quarantined = quarantined;
    this.batches = batches;
  }

  static async start(options: TopicSecondaryOptions): Promise<TopicSecondary> {
    const { standby = false } = options;
    const opened = await openSite({ site: 'b', ...options }, standby ? undefined : 'secondary');
    const quarantined: EvertreeError[] = [];
    const batches: Batch[] = [];
    opened.store.listen(options.listen ?? '', batch => void batches.push(batch));
    const subscribe = { ...opened.wire, groupId: 'test', commitMs: 200, ...options.subscribe };
    const transport = options.transport ?? subscribeTransport(subscribe, await testedClient());
    const keepQuarantined = (_frame: Uint8Array, error: EvertreeError) => void quarantined.push(error);
    const earlier = options.earlierFrames === undefined ? {} : { earlierFrames: options.earlierFrames };
    const consumer = new Consumer({ store: opened.store, transport, keepQuarantined, limits: options.consumer ?? {}, standby, ...earlier });
    await consumer.open();
    return new TopicSecondary(opened, consumer, quarantined, batches);
  }

  /** Resolves when it holds what the primary does, and is it. */
  async equals(primary: TopicPrimary, soon = SOON): Promise<void> {
    await primary.store.flush();
    const { position, digest } = primary.store;
    const here = () => ({ position: this.store.position, digest: this.store.digest });
    await vi.waitFor(() => expect(here(), this.warnings.join('\n')).toEqual({ position, digest }), soon);
    expect(this.store.get('')).toEqual(primary.store.get(''));
    expect(this.quarantined).toEqual([]);
    await this.expectOrder();
  }

  /** Each change once and in order, as the journal has it and as listeners saw it; back only where a divergence was kept. */
  async expectOrder(): Promise<void> {
    let at: ExactPosition = this.store.journal.log.base;
    for (const { header } of await framesOf(this.store.journal)) {
      expect(header.base).toEqual(at);
      at = header.last;
    }
    let told = 0;
    let returns = 0;
    for (const { from, position } of this.batches) {
      expect(from.revision).toBeGreaterThanOrEqual(told);
      if (position.revision < from.revision) returns += 1;
      told = position.revision;
    }
    expect(returns).toBeLessThanOrEqual(this.store.journal.divergences.list().length);
  }

  async close(): Promise<void> {
    await this.consumer.close();
    await this.store.close();
  }
}
