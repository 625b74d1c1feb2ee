import { Consumer } from '@evertree/consumer';
import type { ConsumerLimits } from '@evertree/consumer';
import { ORIGIN, Store, covers } from '@evertree/core';
import type { ExactPosition, Lineage, Link, Role, RoleHandler, Transport } from '@evertree/core';
import { openJournal } from '@evertree/journal';
import type { JournalOptions } from '@evertree/journal';
import { Producer } from '@evertree/producer';
import { claimTransport, publishTransport, subscribeTransport } from '@evertree/transport/kafka';
import type { KafkaLimits, KafkaWireOptions } from '@evertree/transport/kafka';
import type { DiskOperation } from '../support/fault-disk.ts';
import type { WriteAdmission } from '../../packages/evertree/src/http/admission.ts';
import type { Part, PartFactory } from '../../packages/evertree/src/roles/part.ts';
import { RoleDriver } from '../../packages/evertree/src/roles/role-driver.ts';
import type { RoleLimits } from '../../packages/evertree/src/roles/limits.ts';
import type { SimulatedMachine, SimulatedProcess } from './machine.ts';
import type { PlantedFault } from './plants.ts';
import { FrameSteps } from './frame-steps.ts';
import type { LargeTrap } from './frame-steps.ts';
import { isWithin } from './stretch.ts';
import type { SimulatedNetwork } from './network.ts';
import { Listening } from './listening.ts';
import { override, withLinks } from './overrides.ts';
import { addressOf, admissionTo } from './site-http.ts';
import { slowProcessor } from './slow-processor.ts';
import { CLUSTER } from './topic.ts';
import type { SimulatedCluster } from './topic.ts';

/** What every process of a world is started with. Small, so that short histories meet the limits. */
const JOURNAL: JournalOptions = { sync: 'dsync', segmentBytes: 8192 };
/** The same, where retention drops what it may as soon as it may. */
const tightJournal = (retentionMaxBytes: number): JournalOptions => ({
  ...JOURNAL,
  segmentBytes: Math.ceil(retentionMaxBytes / 2),
  retentionMaxBytes,
  retentionRewindMs: 0,
});
const FRAME_BYTES = 512;
const WINDOW_BYTES = 2048;
const HELLO_MS = 300;
const CONSUMER: Partial<ConsumerLimits> = { pendingBytes: 4096, recentFrames: 4, helloMs: HELLO_MS };
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
const ROLES: Partial<RoleLimits> = {
  maxPauseMs: 400,
  consentMs: 300,
  nearMs: 60,
  answerMs: 200,
  silentMs: 200,
  claimMs: 1_000,
  lendMs: 600,
};
/** In how many processes somebody listens from the beginning, where frames are applied in steps. */
const LISTENED_SHARE = 0.5;
/** The one that all sites of a world have that are reached through a topic. */
export const TOPIC = 't';
/** How long a person takes to start a site again that stopped because its disk failed. */
const RESTART_MS = 50;

/** How a site is reached as a secondary: it listens, or reads the topic. */
export type Wire = 'direct' | 'topic';

/** What a site needs of the world around it. */
interface SiteWorld {
  readonly traps: { opens(files: readonly string[]): void };
  /** What is wrong with Evertree in this world. */
  readonly plant: PlantedFault | undefined;
  readonly journalBytes: number | undefined;
  readonly largeBytes: number | undefined;
  readonly network: SimulatedNetwork;
  readonly cluster: SimulatedCluster;
  others(name: string): string[];
  /** The sites among them that are reached this way. */
  reached(names: readonly string[], wire: Wire): string[];
  /** A process has recovered its store, and plays no part yet. */
  opened(site: SimulatedSite, store: Store): void;
  /** Its machine was taken back in time. */
  wentBack(site: SimulatedSite): void;
  mark(trap: LargeTrap): void;
  violated(law: string, what: string): void;
}

/** How far a history is known to be on a disk. */
type Held = Pick<Lineage, 'epochs' | 'last'>;

