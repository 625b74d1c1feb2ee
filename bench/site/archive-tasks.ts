import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { type ArchiveOptions, backup, initArchive, openStore, restore, verifyArchive } from 'evertree';
import { IDENTITY, RECIPIENT } from '../../test/support/archived-history.ts';
import { now } from '../clock.ts';
import { UNSETTLED_COMMITS } from '../contestants/wires.ts';
import { type Shape, leaves, picks } from '../shape.ts';
import { fill } from './fill.ts';

/** History is kept whole while it is measured, and no snapshot is written but those that are asked for. */
const RETENTION_BYTES = 64 * 1024 ** 3;
const WRITES_A_TURN = 256;
const SEED = 777;
const MEBIBYTE = 1024 ** 2;

/** Where an archive is, and how it is reached. */
export interface Place {
  readonly target: string;
  readonly endpoint?: string;
  readonly encrypted: boolean;
}

export interface BackedUp {
  readonly bytes: number;
  readonly plainBytes: number;
  readonly milliseconds: number;
}

/** What a restore gave, with all times from its call. */
export interface Served {
  /** Until the directory was there. */
  readonly restoredMs: number;
  /** Until the site had the tree and took writes. */
  readonly servesMs: number;
  readonly digest: string;
}

type SiteStore = Awaited<ReturnType<typeof openStore>>;

/** The tasks of a process with one store that is archived. */
export class ArchiveTasks {
  #store: SiteStore | undefined;
  #paths: string[][] = [];
  #next = 0;
  /** No value is written twice: a commit that changes nothing is none. */
  #value = 0;

  /** @param place archives continuously into it; a file with its recipients is made beside the data */
  async open(data: string, place?: Place): Promise<void> {
    let archive: ArchiveOptions | undefined;
    if (place !== undefined) {
      const { target, endpoint, encrypted } = place;
      await initArchive(target, { ...(encrypted ? { recipients: [RECIPIENT] } : {}), ...service(place) });
      if (encrypted) writeFileSync(`${data}.recipients`, RECIPIENT);
      archive = { target, ...(encrypted ? { recipients: `${data}.recipients` } : {}), ...(endpoint === undefined ? {} : { endpoint }) };
    }
    const journal = { retentionMaxBytes: RETENTION_BYTES, snapshotBytes: RETENTION_BYTES };
    this.#store = await openStore({ data, journal, ...(archive === undefined ? {} : { archive }) });
  }

