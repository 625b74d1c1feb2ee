import { type ExactPosition, ORIGIN, type Store, samePosition } from '@evertree/core';

const DEFAULT_SNAPSHOT_BYTES = 64 * 1024 * 1024;
/** Without a snapshot no history goes: there is one before it takes what it may. */
const RETENTION_FRACTION = 1 / 4;
const RETENTION_INTERVAL_MS = 60_000;

/**
 * Has a store write a snapshot whenever its journal has grown by `snapshotBytes` since the last one, or by the last one's own size if
 * that is more: so all snapshots together never cost more writing than the history itself. Retention runs once a minute beside it.
 */
export class SnapshotSchedule {
  readonly #store: Store;
  readonly #snapshotBytes: number;
  readonly #hooks = new DisposableStack();
  #interval: Disposable | undefined;
  /** What the journal held when the last snapshot was made (undefined: not known before the first commit), and how large that was. */
  #baselineBytes: number | undefined;
  #lastBytes = 0;
  #base: ExactPosition;
  #newest: ExactPosition | undefined;
  #isRunning = false;
  #stopped = false;

  /** Begins once it knows the snapshot that is there already. */
  static async start(store: Store, snapshotBytes = defaultSnapshotBytes(store)): Promise<SnapshotSchedule> {
    const schedule = new SnapshotSchedule(store, snapshotBytes);
    await schedule.#recount();
    // What is there beside the snapshot came after it, or is kept for a peer; a new site's first segment is only room for what will come.
    schedule.#baselineBytes = samePosition(store.journal.log.last, ORIGIN) ? undefined : schedule.#lastBytes;
    schedule.#retainLater();
    return schedule;
  }

  private constructor(store: Store, snapshotBytes: number) {
    this.#store = store;
    this.#snapshotBytes = snapshotBytes;
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
    if (!samePosition(journal.log.base, this.#base)) return this.#run(() => this.#recount());
    // Retention made room since: growth counts from what is left.
    this.#baselineBytes = Math.min(this.#baselineBytes ?? Infinity, journal.retention.storedBytes);
    if (journal.retention.storedBytes - this.#baselineBytes >= Math.max(this.#snapshotBytes, this.#lastBytes))
      this.#run(() => this.#save());
  }

  /** One thing at a time; what goes wrong is told, and tried again after the next growth. */
  #run(task: () => Promise<void>): void {
    this.#isRunning = true;
    void task()
      .catch((error: unknown) => {
        if (this.#stopped) return;
        this.#baselineBytes = this.#store.journal.retention.storedBytes;
        const message = `no snapshot was written: ${String(error)}`;
        this.#store.report({ level: 'warn', event: 'snapshot-failed', message, details: { error } });
      })
      .finally(() => {
        this.#isRunning = false;
      });
  }

  async #save(): Promise<void> {
    const begun = this.#store.clock.monotonic();
    const { position } = await this.#store.saveSnapshot();
    await this.#recount();
    const durationMs = Math.round(this.#store.clock.monotonic() - begun);
    const details = { position, bytes: this.#lastBytes, durationMs };
    this.#store.report({ level: 'info', event: 'snapshot-saved', message: 'a snapshot was written', details });
  }

  /** The beginning of the journal moved, or a snapshot was made: a bootstrap brings one along. */
  async #recount(): Promise<void> {
    const { journal } = this.#store;
    this.#base = journal.log.base;
    const snapshot = await journal.snapshots.newest();
    const position = snapshot?.header.position;
    if (position === undefined || (this.#newest !== undefined && samePosition(position, this.#newest))) return;
    this.#newest = position;
    this.#lastBytes = snapshot?.bytes ?? 0;
    this.#baselineBytes = journal.retention.storedBytes;
  }

  #retainLater(): void {
    this.#interval = this.#store.clock.after(RETENTION_INTERVAL_MS, () => {
      if (this.#stopped) return;
      if (!this.#isRunning) this.#run(() => this.#store.journal.retention.apply());
      this.#retainLater();
    });
  }
}

function defaultSnapshotBytes({ journal }: Store): number {
  return Math.min(DEFAULT_SNAPSHOT_BYTES, (journal.retention.status?.maxBytes ?? Infinity) * RETENTION_FRACTION);
}
