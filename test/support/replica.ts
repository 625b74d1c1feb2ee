import { Store } from '@evertree/core';
import type { Batch, EvertreeError, Report, Transport } from '@evertree/core';
import { Consumer } from '@evertree/consumer';
import type { ConsumerLimits, EarlierFrames } from '@evertree/consumer';
import { Producer } from '@evertree/producer';
import type { ProducerLimits } from '@evertree/producer';
import { openJournal } from '@evertree/journal';
import type { JournalOptions } from '@evertree/journal';
import { FaultDisk } from './fault-disk.ts';
import { kill } from './loopback.ts';
import type { Loopback } from './loopback.ts';
import type { Simulation } from './simulation.ts';
import { VirtualDisk } from './virtual-disk.ts';
import { collectReports } from './reports.ts';

/** A site of a simulated pair: a process that can be stopped, killed and started again on what its disk holds. */
abstract class SimulatedSite {
  readonly name: string;
  readonly simulation: Simulation;
  readonly reports: Report[] = [];
  journalOptions: JournalOptions = { segmentBytes: 8192 };
  latencyMs = 1;
  frameBytes = 512;
  protected running: { readonly store: Store; readonly disk: VirtualDisk; readonly transport: Transport } | undefined;
  #disk = new FaultDisk({ blockBytes: 4096 });
  #full: Disposable | undefined;

  constructor(name: string, simulation: Simulation) {
    this.name = name;
    this.simulation = simulation;
  }

  get store(): Store {
    return this.#process.store;
  }

  get transport(): Transport {
    return this.#process.transport;
  }

  get isRunning(): boolean {
    return this.running !== undefined;
  }

  get #process() {
    if (this.running === undefined) throw new Error(`${this.name} does not run`);
    return this.running;
  }

  /** As SIGKILL: no far end is told. With `powerLoss`, what was not synced is lost, in any part and order. */
  kill(powerLoss: boolean): void {
    if (this.running === undefined) return;
    kill(this.running.transport);
    this.setFull(false);
    this.#disk = this.running.disk.die(powerLoss);
    this.running = undefined;
  }

  /** The disk as it is now, for a machine that is taken back to it later. */
  diskImage(): FaultDisk {
    return this.#disk.image();
  }

  /** Another disk takes the place of its own; only while it does not run. */
  replaceDisk(disk: FaultDisk): void {
    this.#disk = disk;
  }

  /** The disk takes no more, or does again. */
  setFull(full: boolean): void {
    this.#full?.[Symbol.dispose]();
    this.#full = full ? this.#disk.fail({ operation: 'write', code: 'ENOSPC' }) : undefined;
  }

  setLatency(latencyMs: number): void {
    this.latencyMs = latencyMs;
    if (this.running !== undefined) this.running.disk.latencyMs = latencyMs;
  }

  events(name: string): Report[] {
    return this.reports.filter(report => report.event === name);
  }

  protected async openStore(transport: Transport): Promise<Store> {
    const { clock, random } = this.simulation;
    const disk = new VirtualDisk(this.#disk, this.simulation);
    disk.latencyMs = this.latencyMs;
    const host = { clock, random, report: collectReports(this.reports).report };
    const options: JournalOptions = { sync: 'dsync', ...this.journalOptions };
    const journal = await openJournal({ ...host, disk, identity: { site: this.name }, options });
    const store = await Store.open({ ...host, journal, limits: { frameBytes: this.frameBytes } });
    this.running = { store, disk, transport };
    return store;
  }
}

export class SimulatedPrimary extends SimulatedSite {
  readonly #network: Loopback;
  readonly #addresses: readonly string[];
  limits: Partial<ProducerLimits> = {};
  producer!: Producer;

  constructor(name: string, network: Loopback, simulation: Simulation, addresses: readonly string[]) {
    super(name, simulation);
    this.#network = network;
    this.#addresses = addresses;
  }

  async start(): Promise<void> {
    const transport = this.#network.dial(this.#addresses);
    const store = await this.openStore(transport);
    this.producer = new Producer({ store, transports: [transport], limits: this.limits });
    await this.producer.open();
  }

  async stop(): Promise<void> {
    await this.producer.close();
    await this.store.close();
    this.running = undefined;
  }
}

export class SimulatedSecondary extends SimulatedSite {
  readonly address: string;
  readonly #network: Loopback;
  limits: Partial<ConsumerLimits> = {};
  earlierFrames: EarlierFrames | undefined;
  consumer!: Consumer;
  readonly quarantined: { readonly frame: Uint8Array; readonly error: EvertreeError }[] = [];
  /** What a listener on the whole tree was told since the last start. */
  batches: Batch[] = [];

  constructor(name: string, network: Loopback, simulation: Simulation) {
    super(name, simulation);
    this.#network = network;
    this.address = name;
  }

  async start(): Promise<void> {
    const transport = this.#network.listen(this.address);
    const store = await this.openStore(transport);
    this.batches = [];
    store.listen('', batch => void this.batches.push(batch));
    this.consumer = new Consumer({
      store,
      transport,
      limits: this.limits,
      ...(this.earlierFrames === undefined ? {} : { earlierFrames: this.earlierFrames }),
      keepQuarantined: (frame, error) => void this.quarantined.push({ frame, error }),
    });
    await this.consumer.open();
  }

  async stop(): Promise<void> {
    await this.consumer.close();
    await this.store.close();
    this.running = undefined;
  }
}

/**
 * A site that may change roles: its consumer is open in every standing, its producer while it has an epoch of its own
 * to feed.
 */
export class SimulatedMember extends SimulatedSite {
  readonly #network: Loopback;
  readonly #others: readonly string[];
  #dial: Transport | undefined;
  producer: Producer | undefined;
  consumer!: Consumer;
  /** The present change of the producer; one after the other. */
  #arranging: Promise<void> = Promise.resolve();

  constructor(name: string, network: Loopback, simulation: Simulation, others: readonly string[]) {
    super(name, simulation);
    this.#network = network;
    this.#others = others;
  }

  async start(): Promise<void> {
    const transport = this.#network.listen(this.name);
    const store = await this.openStore(transport);
    this.consumer = new Consumer({ store, transport, standby: true });
    await this.consumer.open();
    store.on('state', () => void this.#arrange());
    await this.#arrange();
  }

  /** Begins an epoch, whatever the others say. */
  promote(number: number, id = String(number).repeat(16)): void {
    this.store.beginEpoch({ number, id }, 'promoted');
    void this.#arrange();
  }

  override kill(powerLoss: boolean): void {
    if (this.#dial !== undefined) kill(this.#dial);
    this.#dial = undefined;
    this.producer = undefined;
    // What was under way never ends.
    this.#arranging = Promise.resolve();
    super.kill(powerLoss);
  }

  #arrange(): Promise<void> {
    return (this.#arranging = this.#arranging.then(() => this.#arrangeProducer()));
  }

  async #arrangeProducer(): Promise<void> {
    const store = this.running?.store;
    const feeds = store !== undefined && (store.standing === 'primary' || store.standing === 'handing-over');
    if (feeds === (this.producer !== undefined) || store === undefined) return;
    if (!feeds) {
      const { producer } = this;
      this.producer = undefined;
      this.#dial = undefined;
      await producer?.close();
      return;
    }
    const transport = this.#network.dial(this.#others);
    this.#dial = transport;
    this.producer = new Producer({ store, transports: [transport], standby: true });
    await this.producer.open();
  }
}