  async fill(shape: Shape): Promise<void> {
    await fill(this.#opened, shape);
    await this.aimAtCounters(shape);
  }

  /** As in the other measures. */
  async aimAtCounters(shape: Shape): Promise<void> {
    this.#paths = picks(shape);
  }

  /** A change goes to any leaf, not only to the counters that others write. */
  async aimAnywhere(shape: Shape): Promise<void> {
    this.#paths = shuffled([...leaves(shape)].map(([path]) => path.split('/')));
  }

  /** Commits one leaf at a time. @returns milliseconds until all were stable */
  async write(count: number): Promise<number> {
    const store = this.#opened;
    const began = now();
    for (let written = 0; written < count; written++) {
      store.put(this.#path(), this.#value++);
      if (written % WRITES_A_TURN !== 0) continue;
      await nextTurn();
      while (store.position.revision - store.journal.log.stable.revision > UNSETTLED_COMMITS) await nextTurn();
    }
    await store.flush();
    return now() - began;
  }

  /** The same changes as lines of JSON, `{op, path, value}`: their bytes. */
  async bytesAsLines(count: number): Promise<number> {
    const before = this.#next;
    let bytes = 0;
    for (let written = 0; written < count; written++) {
      const path = `/${this.#path().join('/')}`;
      bytes += JSON.stringify({ op: 'put', path, value: this.#value + written }).length + 1;
    }
    this.#next = before;
    return bytes;
  }

  async mark(name: string): Promise<{ readonly digest: string }> {
    const store = this.#opened;
    store.mark(name);
    await store.flush();
    using snapshot = store.snapshot();
    return { digest: snapshot.digestAt([]) ?? '' };
  }

  async backup(place: Place): Promise<BackedUp> {
    const { bytes, plainBytes, milliseconds } = await backup(this.#opened, place.target, {
      ...(place.encrypted ? { recipients: [RECIPIENT] } : {}),
      ...service(place),
    });
    return { bytes, plainBytes, milliseconds };
  }

  /** Resolves when nothing is left to be indexed or archived. */
  async settled(): Promise<void> {
    await this.#opened.changeIndex?.caughtUp();
    await this.#opened.archive?.backup();
  }

  /**
   * Commits at a steady beat, and looks at the archive between two commits.
   * @returns the age of the newest change in the archive at each look, in milliseconds
   */
  async ages(perSecond: number, seconds: number): Promise<Float64Array> {
    const store = this.#opened;
    const ages = new Float64Array(perSecond * seconds);
    const began = now();
    for (let commit = 0; commit < ages.length; commit++) {
      while (now() - began < (commit * 1e3) / perSecond) await pause(1);
      store.put(this.#path(), this.#value++);
      ages[commit] = Date.now() - (this.#archive.status.time ?? 0);
    }
    return ages;
  }

  async restore(place: Place, data: string, to: string): Promise<Served> {
    const began = now();
    await restore(place.target, { data, to, ...(place.encrypted ? { identities: [IDENTITY] } : {}), ...service(place) });
    const restoredMs = now() - began;
    const store = await openStore({ data });
    using snapshot = store.snapshot();
    const digest = snapshot.digestAt([]) ?? '';
    store.put(['served'], true);
    await store.flush();
    return { restoredMs, servesMs: now() - began, digest };
  }

  /** What a task adds at most to the memory of this process, in MiB. */
  async peakOf(task: 'backup' | 'restore' | 'verify', place: Place, data: string): Promise<number> {
    globalThis.gc?.();
    const before = statusOf('VmRSS');
    // Linux begins to watch for the highest anew.
    writeFileSync('/proc/self/clear_refs', '5');
    if (task === 'backup') await this.backup(place);
    else if (task === 'restore')
      await restore(place.target, { data, ...(place.encrypted ? { identities: [IDENTITY] } : {}), ...service(place) });
    else await verifyArchive(place.target, { level: 2, ...(place.encrypted ? { identities: [IDENTITY] } : {}), ...service(place) });
    return (statusOf('VmHWM') - before) / MEBIBYTE;
  }

  /**
   * What the tree of the site in a directory takes of the heap of this process, in MiB: what is left of it behind a
   * collection. A process needs more than that for it, which counts as beyond the tree.
   */
  async treeOf(data: string): Promise<number> {
    globalThis.gc?.();
    const before = process.memoryUsage().heapUsed;
    this.#store = await openStore({ data });
    globalThis.gc?.();
    return (process.memoryUsage().heapUsed - before) / MEBIBYTE;
  }

  /** Bytes of all files below a directory. */
  async bytesOf(directory: string): Promise<number> {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    return entries.reduce((sum, entry) => sum + (entry.isFile() ? statSync(join(entry.parentPath, entry.name)).size : 0), 0);
  }

  async close(): Promise<void> {
    await this.#store?.close();
    this.#store = undefined;
  }

  #path(): string[] {
    return this.#paths[this.#next++ % this.#paths.length]!;
  }

  get #opened(): SiteStore {
    if (this.#store === undefined) throw new Error('the store is not open');
    return this.#store;
  }

  get #archive() {
    const { archive } = this.#opened;
    if (archive === undefined) throw new Error('the store has no archive');
    return archive;
  }
}

/** In an order that can't be foreseen, and is the same each time: each comes once before one comes again. */
function shuffled<T>(items: T[]): T[] {
  let seed = SEED;
  for (let left = items.length; left > 1; left--) {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    const drawn = Math.floor((seed / 0x1_0000_0000) * left);
    [items[left - 1], items[drawn]] = [items[drawn]!, items[left - 1]!];
  }
  return items;
}

function service({ endpoint }: Place): { readonly endpoint?: string } {
  return endpoint === undefined ? {} : { endpoint };
}

/** Of this process, in bytes. Linux alone tells it. */
function statusOf(name: 'VmRSS' | 'VmHWM'): number {
  return Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
}
