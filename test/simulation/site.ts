import { Consumer } from '@evertree/consumer';
import { Store, covers, isEvertreeError } from '@evertree/core';
import type { ExactPosition, Role, Transport } from '@evertree/core';
import { openJournal } from '@evertree/journal';
import type { JournalOptions } from '@evertree/journal';
import { Producer } from '@evertree/producer';
import { publishTransport, subscribeTransport } from '@evertree/transport/kafka';
import type { KafkaLimits, KafkaWireOptions } from '@evertree/transport/kafka';
import type { DiskOperation } from '../support/fault-disk.ts';
import type { SimulatedMachine, SimulatedProcess } from './machine.ts';
import type { SimulatedNetwork } from './network.ts';
import { CLUSTER } from './topic.ts';
import type { SimulatedCluster } from './topic.ts';

/** What every process of a world is started with. Small, so that short histories meet the limits. */
const JOURNAL: JournalOptions = { sync: 'dsync', segmentBytes: 8192 };
const FRAME_BYTES = 512;
const WINDOW_BYTES = 2048;
const PENDING_BYTES = 4096;
const KAFKA: Partial<KafkaLimits> = {
  heartbeatMs: 100,
  answerMs: 300,
  retryMs: 20,
  retryMostMs: 100,
  watermarksMs: 500,
  acknowledgeMs: 5,
  snapshotBytes: 16 * 1024,
};
const DISK_BYTES = 1024 ** 4;
const TOPIC = 't';
/** How long a person takes to start a site again that stopped because its disk failed. */
const RESTART_MS = 50;

/** How a site is reached as a secondary: it listens, or reads the topic. */
export type Wire = 'direct' | 'topic';

/** What a site needs of the world around it. */
interface SiteWorld {
  readonly network: SimulatedNetwork;
  readonly cluster: SimulatedCluster;
  others(name: string): string[];
  /** The sites among them that are reached this way. */
  reached(names: readonly string[], wire: Wire): string[];
  /** A process has recovered its store, and plays no part yet. */
  opened(site: SimulatedSite, store: Store): void;
  violated(law: string, what: string): void;
}

/** What a process has opened. */
export interface RunningSite {
  readonly process: SimulatedProcess;
  readonly store: Store;
  readonly part: Producer | Consumer;
}

/** A site of a world: its machine, and the process that runs there. */
export class SimulatedSite {
  readonly name: string;
  readonly world: SiteWorld;
  readonly machine: SimulatedMachine;
  readonly role: Role;
  readonly wire: Wire;
  /** Undefined while no process runs, or it has not opened its part yet. */
  running: RunningSite | undefined;
  /** Why the last start ended without a running site. */
  failure: Error | undefined;
  #full: Disposable | undefined;
  #images: SimulatedMachine['disk'][] = [];

  constructor(world: SiteWorld, machine: SimulatedMachine, role: Role, wire: Wire) {
    this.world = world;
    this.machine = machine;
    this.name = machine.name;
    this.role = role;
    this.wire = wire;
  }

  get isUp(): boolean {
    return this.machine.process !== undefined;
  }

  start(): void {
    if (this.isUp) return;
    const process = this.machine.start();
    this.failure = undefined;
    void this.#run(process);
  }

  /** Stops in good order; nothing happens while it is opening. */
  stop(): void {
    const { running } = this;
    if (running === undefined || running.process.isStalled) return;
    this.running = undefined;
    void close(running).then(() => running.process.die('killed'));
  }

