import { type ExactPosition, ORIGIN, type Store, samePosition } from '@evertree/core';
import { fileFailed } from '@evertree/journal/files';

const DEFAULT_SNAPSHOT_BYTES = 64 * 1024 * 1024;
/** Retention removes only what a snapshot covers: one is due before the history takes all the room it may. */
const RETENTION_FRACTION = 1 / 4;
const RETENTION_INTERVAL_MS = 60_000;

/** History goes in steps from one snapshot to the next: a limit of age or count is divided into so many. */
const LIMIT_STEPS = 4;

export interface SnapshotScheduleOptions {
  readonly snapshotBytes?: number | undefined;
  /** The limits of the history, where there are any. */
  readonly retentionMaxMs?: number | undefined;
  readonly retentionMaxCommits?: number | undefined;
}

/**
 * Writes a snapshot of a store whenever its journal has grown by `snapshotBytes` since the last one, or by that one's
 * own size if it is larger: so all snapshots together cost no more writing than the history itself. Where the history
 * has a limit of age or count it writes one for each quarter of that, so that the oldest history can go. Applies
 * retention once a minute.
 */
export class SnapshotSchedule {
  readonly #store: Store;
  readonly #snapshotBytes: number;
  /** A snapshot is due if the newest is older, or if more commits follow it. Infinite without limits. */
  readonly #longestMs: number;
  readonly #mostCommits: number;
  readonly #hooks = new DisposableStack();
  #interval: Disposable | undefined;
  /**
   * What the journal took on the disk when the last snapshot was made, or takes now if that is less. Undefined before
   * the first commit.
   */
  #baselineBytes: number | undefined;
  /** The size of the newest snapshot. */
  #lastBytes = 0;
  /** Where the journal began when the snapshots were counted last: it moves when a full copy replaces the history. */
  #base: ExactPosition;
  /** The position of the newest snapshot. */
  #newest: ExactPosition | undefined;
  /** Its commit time. */
  #newestMs: number | undefined;
  /** A snapshot is being written or counted, or retention applied: one at a time. */
  #isRunning = false;
  #stopped = false;

  /** It ends with the store. */
  static start(store: Store, options: SnapshotScheduleOptions = {}): SnapshotSchedule {
    const schedule = new SnapshotSchedule(store, options);
    schedule.#recount();
    // Everything beside the snapshot counts as growth since. A new site's first segment is empty, and so no growth.
    schedule.#baselineBytes = samePosition(store.journal.log.last, ORIGIN) ? undefined : schedule.#lastBytes;
    schedule.#retainLater();
    return schedule;
  }

  private constructor(store: Store, { snapshotBytes, retentionMaxMs, retentionMaxCommits }: SnapshotScheduleOptions) {
    this.#store = store;
    this.#snapshotBytes = snapshotBytes ?? defaultSnapshotBytes(store);
    this.#longestMs = stepOf(retentionMaxMs);
    this.#mostCommits = stepOf(retentionMaxCommits);
    this.#base = store.journal.log.base;
    this.#hooks.use(store.journal.log.onProgress(() => this.#check()));
    this.#hooks.use(store.on('state', () => this.#endWithStore()));
  }

  #endWithStore(): void {
    if (this.#store.state !== 'closed') return;
    this.#stopped = true;
    this.#interval?.[Symbol.dispose]();
    this.#hooks.dispose();
  }

  #check(): void {
    if (this.#isRunning || this.#stopped) return;
    const { journal } = this.#store;
    if (journal.log.state !== 'open') return;
    if (!samePosition(journal.log.base, this.#base)) return this.#recount();
    // Retention may have removed segments: growth counts from what is left.
    this.#baselineBytes = Math.min(this.#baselineBytes ?? Infinity, journal.retention.storedBytes);
    const isLong = journal.log.stable.revision - (this.#newest?.revision ?? 0) > this.#mostCommits;
    if (isLong || journal.retention.storedBytes - this.#baselineBytes >= Math.max(this.#snapshotBytes, this.#lastBytes))
      this.#run(() => this.#save());
  }

  /** A failure is reported; the next attempt follows the next growth. */
  #run(task: () => Promise<void>): void {
    this.#isRunning = true;
    void task()
      .catch((error: unknown) => {
        if (this.#stopped) return;
        this.#baselineBytes = this.#store.journal.retention.storedBytes;
        const message = `no snapshot was written: ${fileFailed(error)?.message ?? String(error)}`;
        this.#store.report({ level: 'warn', event: 'snapshot-failed', message, details: { error } });
      })
      .finally(() => {
        this.#isRunning = false;
      });
  }

  async #save(): Promise<void> {
    const begun = this.#store.clock.monotonic();
    const { position } = await this.#store.saveSnapshot();
    this.#recount();
    const durationMs = Math.round(this.#store.clock.monotonic() - begun);
    const details = { position, bytes: this.#lastBytes, durationMs };
    this.#store.report({ level: 'info', event: 'snapshot-saved', message: 'a snapshot was written', details });
  }

  /** Looks up the newest snapshot, after one was written or a full copy brought one along. */
  #recount(): void {
    const { journal } = this.#store;
    this.#base = journal.log.base;
    const snapshot = journal.snapshots.list.at(-1);
    if (snapshot === undefined || (this.#newest !== undefined && samePosition(snapshot.position, this.#newest))) return;
    this.#newest = snapshot.position;
    this.#newestMs = snapshot.time;
    this.#lastBytes = snapshot.bytes;
    this.#baselineBytes = journal.retention.storedBytes;
  }

  /** Whether commits follow the newest snapshot, which is older than a step of the limit. */
  #isOld(): boolean {
    const { journal, clock, epochs } = this.#store;
    if (journal.log.state !== 'open' || journal.log.stable.revision === (this.#newest?.revision ?? 0)) return false;
    return clock.now() - (this.#newestMs ?? epochs[0]?.time ?? Infinity) > this.#longestMs;
  }

  #retainLater(): void {
    this.#interval = this.#store.clock.after(RETENTION_INTERVAL_MS, () => {
      if (this.#stopped) return;
      if (!this.#isRunning) this.#run(() => (this.#isOld() ? this.#save() : this.#store.journal.retention.apply()));
      this.#retainLater();
    });
  }
}

/** A part of a limit; without one, or where nothing is kept that nobody asks for, there are no steps. */
function stepOf(limit: number | undefined): number {
  return limit === undefined || limit === 0 ? Infinity : limit / LIMIT_STEPS;
}

function defaultSnapshotBytes({ journal }: Store): number {
  return Math.min(DEFAULT_SNAPSHOT_BYTES, (journal.retention.status?.maxBytes ?? Infinity) * RETENTION_FRACTION);
}
