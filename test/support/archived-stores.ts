import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Archive, type Target, openTarget, restoreSite } from '@evertree/archive';
import { type Store, type Value, samePosition } from '@evertree/core';
import { nodeDisk } from '@evertree/journal';
import { type OpenStoreOptions, type SiteStore, openStore } from 'evertree';
import { siteOf } from '../../packages/evertree/src/site/store.ts';
import { type JudgedArchive, Testimony, judgeArchive } from './archive-judge.ts';
import { systemClock as clock, systemRandom as random } from './host.ts';
import { until } from './http-site.ts';
import { collectReports } from './reports.ts';
import { framesOf } from './stores.ts';

/** Stores that archive into one directory, continuously, and what their trees were. */
export class ArchivedStores implements AsyncDisposable {
  readonly place: string;
  readonly testimony = new Testimony();
  readonly reports;
  readonly #folder: string;
  readonly #report;
  /** By their directories. */
  readonly #open = new Map<string, SiteStore>();

  private constructor(folder: string) {
    this.#folder = folder;
    this.place = join(folder, 'archive');
    const { reports, report } = collectReports();
    this.reports = reports;
    this.#report = report;
  }

  static async prepare(): Promise<ArchivedStores> {
    return new ArchivedStores(await mkdtemp(join(tmpdir(), 'evertree-lines-')));
  }

  data(name: string): string {
    return join(this.#folder, name);
  }

  get archive(): NonNullable<OpenStoreOptions['archive']> {
    return { target: this.place, every: '50ms' };
  }

  /** @param data its directory; one of these stores' own by default */
  async open(name: string, data = this.data(name)): Promise<SiteStore> {
    const store = await openStore({ data, site: name, log: this.#report, archive: this.archive });
    this.#open.set(data, store);
    return store;
  }

  /** Closes it after everything was archived. */
  async close(name: string): Promise<void> {
    const store = this.#open.get(this.data(name))!;
    await this.archived(store);
    this.#open.delete(this.data(name));
    await store.close();
  }

  /** The directory of a closed one as another one, as `cp -r` makes it. */
  async copy(name: string, as: string): Promise<void> {
    await cp(this.data(name), this.data(as), { recursive: true });
  }

  /** Commits, each durable before the next. */
  async commit(store: Store, count: number): Promise<void> {
    for (let index = 0; index < count; index++) {
      await store.transact(tx => {
        tx.put(`/numbers/${index % 50}`, store.position.revision);
        tx.put('/by', `${store.site} in epoch ${store.position.epoch}`);
      }).durable;
    }
    await this.hear(store);
  }

  /** Remembers what its journal says. */
  async hear(store: Store): Promise<void> {
    await store.flush();
    this.testimony.take(await framesOf(store.journal));
  }

  /** Waits until all that is committed is in the archive. */
  async archived(store: Store): Promise<void> {
    await store.flush();
    await until(() => {
      const { position } = siteOf(store).archive!.status;
      return position !== null && samePosition(position, store.journal.log.stable);
    }, 20_000);
  }

  target(): Promise<Target> {
    return openTarget(this.place, { clock, random, make: true });
  }

  /** Rebuilds every state that the archive lists. */
  async judge(): Promise<JudgedArchive> {
    await using target = await this.target();
    return await judgeArchive(target, this.testimony);
  }

  /** Restores the newest state of every line into a directory of its own. @returns the whole trees */
  async restoreAll(): Promise<Value[]> {
    await using target = await this.target();
    const { lines } = await Archive.open(target);
    const trees: Value[] = [];
    for (const { id: line } of lines) {
      const data = this.data(`restored-${line}`);
      await restoreSite({ target, disk: nodeDisk(data), clock, random, line, dryRun: false });
      await using store = await openStore({ data, log: this.#report });
      trees.push(store.get('')!);
    }
    return trees;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(Array.from(this.#open.values(), store => store.close()));
    await rm(this.#folder, { recursive: true, force: true });
  }
}
