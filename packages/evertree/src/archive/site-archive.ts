import {
  type ArchiveLease,
  type ArchiveStatus,
  ArchiveThread,
  type ArchivingThread,
  type BackupResult,
  type BackupProgress,
  type DrillNote,
  type VerificationNote,
  openTarget,
} from '@evertree/archive';
import { type ExactPosition, type Leases, type Store, isEvertreeError } from '@evertree/core';
import { nodeClock, nodeRandom } from '../site/machine.ts';
import { awaitThreadEnd, withinTime } from '../site/thread-end.ts';
import { NewestReports } from './newest-reports.ts';
import { type WrittenArchive, backupBy, followOptions, targetSettings, threadOptions } from './thread-options.ts';

/** How long a site that closes waits until what was committed last is in the archive. */
const LAST_OBJECT_MS = 5_000;

/** What is shown of a site's archive. */
export interface SiteArchiveStatus extends ArchiveStatus {
  /** The newest drill of the archive, whoever made it; null if none is known. */
  readonly drilled: DrillNote | null;
  readonly verified: VerificationNote | null;
}

/**
 * The continuous archive of a site, whatever its role. A thread reads the journal and writes to the target; here are the
 * lease that keeps the history for it, and what others ask about it. Nothing of it is on the way of a commit, and a
 * target that is away stops nothing.
 */
export class SiteArchive implements AsyncDisposable {
  readonly target: string;
  /** Texts `age1…`, sorted; undefined for an archive that is not encrypted. */
  readonly recipients: readonly string[] | undefined;
  readonly #store: Store;
  readonly #thread: ArchivingThread;
  readonly #reports: NewestReports;
  #closing: Promise<void> | undefined;

  /** @param directory the site's */
  constructor(store: Store, directory: string, archive: WrittenArchive) {
    this.target = archive.target;
    this.recipients = archive.recipients;
    this.#store = store;
    this.#thread = new ArchiveThread({
      ...threadOptions(store, directory, archive, followOptions(archive)),
      held: () => heldFrom(store.journal.leases),
      events: {
        report: store.report,
        lease: holdInstead(store.journal.leases),
        makeSnapshot: async () => void (await store.saveSnapshot()),
      },
    });
    const machine = { clock: nodeClock, random: nodeRandom };
    this.#reports = new NewestReports(nodeClock, () => openTarget(archive.target, { ...machine, ...targetSettings(archive) }));
  }

  get status(): SiteArchiveStatus {
    const { drilled, verified } = this.#reports;
    return { ...this.#thread.status, drilled, verified };
  }

  /** Archives everything that is stable now, without waiting until it is due. */
  backup(progress?: (progress: BackupProgress) => void): Promise<BackupResult> {
    return backupBy(this.#thread, this.#store.clock, progress);
  }

  /** Archives what was committed last, if that takes no more than a moment, and ends. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#end());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #end(): Promise<void> {
    await this.#reports[Symbol.asyncDispose]();
    try {
      await this.#finish();
    } finally {
      const thread = { event: 'archive-thread-stuck', does: `archives to ${this.target}`, place: 'that target' };
      await awaitThreadEnd(this.#thread.close(), this.#store.report, thread);
    }
  }

  async #archiveRest(): Promise<void> {
    await this.#store.flush();
    if (this.#thread.status.lag.commits > 0) await this.#thread.backup();
  }

  /** Also where the archiving is only about to begin, but not in an outage: it is not over because the site closes. */
  async #finish(): Promise<void> {
    const store = this.#store;
    if (this.#thread.status.lastError !== null) return;
    try {
      // Also the flush: on a full disk it ends with the store.
      await withinTime(LAST_OBJECT_MS, this.#archiveRest());
    } catch (error) {
      // The next start goes on from there.
      const reason = isEvertreeError(error) ? error.message : String(error);
      const message = `the site closes before its archive ${this.target} has everything: ${reason}; the next start goes on`;
      store.report({ level: 'info', event: 'archive-behind', message, details: { error } });
    }
  }
}

/** Holds the history for the archive that the site writes, and for none that it wrote before. */
function holdInstead(leases: Leases): (lease: ArchiveLease) => void {
  let before: Iterable<string> = [...leases.of('backup').keys()];
  return ({ name, position }) => {
    const isNew = !leases.of('backup').has(name);
    leases.hold('backup', name, position);
    // It is written within a second anyway; a backup by another process should know of it at once.
    if (isNew) leases.flush().catch(() => undefined);
    for (const other of before) if (other !== name) leases.release('backup', other);
    before = [name];
  };
}

/** From where the history is held for an archive, whichever it is. */
function heldFrom(leases: Leases): ExactPosition | undefined {
  const positions = [...leases.of('backup').values()].map(({ position }) => position);
  return positions.toSorted((a, b) => a.revision - b.revision)[0];
}
