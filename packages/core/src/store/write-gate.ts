import { EvertreeError } from '../errors.ts';
import { formatPosition } from '../position.ts';
import type { Journal, Role } from '../seams/journal.ts';
import { compareEpochs, highestEpoch, raiseFencing, type EpochName, type Fencing, type Lineage } from '../lineage.ts';
import { isFenced, standingOf, type Standing, type StandingIdentity } from './standing.ts';
import { UnrecordedFences } from './unrecorded-fences.ts';
import { fenced, notPrimary, switching } from './write-refusals.ts';
import { WriteRoute, type WriteDestination } from './write-route.ts';

/**
 * - `open`.
 * - `full`: the disk has no room; no writes, reads go on, and writes again when there is room.
 * - `refusing`: no writes, although the site's last epoch is its own: `Store.standing` and `Store.stateReason` tell why.
 * - `failed`: a write or a sync failed; start again, and the site recovers from what the disk holds.
 * - `closed`.
 */
export type StoreState = 'open' | 'full' | 'refusing' | 'failed' | 'closed';

/** Writes are held back for a switchover: they throw SWITCHING. */
export interface Hold {
  /** The switchover was given up: writes are taken again, unless the epoch has ended meanwhile. Idempotent. */
  release(): void;
}

/**
 * Decides whether a store takes commits, or another site's frames: by the journal's state, the standing, a hold, and
 * the reason that it was given to refuse.
 */
export class WriteGate {
  /** As of the last `update`; each change of it was told by `changed`. */
  state: StoreState = 'open';
  /** As of the last `update`; each change of it was told by `changed`. */
  standing: Standing = 'secondary';
  readonly #journal: Journal;
  readonly #history: Lineage;
  readonly #changed: () => void;
  /** Whether commits are taken; as of the last `update`. It is all that a commit looks at. */
  #writable = false;
  #closed = false;
  /** The history is being replaced: the journal takes no frame before that is over. */
  #replacing = false;
  /** Why writes are refused although the journal takes them and the standing allows them. */
  #refusal: EvertreeError | undefined;
  /** What this process decided about the role; its identity may not say so yet. */
  #role: Role | undefined;
  /** The command of the switchover for which writes are held back. */
  #held: string | undefined;
  readonly #unrecorded = new UnrecordedFences();
  readonly #route = new WriteRoute();

