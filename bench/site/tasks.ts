import type { Commit, OpenStoreOptions, Position, Producer, Role } from 'evertree';
import { openStore, startConsumer, startProducer } from 'evertree';
import type { Beat } from '../beat.ts';
import { now } from '../clock.ts';
import { UNSETTLED_COMMITS, type Wire } from '../contestants/wires.ts';
import { type Shape, picks } from '../shape.ts';
import { arrival, arrivals } from './arrivals.ts';
import { fill } from './fill.ts';
import { Profiler } from './profiler.ts';
import { type Shares, shares } from './shares.ts';
import { type Stage, StageProbe } from './stage-probe.ts';
import { type Stalls, StallProbe } from './stalls.ts';
import { type Acknowledged, type Bursts, type Written, write, writeAcknowledged, writeInBursts, writeSteadily } from './writer.ts';

export interface Opened {
  readonly position: Position;
  readonly tookMs: number;
}

export interface Memory {
  readonly heapUsed: number;
  /** `heapUsed` and `external` together. */
  readonly total: number;
}

export interface State {
  readonly site: string;
  readonly revision: number;
  readonly digest: string;
}

export interface Peer {
  readonly state: string;
  readonly durable: number;
  readonly copies: number;
}

type SiteStore = Awaited<ReturnType<typeof openStore>>;

/**
 * The tasks of a site's process: one store, as primary or secondary. The process that started it can call each method.
 */
export class SiteTasks {
  #store: SiteStore | undefined;
  #producer: Producer | undefined;
  #paths: string[][] = [];
  #probe: StallProbe | undefined;
  #profiler: Profiler | undefined;
  #stages: StageProbe | undefined;

  async open(options: OpenStoreOptions): Promise<Opened> {
    const started = now();
    this.#store = await openStore(options);
    return { position: this.#store.position, tookMs: now() - started };
  }

  async fill(shape: Shape): Promise<void> {
    await fill(this.#opened, shape);
  }

  /** Prepares the paths that are written to. */
  async aim(shape: Shape): Promise<void> {
    this.#paths = picks(shape);
  }

  async feed(configuration: Wire['primary']): Promise<void> {
    this.#producer = await startProducer(this.#opened, configuration);
  }

  async stopFeeding(): Promise<void> {
    await this.#producer?.close();
    for (const { site } of this.#producer?.peers ?? []) this.#producer?.forget(site);
  }

  async follow(configuration: Wire['secondary']): Promise<void> {
    await startConsumer(this.#opened, configuration);
  }

  /**
   * Commits one leaf at a time, as fast as commits become durable at so many secondaries; with none, at this site.
   */
  async write(count: number, secondaries: number, window = UNSETTLED_COMMITS): Promise<Written> {
    const settle = (commit: Commit) => (secondaries === 0 ? commit.durable : commit.acknowledged(secondaries));
    return write(this.#opened, this.#paths, count, window, settle);
  }

  /** @returns when each commit was made */
  async writeSteadily(beat: Beat): Promise<Float64Array> {
    return writeSteadily(this.#opened, this.#paths, beat);
  }

  /** Notes from now on when changes reach each stage of their way. Producer and consumer are not started yet. */
  async watchStages(directory: string, role: Role): Promise<void> {
    this.#stages = new StageProbe(this.#opened, directory, role);
  }

  /** When each of the revisions after `first` reached each stage that this site has. */
  async stages(first: number, count: number): Promise<Partial<Record<Stage, Float64Array>>> {
    return this.#stages?.take(first, count) ?? {};
  }

  /** One writer, which waits for a secondary's acknowledgement before its next commit. */
  async writeAcknowledged(count: number): Promise<Acknowledged> {
    return writeAcknowledged(this.#opened, this.#paths, count);
  }

  async writeInBursts(bursts: Bursts): Promise<void> {
    await writeInBursts(this.#opened, this.#paths, bursts);
  }

  /** @returns when this site stood there */
  async arrival(revision: number, where: 'visible' | 'durable'): Promise<number> {
    return arrival(this.#opened, revision, where);
  }

  async arrivals(first: number, count: number, where: 'visible' | 'durable' = 'visible'): Promise<Float64Array> {
    return arrivals(this.#opened, first, count, where);
  }

  async state(): Promise<State> {
    const { site, position, digest } = this.#opened;
    return { site, revision: position.revision, digest };
  }

  /** Resolves when the index of the history, which a thread builds, covers all that is stable. */
  async indexed(): Promise<void> {
    await this.#opened.changeIndex?.caughtUp();
  }

  /** What the primary knows of a secondary. */
  async peer(site: string): Promise<Peer | undefined> {
    const peer = this.#producer?.peers.find(each => each.site === site);
    return peer && { state: peer.state, durable: peer.position?.revision ?? -1, copies: peer.resyncs.count };
  }

  /** Bytes sent to all secondaries, or to the topic that they read. */
  async sentBytes(): Promise<number> {
    return this.#producer?.peers.reduce((sum, peer) => sum + peer.sentBytes, 0) ?? 0;
  }

  /** User and system, microseconds since the process began. */
  async cpu(): Promise<number> {
    const { user, system } = process.cpuUsage();
    return user + system;
  }

  async memory(): Promise<Memory> {
    if (globalThis.gc === undefined) throw new Error('run with --expose-gc');
    // The second collection frees what finalizers of the first one have released.
    globalThis.gc();
    await new Promise(resolve => setImmediate(resolve));
    globalThis.gc();
    const { heapUsed, external } = process.memoryUsage();
    return { heapUsed, total: heapUsed + external };
  }

  async snapshot(): Promise<void> {
    await this.#opened.saveSnapshot();
  }

  async watchStalls(): Promise<void> {
    this.#probe = new StallProbe();
    this.#probe.start();
  }

  async stalls(): Promise<Stalls> {
    if (this.#probe === undefined) throw new Error('nobody watches');
    return this.#probe.stop();
  }

  async profile(): Promise<void> {
    this.#profiler = new Profiler();
    await this.#profiler.start();
  }

  async saveProfile(file: string): Promise<void> {
    await this.#profiler?.stop(file);
  }

  async shares(shape: Shape, count: number, perFrame: number): Promise<Shares> {
    return shares(shape, count, perFrame);
  }

  get #opened(): SiteStore {
    if (this.#store === undefined) throw new Error('the site is not open');
    return this.#store;
  }
}
