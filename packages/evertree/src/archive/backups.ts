import { isDeepStrictEqual } from 'node:util';
import { EvertreeError, type Store } from '@evertree/core';
import type { BackupOptions, BackupOutcome, ForecastOutcome } from './backup-options.ts';
import { checkApart, sameTarget } from './places.ts';
import type { SiteArchive } from './site-archive.ts';

/** The backups of a site that are asked for one by one; they go on beside its continuous archive, if it has one. */
export class Backups {
  readonly #store: Store;
  readonly #directory: string | undefined;
  readonly #archive: SiteArchive | undefined;
  readonly #closing = new AbortController();
  #current: Promise<unknown> = Promise.resolve();
  #underWay = 0;
  #lastCompleted: number | undefined;

  /** @param directory the site's; undefined in memory */
  constructor(store: Store, directory: string | undefined, archive: SiteArchive | undefined) {
    this.#store = store;
    this.#directory = directory;
    this.#archive = archive;
  }

  /** Whether one is under way. */
  get isBusy(): boolean {
    return this.#underWay > 0;
  }

  /** When the newest one ended well, milliseconds since 1970; undefined if none did since the start. */
  get lastCompleted(): number | undefined {
    return this.#lastCompleted;
  }

  /**
   * Archives everything that is stable now; after those that are under way. A place where nothing is becomes an archive.
   * @param target a directory, or `s3://bucket/prefix`
   * @throws EvertreeError CONFIGURATION_INVALID; what the target throws; STREAM_MISMATCH where the archive is another
   *   tree's; FORBIDDEN where it is encrypted for others
   */
  run(target: string, options: BackupOptions = {}): Promise<BackupOutcome> {
    return this.#inTurn(async () => {
      const directory = this.#ownDirectory(target);
      const outcome = await this.#carryOut(directory, target, options);
      this.#lastCompleted = this.#store.clock.now();
      return outcome;
    });
  }

  /** What `run` would archive now. Changes nothing. Throws as `run`. */
  async forecast(target: string, options: BackupOptions = {}): Promise<ForecastOutcome> {
    const directory = this.#ownDirectory(target);
    const { forecastDirectory } = await import('./one-backup.ts');
    return forecastDirectory(directory, target, options);
  }

  /** Ends the one that is under way; what it published stays, and the next one goes on from there. */
  close(): void {
    this.#closing.abort();
  }

  async #carryOut(directory: string, target: string, options: BackupOptions): Promise<BackupOutcome> {
    const archive = this.#archive;
    if (archive !== undefined && sameTarget(archive.target, target)) {
      checkRecipients(archive, options);
      return { site: this.#store.site, target, made: false, ...(await archive.backup(options.progress)) };
    }
    const { backupSite } = await import('./one-backup.ts');
    return backupSite(this.#store, directory, target, { ...options, signal: this.#closing.signal });
  }

  /** @throws EvertreeError CONFIGURATION_INVALID, NOT_DURABLE */
  #ownDirectory(target: string): string {
    if (this.#directory === undefined) {
      const message = 'this site is in memory, and a backup is read from the journal on a disk; open it with a directory';
      throw new EvertreeError('NOT_DURABLE', message, { target });
    }
    checkApart(this.#directory, target);
    return this.#directory;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.#underWay++;
    const done = this.#current.then(work);
    this.#current = done.catch(() => undefined);
    try {
      return await done;
    } finally {
      this.#underWay--;
    }
  }
}

/**
 * Whoever names recipients must not get an archive for others, or none.
 * @throws EvertreeError CONFIGURATION_INVALID
 */
function checkRecipients({ target, recipients: own = [] }: SiteArchive, { recipients }: BackupOptions): void {
  if (recipients === undefined || isDeepStrictEqual([...new Set(recipients)].toSorted(), own)) return;
  const message = `this site archives to ${target} for other recipients than those that are named; leave them out, or name exactly those of its file`;
  throw new EvertreeError('CONFIGURATION_INVALID', message, { target });
}
