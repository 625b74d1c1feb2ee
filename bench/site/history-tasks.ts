import { statSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { nodeDisk } from '@evertree/journal';
import { type Verification, verifyDirectory } from '@evertree/history';
import { openStore } from 'evertree';
import { systemClock } from '../../test/support/host.ts';
import { now } from '../clock.ts';
import { UNSETTLED_COMMITS } from '../contestants/wires.ts';
import { type Shape, leaves } from '../shape.ts';
import { fill } from './fill.ts';
import { type Stalls, StallProbe } from './stalls.ts';

/** History is kept whole while it is measured, and no snapshot is written but those that are asked for. */
const RETENTION_BYTES = 64 * 1024 ** 3;
const WRITES_A_TURN = 256;
const PAGE_ROWS = 100;
/** Answers before those that count. */
const WARM_UP = 500;

export interface Indexed {
  /** Of `index/`. */
  readonly bytes: number;
  readonly changes: number;
  readonly files: number;
  /** Until the last change was covered, after it was stable. */
  readonly behindMs: number;
}

export interface Pinned extends Stalls {
  readonly tookMs: number;
  readonly digest: string | undefined;
}

type SiteStore = Awaited<ReturnType<typeof openStore>>;

/** The tasks of a process with one store whose history is asked about. */
export class HistoryTasks {
  #directory = '';
  #store: SiteStore | undefined;
  #paths: string[][] = [];
  #seed = 777;

  /** @param isIndexed false: no index is built, as on a site before there was one */
  async open(data: string, isIndexed: boolean): Promise<void> {
    this.#directory = data;
    this.#store = await openStore({ data, journal: { retentionMaxBytes: RETENTION_BYTES, snapshotBytes: RETENTION_BYTES } });
    if (!isIndexed) await this.#opened.changeIndex?.close();
  }

  async fill(shape: Shape): Promise<void> {
    await fill(this.#opened, shape);
    this.#paths = [...leaves(shape)].map(([path]) => path.split('/'));
  }

  async aim(shape: Shape): Promise<void> {
    this.#paths = [...leaves(shape)].map(([path]) => path.split('/'));
  }

  /** Commits one leaf at a time, any of them. @returns milliseconds until all were stable, and of this process's CPU */
  async write(count: number): Promise<{ readonly tookMs: number; readonly cpuMs: number; readonly threadMs: number }> {
    const store = this.#opened;
    const began = now();
    const cpu = process.cpuUsage();
    const thread = process.threadCpuUsage();
    for (let written = 0; written < count; written++) {
      store.put(this.#any(), written);
      if (written % WRITES_A_TURN !== 0) continue;
      await nextTurn();
      while (store.position.revision - store.journal.log.stable.revision > UNSETTLED_COMMITS) await nextTurn();
    }
    await store.flush();
    const [all, own] = [process.cpuUsage(cpu), process.threadCpuUsage(thread)];
    return { tookMs: now() - began, cpuMs: (all.user + all.system) / 1e3, threadMs: (own.user + own.system) / 1e3 };
  }

  async indexed(): Promise<Indexed> {
    const index = this.#opened.changeIndex!;
    const began = now();
    await index.caughtUp();
    const directory = join(this.#directory, 'index');
    const files = readdirSync(directory);
    const bytes = files.reduce((sum, file) => sum + statSync(join(directory, file)).size, 0);
    return { bytes, changes: this.#opened.position.revision, files: files.length, behindMs: now() - began };
  }

  /** Milliseconds that each answer took: a leaf, as it was at some moment. */
  async readLeaves(count: number): Promise<Float64Array> {
    return this.#time(count, async () => {
      const { value } = await this.#opened.questions.read(this.#any(), this.#moment());
      if (typeof value === 'object') throw new Error('no leaf was there');
    });
  }

  /** The newest changes of a leaf before some moment. */
  async readPages(count: number): Promise<Float64Array> {
    return this.#time(count, async () => {
      let rows = 0;
      for await (const _ of this.#opened.history(this.#any(), { to: this.#moment(), limit: PAGE_ROWS })) rows++;
      if (rows === 0) throw new Error('no change was found');
    });
  }

  async snapshot(): Promise<number> {
    return (await this.#opened.saveSnapshot()).position.revision;
  }

  /** Pins the whole tree as it was. */
  async pin(revision: number): Promise<Pinned> {
    const probe = new StallProbe();
    probe.start();
    const began = now();
    using snapshot = await this.#opened.at({ epoch: this.#opened.position.epoch, revision });
    const tookMs = now() - began;
    return { tookMs, digest: snapshot.digestAt([]), ...(await probe.stop()) };
  }

  /** `verify` of this process's own directory, which is closed then. */
  async verify(checksumsOnly: boolean): Promise<{ readonly verification: Verification; readonly cpuMs: number }> {
    await this.#store?.close();
    this.#store = undefined;
    const cpu = process.cpuUsage();
    const verification = await verifyDirectory(nodeDisk(this.#directory), systemClock, { checksumsOnly });
    const { user, system } = process.cpuUsage(cpu);
    return { verification, cpuMs: (user + system) / 1e3 };
  }

  async #time(count: number, ask: () => Promise<void>): Promise<Float64Array> {
    const took = new Float64Array(count);
    for (let at = -WARM_UP; at < count; at++) {
      const began = now();
      await ask();
      if (at >= 0) took[at] = now() - began;
    }
    return took;
  }

  #any(): string[] {
    return this.#paths[this.#below(this.#paths.length)]!;
  }

  #moment(): { readonly epoch: number; readonly revision: number } {
    const { epoch, revision } = this.#opened.position;
    // Not before the tree was filled.
    return { epoch, revision: 2_000 + this.#below(revision - 2_000) };
  }

  #below(limit: number): number {
    this.#seed = (Math.imul(this.#seed, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    const high = this.#seed >>> 8;
    this.#seed = (Math.imul(this.#seed, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (high * 0x80_0000 + (this.#seed >>> 8)) % limit;
  }

  get #opened(): SiteStore {
    if (this.#store === undefined) throw new Error('the store is not open');
    return this.#store;
  }
}
