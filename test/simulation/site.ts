import { Consumer } from '@evertree/consumer';
import { Store, covers, isEvertreeError } from '@evertree/core';
import type { ExactPosition, Role } from '@evertree/core';
import { openJournal } from '@evertree/journal';
import type { JournalOptions } from '@evertree/journal';
import { Producer } from '@evertree/producer';
import type { SimulatedMachine, SimulatedProcess } from './machine.ts';
import type { SimulatedNetwork } from './network.ts';

/** What every process of a world is started with. Small, so that short histories meet the limits. */
const JOURNAL: JournalOptions = { sync: 'dsync', segmentBytes: 8192 };
const FRAME_BYTES = 512;
const WINDOW_BYTES = 2048;
const PENDING_BYTES = 4096;
/** How long a person takes to start a site again that stopped because its disk failed. */
const RESTART_MS = 50;

/** What a site needs of the world around it. */
interface SiteWorld {
  readonly network: SimulatedNetwork;
  others(name: string): string[];
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
  /** Undefined while no process runs, or it has not opened its part yet. */
  running: RunningSite | undefined;
  /** Why the last start ended without a running site. */
  failure: Error | undefined;
  #full: Disposable | undefined;
  #images: SimulatedMachine['disk'][] = [];

  constructor(world: SiteWorld, machine: SimulatedMachine, role: Role) {
    this.world = world;
    this.machine = machine;
    this.name = machine.name;
    this.role = role;
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
    this.setFull(this.#full !== undefined);
  }

  stall(isStalled: boolean): void {
    this.machine.process?.stall(isStalled);
  }

  /** The disk takes no more, or does again. */
  setFull(isFull: boolean): void {
    this.#full?.[Symbol.dispose]();
    this.#full = isFull ? this.machine.disk.fail({ operation: 'write', code: 'ENOSPC' }) : undefined;
  }

  /** The next so many writes or syncs fail. */
  failDisk(): void {
    this.machine.disk.fail({ operation: 'write', code: 'EIO', times: 1 });
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
        ? new Producer({ store, transports: [world.network.dial(process, world.others(this.name))], limits: { windowBytes: WINDOW_BYTES } })
        : new Consumer({ store, transport: world.network.listen(process), limits: { pendingBytes: PENDING_BYTES, recentFrames: 4 } });
    await part.open();
    return { process, store, part };
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