  /** `changed` is called after each change of `state` or `standing`. @param history it changes while this object lives */
  constructor(journal: Journal, history: Lineage, changed: () => void) {
    this.#journal = journal;
    this.#history = history;
    this.#changed = changed;
    this.update();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The highest epoch that this site heard of beside those of its history, recorded or not. */
  get fencedBy(): Fencing | undefined {
    return this.#unrecorded.highest(this.#journal.identity.fencedBy);
  }

  /**
   * Whether another site's epoch outranks this site's own. Until the history follows it, no commit may be answered with
   * success.
   */
  get isFenced(): boolean {
    return isFenced(this.#identity, this.#history);
  }

  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  close(): void {
    this.#closed = true;
    this.update();
    this.#route.fail(this.reason());
  }

  /** Refuses writes for this reason; with undefined it takes them again. */
  refuse(reason: EvertreeError | undefined): void {
    this.#refusal = reason;
    this.update();
  }

  /** Notes the epoch in memory; recording it is the caller's. */
  fence(fencing: Fencing): void {
    this.#unrecorded.add(fencing);
    this.update();
  }

  /** The epoch is recorded. */
  recorded(fencing: Fencing): void {
    this.#unrecorded.drop(fencing);
    this.update();
  }

  /**
   * The epoch could not be recorded: it fences this process nevertheless. The highest one is enough. A promise that a
   * secondary could not record was not given: nobody relies on it, and there are no writes to refuse.
   */
  notRecorded(fencing: Fencing): void {
    this.#unrecorded.drop(fencing);
    const fences = fencing.begun || this.standing !== 'secondary';
    if (fences && raiseFencing(this.fencedBy, fencing) !== undefined) this.#unrecorded.add(fencing);
    this.update();
  }

  /** This site's own promotion to that epoch failed before its promise was recorded: nobody ever begins it. */
  withdrawPromise(epoch: EpochName): void {
    const promise = this.#unrecorded.promiseOf(epoch);
    if (promise !== undefined) this.recorded(promise);
  }

  /** This site began an epoch, or was told to follow others: no hold and no earlier reason counts any more. */
  beginAs(role: Role): void {
    this.#role = role;
    this.#held = undefined;
    this.#refusal = undefined;
    this.update();
  }

  /** @throws EvertreeError what a write throws now; SWITCHING if writes are held back already */
  hold(command: string): Hold {
    this.assertWritable();
    this.#held = command;
    this.update();
    return {
      release: () => {
        if (this.#held === command) this.endHold();
      },
    };
  }

  endHold(): void {
    this.#held = undefined;
    this.update();
  }

  /** Resolves when it is decided where writes go. */
  destination(): Promise<WriteDestination> {
    this.update();
    if (this.#writable) return Promise.resolve({ kind: 'here' });
    if (this.#closed) return Promise.reject(this.reason());
    const leader = this.#route.leader ?? this.#followed();
    if (leader !== undefined && this.standing !== 'primary') return Promise.resolve(leader);
    return this.#route.decided();
  }

  /** It was decided who takes writes. */
  settle(destination: WriteDestination): void {
    this.#route.settle(destination, this.#writable);
  }

  /** To be called when the journal's state, the identity or the epochs of the history may have changed. */
  update(): void {
    const standing = standingOf(this.#identity, this.#history);
    const state = this.#judge(standing);
    this.#writable = state === 'open' && standing === 'primary';
    if (this.#writable && this.#route.leadsAway) this.settle({ kind: 'here' });
    if (state === this.state && standing === this.standing) return;
    this.state = state;
    this.standing = standing;
    this.#changed();
  }

  /** @throws EvertreeError STORAGE_FULL, STORAGE_FAILED, FENCED, SWITCHING, CLOSED, NOT_PRIMARY */
  assertWritable(): void {
    if (!this.#writable) throw this.reason();
  }

  /**
   * Whether this site may begin an epoch: with a number above all that it knows of, or the one that it promised itself.
   * @throws EvertreeError SWITCHING, HISTORY_MISMATCH, STORAGE_FULL, STORAGE_FAILED, CLOSED
   */
  assertMayBegin({ number, id }: EpochName): void {
    this.assertStorage();
    this.#assertStays();
    this.assertHasHistory();
    if (this.#held !== undefined && this.standing === 'primary') throw this.reason();
    const { fencedBy } = this;
    const { last: base } = this.#history;
    const isPromised = fencedBy !== undefined && fencedBy.number === number && fencedBy.id === id && !fencedBy.begun;
    const least = Math.max(base.epoch, isPromised ? 0 : (fencedBy?.number ?? 0));
    if (number > least) return;
    const message = `epoch ${number} (${id}) can't begin on ${formatPosition(base)}: its number has to be above ${least}`;
    throw new EvertreeError('HISTORY_MISMATCH', message, { base, number, id });
  }

  /** @throws EvertreeError STORAGE_FULL, STORAGE_FAILED, CLOSED; WRONG_ROLE at a primary */
  assertFollowing(): void {
    this.assertStorage();
    this.#assertStays();
    if (this.standing === 'primary') this.update();
    if (this.standing !== 'primary') return;
    const { site } = this.#journal.identity;
    throw new EvertreeError('WRONG_ROLE', `the site ${site} is a primary: it takes nothing of another's history`);
  }

  /**
   * The history goes back, or a snapshot takes its place; until the result is disposed of, nothing else moves it.
   * @throws EvertreeError what `assertFollowing` throws
   */
  replaceHistory(): Disposable {
    this.assertFollowing();
    this.#replacing = true;
    return { [Symbol.dispose]: () => void (this.#replacing = false) };
  }

  #assertStays(): void {
    if (!this.#replacing) return;
    const message = `the history of ${this.#journal.identity.site} is being replaced by that of its primary; wait until that is over`;
    throw new EvertreeError('SWITCHING', message);
  }

  /** @throws EvertreeError HISTORY_MISMATCH: there is nothing on which an epoch could begin */
  assertHasHistory(): void {
    if (this.#history.stream !== null) return;
    const { site } = this.#journal.identity;
    throw new EvertreeError('HISTORY_MISMATCH', `${site} has no history that it could go on with; an empty site starts as a primary`);
  }

  /** @throws EvertreeError STORAGE_FULL, STORAGE_FAILED, CLOSED */
  assertStorage(): void {
    if (this.state !== 'open' && this.state !== 'refusing') throw this.reason();
  }

  /** The error of a write that is not taken. */
  reason(): EvertreeError {
    const { site } = this.#journal.identity;
    const { failure } = this.#journal.log;
    switch (this.state) {
      case 'closed':
        return new EvertreeError('CLOSED', 'this store is closed');
      case 'failed':
        return new EvertreeError(
          'STORAGE_FAILED',
          `the disk of ${site} failed; start it again to recover from what the disk holds`,
          {},
          failure,
        );
      case 'full':
        return new EvertreeError('STORAGE_FULL', `the disk of ${site} is full; writes go on when there is room`, {}, failure);
      default:
        return this.#reasonOfStanding();
    }
  }

  #reasonOfStanding(): EvertreeError {
    const { site } = this.#journal.identity;
    switch (this.standing) {
      case 'secondary':
        return this.#hasSteppedDown ? this.#refusal! : notPrimary(site, this.#route.leader, this.#openPromise);
      case 'fenced':
        return this.#refusal ?? fenced(site, this.#history, this.fencedBy!, this.#route.leader);
      case 'handing-over':
        return switching(site, this.#history.epochs.at(-1)!.end!.command);
      default:
        if (this.#held !== undefined) return switching(site, this.#held);
        return this.#refusal ?? new EvertreeError('FENCED', `${site} takes no writes`);
    }
  }

  /** A promise whose epoch this site has not heard to have begun. */
  get #openPromise(): Fencing | undefined {
    const { fencedBy } = this;
    return fencedBy?.begun === false && compareEpochs(fencedBy, highestEpoch(this.#history.epochs, this.#history.last)) > 0
      ? fencedBy
      : undefined;
  }

  /** The primary that a secondary's history tells of. */
  #followed(): WriteDestination | undefined {
    const { epochs, last } = this.#history;
    const entry = epochs.at(-1);
    if (this.standing !== 'secondary' || entry === undefined || entry.site === this.#journal.identity.site) return undefined;
    return { kind: 'elsewhere', site: entry.site, address: undefined, epoch: { number: entry.number, id: entry.id }, position: last };
  }

  get #identity(): StandingIdentity {
    const { site, role } = this.#journal.identity;
    return { site, role: this.#role ?? role, fencedBy: this.fencedBy };
  }

  /** This site was a primary, refuses writes for a reason, and follows nobody yet: then the reason is still of use. */
  get #hasSteppedDown(): boolean {
    return this.#refusal !== undefined && this.#history.epochs.at(-1)?.site === this.#journal.identity.site;
  }

  #judge(standing: Standing): StoreState {
    const { state } = this.#journal.log;
    if (this.#closed || state === 'closed') return 'closed';
    if (state === 'failed' || state === 'full') return state;
    if (standing === 'secondary') return this.#hasSteppedDown ? 'refusing' : 'open';
    return standing === 'primary' && this.#refusal === undefined && this.#held === undefined ? 'open' : 'refusing';
  }
}
