import {
  type ArchiveProgress,
  Archiver,
  ARCHIVER_DEFAULTS,
  type ArchiverOptions,
  DirectorySource,
  LineFile,
  type Sealing,
  type Target,
} from '@evertree/archive';
import { type Clock, type Random, type Report, samePosition, type Store } from '@evertree/core';
import type { JournalOptions } from '@evertree/journal';
import type { FaultDisk } from './fault-disk.ts';
import { systemClock, systemRandom } from './host.ts';
import { SMALL } from './offline-site.ts';
import { collectReports } from './reports.ts';
import { diskStore } from './stores.ts';

export interface ArchivingSiteOptions {
  readonly site?: string;
  readonly journalOptions?: JournalOptions;
  readonly options?: Partial<ArchiverOptions>;
  readonly sealing?: Sealing;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Is told each progress. */
  readonly heard?: (progress: ArchiveProgress) => void;
}

/** A site that archives all the time, in this thread. */
export class ArchivingSite implements AsyncDisposable {
  readonly disk: FaultDisk;
  readonly store: Store;
  readonly archiver: Archiver;
  readonly reports: readonly Report[];
  progress: ArchiveProgress | undefined;
  readonly #hooks = new DisposableStack();
  #listeners: (() => void)[] = [];

  private constructor(
    store: Store,
    told: { readonly reports: readonly Report[]; readonly report: (report: Report) => void },
    parts: { readonly disk: FaultDisk; readonly target: Target; readonly lines: LineFile } & ArchivingSiteOptions,
  ) {
    this.disk = parts.disk;
    this.store = store;
    this.reports = told.reports;
    const { disk, target, lines, sealing = 'plain', clock = systemClock, random = systemRandom } = parts;
    const makeSnapshot = async () => (await store.saveSnapshot(), true);
    this.archiver = new Archiver({
      target,
      source: new DirectorySource({ disk, site: store.site, told: () => store.journal.log, makeSnapshot }),
      lines,
      sealing,
      clock,
      random,
      options: { ...ARCHIVER_DEFAULTS, everyMs: 2, ...parts.options },
      events: {
        report: told.report,
        lease: ({ name, position }) => store.journal.leases.hold('backup', name, position),
        progress: progress => this.#progressed(progress, parts.heard),
      },
    });
    this.#hooks.use(store.journal.log.onProgress(() => this.archiver.noticed()));
    this.archiver.start();
  }

  static async open(disk: FaultDisk, target: Target, options: ArchivingSiteOptions = {}): Promise<ArchivingSite> {
    const { store } = await diskStore(disk, { site: options.site ?? 'disk', journalOptions: options.journalOptions ?? SMALL });
    const told = collectReports();
    return new ArchivingSite(store, told, { ...options, disk, target, lines: await LineFile.open(disk, told.report) });
  }

  get events(): readonly string[] {
    return this.reports.map(({ event }) => event);
  }

  /** Resolves when a condition holds: it is asked after each progress and each report. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>(resolve => this.#listeners.push(resolve));
  }

  /** Resolves when everything that is stable now is archived. */
  async archived(): Promise<void> {
    const { stable } = this.store.journal.log;
    await this.until(() => (this.progress?.position?.revision ?? 0) >= stable.revision);
  }

  /** Whether the archive is said to hold all of the history. */
  get isCurrent(): boolean {
    const position = this.progress?.position;
    return position !== null && position !== undefined && samePosition(position, this.store.journal.log.stable);
  }

  async close(): Promise<void> {
    this.#hooks.dispose();
    await this.archiver.close();
    await this.store.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #progressed(progress: ArchiveProgress, heard: ArchivingSiteOptions['heard']): void {
    this.progress = progress;
    heard?.(progress);
    for (const listener of this.#listeners.splice(0)) listener();
  }
}