  crash(how: 'killed' | 'power-loss'): void {
    this.running = undefined;
    this.machine.process?.die(how);
    if (this.#full !== undefined) this.setFull(true);
  }

  stall(isStalled: boolean): void {
    this.machine.process?.stall(isStalled);
  }

  /**
   * The disk takes no more, or does again. With some room that is left, the write that meets its end is stored in part.
   */
  setFull(isFull: boolean, roomBytes?: number): void {
    this.#full?.[Symbol.dispose]();
    this.#full = undefined;
    const { disk } = this.machine;
    disk.capacityBytes = DISK_BYTES;
    if (!isFull) return;
    if (roomBytes === undefined) this.#full = disk.fail({ operation: 'write', code: 'ENOSPC' });
    else disk.leaveRoom(roomBytes);
  }

  /** The next call of this kind that the disk gets fails. */
  failDisk(operation: DiskOperation): void {
    this.machine.disk.fail({ operation, code: 'EIO', times: 1 });
  }

  /** Remembers the disk as it is. */
  keepImage(): void {
    this.#images.push(this.machine.disk.image());
  }

  /** The machine is taken back to the image that was kept last. @returns whether there was one */
  restoreImage(): boolean {
    const image = this.#images.pop();
    if (image === undefined || this.isUp) return false;
    this.setFull(false);
    this.machine.disk = image;
    return true;
  }

  saveSnapshot(): void {
    const { running } = this;
    if (running === undefined || running.process.isStalled) return;
    const { store } = running;
    // A disk that fails ends it, and its process.
    running.process.clock.soon(() => void store.saveSnapshot().catch(() => undefined));
  }

  /** Whether its disk holds a position durably, as far as can be told from outside. */
  holds(position: ExactPosition): boolean {
    const store = this.running?.store;
    return store === undefined || covers({ epochs: store.epochs, last: store.journal.log.stable }, position);
  }

  /** Never rejects. */
  async #run(process: SimulatedProcess): Promise<void> {
    try {
      const running = await this.#open(process);
      if (process.isAlive) this.#opened(running);
    } catch (error) {
      if (process.isAlive) this.#openingFailed(process, error);
    }
  }

  async #open(process: SimulatedProcess): Promise<RunningSite> {
    const { machine, world, role } = this;
    const host = { clock: process.clock, random: machine.chance, report: process.report };
    const journal = await openJournal({ ...host, disk: process.disk, identity: { site: this.name, role }, options: JOURNAL });
    const store = await Store.open({ ...host, journal, limits: { frameBytes: FRAME_BYTES } });
    world.opened(this, store);
    const part =
      role === 'primary'
        ? new Producer({ store, transports: this.#feeding(process), limits: { windowBytes: WINDOW_BYTES } })
        : new Consumer({ store, transport: this.#following(process), limits: { pendingBytes: PENDING_BYTES, recentFrames: 4 } });
    await part.open();
    return { process, store, part };
  }

  /** What it needs as a primary. */
  #feeding(process: SimulatedProcess): Transport[] {
    const { world } = this;
    const others = world.others(this.name);
    const transports = [world.network.dial(process, world.reached(others, 'direct'))];
    if (world.reached(others, 'topic').length === 0) return transports;
    return [...transports, publishTransport({ ...this.#topic(process), partition: 0, key: 'k' }, world.cluster.client(process))];
  }

  /** What it needs as a secondary. */
  #following(process: SimulatedProcess): Transport {
    if (this.wire === 'direct') return this.world.network.listen(process);
    return subscribeTransport({ ...this.#topic(process), groupId: 'g' }, this.world.cluster.client(process));
  }

  #topic({ clock, report }: SimulatedProcess): KafkaWireOptions {
    return { clock, report, random: this.machine.chance, connection: { brokers: [CLUSTER] }, topic: TOPIC, site: this.name, limits: KAFKA };
  }

  #opened(running: RunningSite): void {
    this.running = running;
    running.store.on('state', () => {
      if (running.store.state === 'failed') this.#restartSoon(running.process);
    });
    if (running.store.state === 'failed') this.#restartSoon(running.process);
  }

  #openingFailed(process: SimulatedProcess, error: unknown): void {
    this.failure = error instanceof Error ? error : new Error(String(error));
    const isOfTheDisk = isEvertreeError(error, 'STORAGE_FULL') || isEvertreeError(error, 'STORAGE_FAILED');
    if (!isOfTheDisk) this.world.violated('opening', `${this.name} did not open: ${this.failure.stack}`);
    process.die('killed');
  }

  /** A disk that failed is the end of its process: another one finds out what the disk holds. */
  #restartSoon(process: SimulatedProcess): void {
    process.clock.after(RESTART_MS, () => {
      this.crash('killed');
      this.start();
    });
  }
}

async function close({ part, store }: RunningSite): Promise<void> {
  await part.close();
  await store.close().catch(() => undefined);
}
