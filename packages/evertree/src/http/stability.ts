import {
  covers,
  EvertreeError,
  isEvertreeError,
  samePosition,
  Waiters,
  type Epoch,
  type ExactPosition,
  type Snapshot,
  type Store,
} from '@evertree/core';

/**
 * How often the state is pinned that reads fall back on while storage is full. Commits copy what is pinned before they
 * change it. Up to this rate that costs next to nothing, and each stable state is pinned. Above it, one is pinned once
 * an interval: pinning each stable state halved a million commits a second.
 */
const QUIET_COMMITS_PER_MS = 10;
const VIEW_INTERVAL_MS = 1_000;

/** A pinned snapshot that may leave the process. Its holder releases it. */
export interface Reading extends Disposable {
  readonly snapshot: Snapshot;
}

/**
 * Decides what may leave the process: no answer leaves before the position that it names is stable here (law 2).
 *
 * It keeps one stable state pinned for reads while storage is full, when the present tree holds what may yet be lost.
 */
export class Stability implements Disposable {
  readonly #store: Store;
  readonly #listening: readonly Disposable[];
  readonly #waiters: Waiters;
  /** The table of epochs as of the last progress: another one may mean that the history went back. */
  #epochs: readonly Epoch[];
  #view: SharedSnapshot | undefined;
  /** Pinned, but not stable yet: the next view. */
  #nextView: SharedSnapshot | undefined;
  #pinnedAt: number;
  #pinnedRevision = -Infinity;
  /** Renews the view when its time has come. */
  #later: Disposable | undefined;

  constructor(store: Store) {
    this.#store = store;
    this.#waiters = new Waiters(store.lineage);
    this.#epochs = store.epochs;
    this.#pinnedAt = store.clock.monotonic() - VIEW_INTERVAL_MS;
    this.#listening = [store.on('stable', () => this.#advance()), store.on('state', () => this.#judge())];
    this.#renewView();
  }

  /**
   * Resolves when `position` is stable.
   * @throws EvertreeError STORAGE_FULL, STORAGE_FAILED, CLOSED; FENCED when the history went back behind it
   */
  reached(position: ExactPosition): Promise<void> {
    const failure = this.#isStable(position) ? undefined : this.#failure();
    if (failure !== undefined) return Promise.reject(failure);
    return this.#waiters.wait(position, this.#store.stable.position.revision);
  }

  /** Resolves when all that is in the tree now is stable, so that an answer may speak of it. Throws as `reached`. */
  settled(): Promise<void> {
    return this.reached(this.#store.position);
  }

  /**
   * The tree as it is now, once it is stable; while storage is full, the newest stable state known.
   * @throws EvertreeError STORAGE_FAILED, CLOSED; STORAGE_FULL when no stable state is known
   */
  async read(): Promise<Reading> {
    const snapshot = this.#store.snapshot();
    try {
      await this.reached(snapshot.position);
    } catch (error) {
      snapshot.release();
      if (this.#store.state === 'full' && this.#view !== undefined) return this.#view.share();
      // The history went back behind this state while it was waited for: the present state is read.
      if (isEvertreeError(error, 'FENCED')) return this.read();
      throw error;
    }
    return { snapshot, [Symbol.dispose]: () => snapshot.release() };
  }

  [Symbol.dispose](): void {
    for (const listening of this.#listening) listening[Symbol.dispose]();
    this.#later?.[Symbol.dispose]();
    this.#waiters.fail(new EvertreeError('CLOSED', 'the site is closing'));
    this.#view?.release();
    this.#nextView?.release();
    this.#view = this.#nextView = undefined;
  }

  #isStable(position: ExactPosition): boolean {
    return covers({ epochs: this.#store.epochs, last: this.#store.stable.position }, position);
  }

  #advance(): void {
    if (this.#epochs !== this.#store.epochs) this.#recheck();
    this.#waiters.reached(this.#store.stable.position.revision);
    this.#renewView();
  }

  /** The history may have gone back: what it does not hold any more can't be waited for, or read. */
  #recheck(): void {
    const { epochs, lineage } = this.#store;
    this.#epochs = epochs;
    this.#waiters.recheck();
    const [view, nextView] = [this.#view, this.#nextView].map(each => {
      if (each === undefined || covers(lineage, each.snapshot.position)) return each;
      each.release();
      return undefined;
    });
    this.#view = view;
    this.#nextView = nextView;
  }

  #renewView(): void {
    if (this.#nextView !== undefined) {
      if (!this.#isStable(this.#nextView.snapshot.position)) return;
      this.#view?.release();
      this.#view = this.#nextView;
      this.#nextView = undefined;
    }
    const { position, clock } = this.#store;
    const revisions = position.revision - this.#pinnedRevision;
    if (this.#view !== undefined && samePosition(this.#view.snapshot.position, position)) return;
    const elapsedMs = clock.monotonic() - this.#pinnedAt;
    const isQuiet = this.#isStable(position) && revisions <= elapsedMs * QUIET_COMMITS_PER_MS;
    if (!isQuiet && elapsedMs < VIEW_INTERVAL_MS) {
      // A burst may end here, with no further event.
      this.#later ??= clock.after(VIEW_INTERVAL_MS - elapsedMs, () => {
        this.#later = undefined;
        this.#renewView();
      });
      return;
    }
    this.#pinnedAt += elapsedMs;
    this.#pinnedRevision = position.revision;
    this.#nextView = new SharedSnapshot(this.#store.snapshot());
    if (this.#isStable(position)) this.#renewView();
  }

  #judge(): void {
    const failure = this.#failure();
    if (failure !== undefined) this.#waiters.fail(failure);
  }

  #failure(): EvertreeError | undefined {
    switch (this.#store.state) {
      case 'full':
        return new EvertreeError(
          'STORAGE_FULL',
          'there is no room on the disk; what was committed just before is in memory, and becomes durable when there is room again',
        );
      case 'failed':
        return new EvertreeError('STORAGE_FAILED', 'the disk failed; the site has to be started again', {}, this.#store.stateReason);
      case 'closed':
        return new EvertreeError('CLOSED', 'the site is closing');
      case 'open':
      case 'refusing':
      default:
        return undefined;
    }
  }
}

/** A snapshot that several hold; the last one to let go releases it. */
class SharedSnapshot {
  readonly snapshot: Snapshot;
  #holders = 1;

  constructor(snapshot: Snapshot) {
    this.snapshot = snapshot;
  }

  share(): Reading {
    this.#holders++;
    let held = true;
    return {
      snapshot: this.snapshot,
      [Symbol.dispose]: () => {
        if (held) this.release();
        held = false;
      },
    };
  }

  release(): void {
    if (--this.#holders === 0) this.snapshot.release();
  }
}