/** What there is of a process only where frames are applied in steps. */
interface Stepped {
  readonly listening: Listening;
  readonly steps: FrameSteps;
}

/** What a process has opened. */
export interface RunningSite {
  readonly process: SimulatedProcess;
  readonly store: Store;
  readonly roles: RoleDriver;
  readonly admission: WriteAdmission;
  /** Where frames are applied in steps. */
  readonly stepped: Stepped | undefined;
  /** When it came to be fenced, in virtual time; undefined while it is not. */
  fencedAtMs: number | undefined;
}

/** How a process is started: as the history says, as a primary that takes over, or as a secondary whatever it was. */
export type StartAs = 'is' | 'promoted' | 'follower';

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
  /** The store of the present process, or of the last one that opened one. */
  #store: Store | undefined;
  #full: Disposable | undefined;
  readonly #failures: Disposable[] = [];
  readonly #images: { readonly disk: SimulatedMachine['disk']; readonly held: Held }[] = [];
  /** What its disk held for certain when that was looked at last. */
  #held: Held = { epochs: [], last: ORIGIN };
  /** Its disk went back in time, once or more. */
  wentBack = false;
  /** Since when nothing was wrong with its process or its disk, in virtual time; Infinity while something is. */
  calmSinceMs = 0;

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

  start(as: StartAs = 'is'): void {
    if (this.isUp) return;
    const process = this.machine.start();
    this.failure = undefined;
    if (this.#full === undefined) this.calmSinceMs = this.machine.time.nowMs;
    void this.#run(process, as);
  }

  /** Stops in good order; nothing happens while it is opening. */
  stop(): void {
    const { running } = this;
    if (running === undefined || running.process.isStalled) return;
    this.running = undefined;
    void close(running).then(() => running.process.die('killed'));
  }

  crash(how: 'killed' | 'power-loss'): void {
    this.machine.process?.die(how);
    this.running = undefined;
    if (this.#full !== undefined) this.setFull(true);
  }

  stall(isStalled: boolean): void {
    this.disturb();
    this.machine.process?.stall(isStalled);
  }

  /** Something happened to its process or its disk, and may be wrong with it for as long as the process lives. */
  disturb(lasts = false): void {
    this.calmSinceMs = lasts ? Infinity : Math.max(this.calmSinceMs, this.machine.time.nowMs);
  }

  suspend(): void {
    this.disturb();
    this.machine.process?.suspend();
  }

  /**
   * The disk takes no more, or does again. With some room that is left, the write that meets its end is stored in part.
   */
  setFull(isFull: boolean, roomBytes?: number): void {
    this.disturb(isFull);
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
    this.disturb(true);
    this.#failures.push(this.machine.disk.fail({ operation, code: 'EIO', times: 1 }));
  }

  /** The disk has room, and what was to fail and has not yet will not. */
  mendDisk(): void {
    this.setFull(false);
    for (const failure of this.#failures.splice(0)) failure[Symbol.dispose]();
  }

  /** Remembers the disk as it is. */
  keepImage(): void {
    this.#images.push({ disk: this.machine.disk.image(), held: this.#holds() });
  }

  /** The machine is taken back to the image that was kept last. @returns whether there was one */
  restoreImage(): boolean {
    const image = this.#images.pop();
    if (image === undefined || this.isUp) return false;
    this.setFull(false);
    this.machine.disk = image.disk;
    this.#held = image.held;
    this.#store = undefined;
    this.wentBack = true;
    this.world.wentBack(this);
    return true;
  }

  saveSnapshot(): void {
    const { running } = this;
    if (running === undefined || running.process.isStalled) return;
    const { store } = running;
    // A disk that fails ends it, and its process.
    running.process.clock.soon(() => void store.saveSnapshot().catch(() => undefined));
  }

  /** The machine gets an empty disk. */
  empty(): void {
    this.machine.process?.die('killed');
    this.running = undefined;
    this.machine.replaceDisk();
    this.#held = { epochs: [], last: ORIGIN };
    this.#store = undefined;
    this.wentBack = true;
    this.world.wentBack(this);
  }

  /** Whether its history holds a position durably, as far as can be told from outside. */
  holds(position: ExactPosition): boolean {
    return covers(this.#holds(), position);
  }

  /** Whether it went back from the position, to follow another site, and keeps it as a divergence. */
  keepsAside(position: ExactPosition): boolean {
    const kept = this.#store?.journal.divergences.list() ?? [];
    return kept.some(({ base, last, missing }) => isWithin({ base: missing?.base ?? base, last }, position));
  }

  #holds(): Held {
    const { epochs, journal } = this.#store ?? {};
    if (epochs !== undefined && journal !== undefined) this.#held = { epochs, last: journal.log.stable };
    return this.#held;
  }

  /** Never rejects. */
  async #run(process: SimulatedProcess, as: StartAs): Promise<void> {
    try {
      const running = await this.#open(process, as);
      if (process.isAlive) this.#opened(running);
    } catch (error) {
      if (process.isAlive) this.#openingFailed(process, error);
    }
  }

  async #open(process: SimulatedProcess, as: StartAs): Promise<RunningSite> {
    const { machine, world } = this;
    const { plant } = world;
    const host = { clock: process.clock, random: plant?.random?.(machine.chance) ?? machine.chance, report: process.report };
    const isSlow = world.largeBytes !== undefined;
    const clock = isSlow ? slowProcessor(process, machine.chance) : process.clock;
    world.traps.opens(machine.disk.files);
    const isNew = !machine.disk.files.includes('site.json');
    const identity = { site: this.name, ...(isNew ? { role: this.role } : {}) };
    const options = world.journalBytes === undefined ? JOURNAL : tightJournal(world.journalBytes);
    const journal = await openJournal({ ...host, disk: process.disk, identity, options });
    plant?.journal?.(journal);
    const store = await Store.open({ ...host, clock, journal, limits: { frameBytes: FRAME_BYTES } });
    plant?.store?.(store);
    this.#store = store;
    world.opened(this, store);
    const stepped = isSlow ? { listening: this.#listen(process, store), steps: this.#watchSteps(process, store) } : undefined;
    const stage = {
      begin: (part: Part) => (part.role === 'primary' ? part.producer.open() : part.consumer.open()),
      end: (part: Part) => (part.role === 'primary' ? part.producer.close() : part.consumer.close()),
    };
    const advertised = () => addressOf(this.name);
    const roles = new RoleDriver({ store, stage, factory: this.#factory(process, store), limits: ROLES, advertised });
    if (as === 'follower') await store.follow();
    if (as === 'promoted' && store.standing !== 'primary') await roles.promote();
    await roles.start();
    return { process, store, roles, admission: admissionTo(store, roles), stepped, fencedAtMs: undefined };
  }

  /** Somebody listens from the beginning, at times. */
  #listen(process: SimulatedProcess, store: Store): Listening {
    const { machine, world } = this;
    const listening = new Listening(store, process, machine.chance, what => world.violated('listeners', what));
    if (machine.chance.happens(LISTENED_SHARE)) listening.add();
    return listening;
  }

  #watchSteps(process: SimulatedProcess, store: Store): FrameSteps {
    const { machine, world } = this;
    const steps = new FrameSteps(store, machine, trap => world.mark(trap));
    process.died.add(() => {
      if (steps.areUnderWay) world.mark('a process ends while it applies a large frame in steps');
    });
    return steps;
  }

  /** Both files are there at every site: each can lead and follow. */
  #factory(process: SimulatedProcess, store: Store): PartFactory {
    const { plant } = this.world;
    const feeding = () => this.#feeding(process).map(transport => plant?.feeding?.(transport, store) ?? transport);
    return {
      primary: async (role: RoleHandler) => ({
        role: 'primary',
        producer: new Producer({
          store,
          transports: feeding(),
          limits: { windowBytes: WINDOW_BYTES, helloMs: HELLO_MS },
          standby: true,
          advertised: () => addressOf(this.name),
          role,
        }),
      }),
      standby: async (role: RoleHandler) => ({
        role: 'secondary',
        consumer: new Consumer({
          store,
          transport: plant?.following?.(this.#following(process)) ?? this.#following(process),
          limits: { ...CONSUMER, ...(this.world.largeBytes === undefined ? {} : { largeFrameBytes: this.world.largeBytes }) },
          standby: true,
          advertised: () => addressOf(this.name),
          role,
        }),
      }),
      dial: async () => this.#raising(process),
    };
  }

  /** What it needs as a primary. */
  #feeding(process: SimulatedProcess): Transport[] {
    const options = { ...this.#topic(process), partition: 0, key: 'k' };
    return this.#dialling(process, () => publishTransport(options, this.world.cluster.client(process)));
  }

  /** What it asks before it is promoted. */
  #raising(process: SimulatedProcess): Transport[] {
    const options = { ...this.#topic(process), partition: 0, key: 'k' };
    return this.#dialling(process, () => claimTransport(options, this.world.cluster.client(process)));
  }

  /** To the other sites, and to the topic if one of them reads it. */
  #dialling(process: SimulatedProcess, toTopic: () => Transport): Transport[] {
    const { world } = this;
    const others = world.others(this.name);
    const transports = [world.network.dial(process, world.reached(others, 'direct'))];
    return world.reached(others, 'topic').length === 0 ? transports : [...transports, this.#watched(toTopic())];
  }

  /** What it needs as a secondary. */
  #following(process: SimulatedProcess): Transport {
    if (this.wire === 'direct') return this.world.network.listen(process);
    return this.#watched(subscribeTransport({ ...this.#topic(process), groupId: 'g' }, this.world.cluster.client(process)));
  }

  /** The world is told what goes to a topic and what comes from it, as the paths tell it of all other messages. */
  #watched(transport: Transport): Transport {
    const { name } = this;
    const { sent, delivered } = this.world.network.paths;
    return withLinks(transport, (link: Link) => {
      override(link, 'send', send => message => {
        for (const told of sent) told(name, CLUSTER, message);
        send(message);
      });
      override(link, 'attach', attach => events => {
        attach({
          message: message => {
            for (const told of delivered) told(CLUSTER, name, message);
            events.message(message);
          },
          drained: () => events.drained(),
          closed: (reason, explanation, byPeer) => events.closed(reason, explanation, byPeer),
        });
      });
    });
  }

  #topic({ clock, report }: SimulatedProcess): KafkaWireOptions {
    return { clock, report, random: this.machine.chance, connection: { brokers: [CLUSTER] }, topic: TOPIC, site: this.name, limits: KAFKA };
  }

  #opened(running: RunningSite): void {
    this.running = running;
    running.store.on('state', () => {
      running.fencedAtMs = running.store.standing === 'fenced' ? (running.fencedAtMs ?? this.machine.time.nowMs) : undefined;
      if (running.store.state === 'failed') this.#restartSoon(running.process);
    });
    if (running.store.state === 'failed') this.#restartSoon(running.process);
  }

  #openingFailed(process: SimulatedProcess, error: unknown): void {
    this.failure = error instanceof Error ? error : new Error(String(error));
    // A disk may refuse the opening, and a promotion may be refused.
    const isExpected = ['STORAGE_FULL', 'STORAGE_FAILED', 'WRONG_ROLE', 'EIO', 'ENOSPC'].includes(
      String((error as { code?: unknown }).code),
    );
    if (!isExpected) this.world.violated('opening', `${this.name} did not open: ${this.failure.stack}`);
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

async function close({ roles, store }: RunningSite): Promise<void> {
  const { producer, consumer } = roles;
  await roles.stop();
  await producer?.close();
  await consumer?.close();
  await store.close().catch(() => undefined);
}
