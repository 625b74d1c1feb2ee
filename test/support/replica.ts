import { Store } from '@evertree/core';
import type { Batch, EvertreeError, Report, Transport } from '@evertree/core';
import { Consumer } from '@evertree/consumer';
import type { ConsumerLimits } from '@evertree/consumer';
import { Producer } from '@evertree/producer';
import type { ProducerLimits } from '@evertree/producer';
import { kill } from './loopback.ts';
import type { Loopback } from './loopback.ts';
import type { Simulation } from './simulation.ts';
import { VirtualJournal, VirtualStorage } from './virtual-journal.ts';

/** A site of a simulated pair: a process that can be stopped, killed and started again on what its disk holds. */
abstract class SimulatedSite {
  readonly name: string;
  readonly simulation: Simulation;
  readonly reports: Report[] = [];
  storage = new VirtualStorage();
  syncMs = 1;
  frameBytes = 512;
  protected running: { readonly store: Store; readonly journal: VirtualJournal; readonly transport: Transport } | undefined;

  constructor(name: string, simulation: Simulation) {
    this.name = name;
    this.simulation = simulation;
  }

  get store(): Store {
    return this.#process.store;
  }

  get journal(): VirtualJournal {
    return this.#process.journal;
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

  /** As SIGKILL and a power loss: nobody is told, and what was not stable is lost. */
  kill(): void {
    if (this.running === undefined) return;
    kill(this.running.transport);
    this.running.journal.crash();
    this.running = undefined;
  }

  events(name: string): Report[] {
    return this.reports.filter(report => report.event === name);
  }

  protected async openStore(transport: Transport): Promise<Store> {
    const { clock, random } = this.simulation;
    const journal = new VirtualJournal(this.name, this.storage, clock);
    journal.syncMs = this.syncMs;
    const store = await Store.open({
      journal,
      clock,
      random,
      report: report => void this.reports.push(report),
      limits: { frameBytes: this.frameBytes },
    });
    this.running = { store, journal, transport };
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
