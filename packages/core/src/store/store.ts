import type { Batch } from '../listeners/batch.ts';
import type { Commit, CommitOptions } from '../transactions/commit.ts';
import { Committing } from './committing.ts';
import { exportValue, isValue } from '../tree/content.ts';
import { CommitOutcomes } from './commit-outcomes.ts';
import { Emitter } from '../emitter.ts';
import type { EvertreeError } from '../errors.ts';
import { Following, type PreparedFrame } from './following.ts';
import { FrameSchedule } from './frame-schedule.ts';
import type { Frame } from '../frames/frame.ts';
import type { GuardSchema } from '../transactions/guards.ts';
import { HeardEpochs } from './heard-epochs.ts';
import { History } from './history.ts';
import type { Clock, Random, Reporter } from '../seams/host.ts';
import type { Journal, Role, SnapshotHeader } from '../seams/journal.ts';
import { type EpochName, type Fencing, type Lineage } from '../lineage.ts';
import type { Mark } from '../marks.ts';
import { Marking, type MarkOptions } from './marking.ts';
import { Listeners } from '../listeners/listeners.ts';
import { TreeNode } from '../tree/node.ts';
import { parsePath, type PathLike } from '../tree/path.ts';
import type { PatternLike } from '../listeners/pattern.ts';
import { type Boundary, type Epoch, type ExactPosition } from '../position.ts';
import { recover, type Recovered } from './recovery.ts';
import type { Rehearsal } from './rehearsal.ts';
import { HistoryReplacement } from './replaced-history.ts';
import type { SnapshotReceiver } from './snapshot-receiver.ts';
import { Snapshot, storeSnapshot } from './snapshot.ts';
import { Succession } from './succession.ts';
import { resolveStoreLimits, type StoreEvents, type StoreLimits, type StoreOptions } from './store-options.ts';
import type { PreparedTransaction } from '../transactions/prepared-transaction.ts';
import type { Transaction, TransactionSteps } from '../transactions/transaction.ts';
import type { Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';
import { SingleWrites } from './single-writes.ts';
import type { Standing } from './standing.ts';
import { WriteGate, type Hold, type StoreState } from './write-gate.ts';
import type { WriteDestination } from './write-route.ts';

/**
 * One data tree with its history. Applications read it, write to it and listen to it; replication reads its history.
 *
 * A commit is synchronous and visible in memory at once. When the turn of the event loop is over, one frame of all its
 * commits is cut and appended to the journal. Nothing leaves the process before it is stable there.
 */
export class Store extends SingleWrites implements AsyncDisposable {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly random: Random;
  readonly report: Reporter;
  readonly limits: StoreLimits;
  /** What other sites told of epochs, on links of any kind. */
  readonly heardEpochs: HeardEpochs;
  #tree: Tree;
  readonly #committing: Committing;
  readonly #following: Following;
  readonly #history: History;
  readonly #outcomes: CommitOutcomes;
  readonly #listeners: Listeners;
  readonly #events: Emitter<StoreEvents>;
  readonly #gate: WriteGate;
  readonly #succession: Succession;
  readonly #replacement: HistoryReplacement;
  readonly #schedule: FrameSchedule;
  readonly #marking: Marking;
  #closing: Promise<void> | undefined;

  /**
   * Recovers a store from its journal.
   * @throws EvertreeError DAMAGED, FORMAT_UNSUPPORTED
   */
  static async open(options: StoreOptions): Promise<Store> {
    return new this(options, await recover(options.journal));
  }

  protected constructor(options: StoreOptions, { tree, head }: Recovered) {
    super();
    ({ journal: this.journal, clock: this.clock, random: this.random } = options);
    this.report = options.report ?? (() => undefined);
    this.limits = resolveStoreLimits(options.limits, options.encoding);
    this.#tree = tree;
    this.#history = new History({ ...options, encoding: options.encoding ?? 'binary' }, head, tree.digest());
    this.heardEpochs = new HeardEpochs(this);
    this.#events = new Emitter(this.report);
    const { journal, clock, report } = this;
    this.#listeners = new Listeners({ clock, report, events: this.#events, batchLimit: this.limits.listenerBatches });
    this.#gate = new WriteGate(this.journal, this.#history, () => this.#events.emit('state'));
    // A process that was killed may not have written whom it no longer feeds, or feeds again.
    if (this.standing === 'primary' || this.standing === 'secondary') this.#history.holdPeers(this.standing === 'primary');
    this.#outcomes = new CommitOutcomes(this.#history, this.#gate, this.clock);
    const advanced = () => this.#events.emit('advanced');
    const parts = { journal, clock, report, history: this.#history, gate: this.#gate, outcomes: this.#outcomes };
    const cut = () => this.#cutAlone();
    this.#succession = new Succession({ ...parts, cut, digest: () => this.digest, advanced });
    this.#replacement = new HistoryReplacement({
      ...parts,
      flush: () => this.flush(),
      pin: () => this.#tree.pin(),
      listeners: this.#listeners,
      swapIn: recovered => this.#swapIn(recovered),
      tell: event => this.#events.emit(event),
    });
    this.#schedule = new FrameSchedule(this.journal, this.#history, this.clock, this.limits, () => this.cut());
    this.#committing = new Committing(tree, {
      ...parts,
      listeners: this.#listeners,
      schedule: this.#schedule,
      byteLimit: this.limits.changeSetBytes,
      cut: () => this.cut(),
    });
    this.#following = new Following(tree, { ...parts, listeners: this.#listeners, advanced });
    this.#marking = new Marking({ ...parts, cut, made: () => this.#committing.commit(true), advanced, schedule: this.#schedule });
    this.journal.log.onProgress(() => this.#onProgress());
  }

  get site(): string {
    return this.journal.identity.site;
  }

  /** What this site is now: derived from its history, and from what it heard of other sites. */
  get standing(): Standing {
    return this.#gate.standing;
  }

  /** The part that the standing gives the site: a secondary follows, any other has an epoch of its own to feed. */
  get role(): Role {
    return this.#gate.standing === 'secondary' ? 'secondary' : 'primary';
  }

  /** The highest epoch that this site heard of beside those of its history; it may not be recorded yet. */
  get fencedBy(): Fencing | undefined {
    return this.#gate.fencedBy;
  }

  /** 32 hex digits; null before the stream's first commit. */
  get stream(): string | null {
    return this.#history.stream;
  }

  get epochs(): readonly Epoch[] {
    return this.#history.epochs;
  }

  /** The history up to the last commit in memory. The object is a view: it changes with the store. */
  get lineage(): Lineage {
    return this.#history;
  }

  /** The names that states of this history have, in the order in which they were given. */
  get marks(): readonly Mark[] {
    return this.#history.marks;
  }

  /** Position of the last commit, in memory. */
  get position(): ExactPosition {
    return this.#history.last;
  }

  /** The last frame boundary that is stable and so may leave the process, and the digest there. */
  get stable(): Boundary {
    return this.#history.durability.stable;
  }

  /** Digest of the whole tree now, 16 hex digits. */
  get digest(): string {
    return this.#tree.digest();
  }

  get state(): StoreState {
    return this.#gate.state;
  }

  /** Why the state is not `open`. */
  get stateReason(): EvertreeError | undefined {
    return this.#gate.state === 'open' ? undefined : this.#gate.reason();
  }

  /**
   * The value at a path, or undefined. Objects are built for the caller; arrays are frozen. A path may lead into
   * arrays. The type is taken from the caller, unchecked.
   */
  get<T = Value>(path: PathLike): T | undefined {
    const child = this.#tree.get(parsePath(path));
    return (child instanceof TreeNode ? exportValue(child) : child) as T | undefined;
  }

  has(path: PathLike): boolean {
    return this.#tree.get(parsePath(path)) !== undefined;
  }

  /** Whether a value stands at a path. Of a large object there no more is read than of the value. */
  holds(path: PathLike, value: Value): boolean {
    return isValue(this.#tree.get(parsePath(path)), value);
  }

  /** Digest of the value at a path, 16 hex digits; undefined if there is none. */
  digestAt(path: PathLike): string | undefined {
    return this.#tree.digestAt(parsePath(path));
  }

  /**
   * Runs a transaction: synchronous, whole or not at all. Without operations it takes no revision.
   * @throws EvertreeError NOT_PRIMARY, FENCED, SWITCHING, STORAGE_FULL, STORAGE_FAILED, CLOSED, POSITION_MISMATCH, GUARD_FAILED,
   *   TOO_LARGE, TRANSACTION_INVALID (nested, or the callback returned a promise), and whatever the callback throws;
   *   nothing changed then
   */
  transact(callback: (tx: Transaction) => void, options?: CommitOptions): Commit {
    return this.#committing.transact(callback, options);
  }

  /** Puts a value at a path, as a transaction of its own. */
  put(path: PathLike, value: unknown, options?: CommitOptions): Commit {
    return this.#committing.put(path, value, options);
  }

  /**
   * Runs a large transaction ahead, in steps, between which others may commit: `commitPrepared` then takes little time.
   * @param path the transaction may read and write only what is at this path, or below it
   */
  prepare(path: PathLike, steps: TransactionSteps): Generator<void, PreparedTransaction> {
    return this.#committing.prepare(parsePath(path), steps);
  }

  /** Whether nobody changed meanwhile what a prepared transaction may have read or written. */
  isCurrent(prepared: PreparedTransaction): boolean {
    return this.#committing.isCurrent(prepared);
  }

  /**
   * Commits what was prepared. If it is not current any more, it runs again, in one go.
   * @throws EvertreeError as `transact`; TRANSACTION_INVALID if it was committed before
   */
  commitPrepared(prepared: PreparedTransaction, options?: CommitOptions): Commit {
    return this.#committing.commitPrepared(prepared, options);
  }

  /** Begins to try transactions on the present tree, of which nothing is committed. */
  rehearse(): Rehearsal {
    return this.#committing.rehearse();
  }

  /**
   * Names a state of the history: the present one, or that at the position `at`. It is a commit of its own, which
   * changes nothing in the tree.
   * @throws EvertreeError what `transact` throws if no writes are taken; VALUE_INVALID for a name that can't be one;
   *   MARK_EXISTS if another state has the name and `move` is not set; HISTORY_MISMATCH if this history does not have
   *   the position; POSITION_MISMATCH; TOO_LARGE at 4,096 marks
   */
  mark(name: string, options: MarkOptions = {}): Commit {
    this.#committing.assertNone();
    return this.#marking.mark(name, options);
  }

  /**
   * Takes a name back, likewise. The state stays in the history.
   * @throws EvertreeError what `transact` throws if no writes are taken; NOT_FOUND; POSITION_MISMATCH
   */
  unmark(name: string, options: CommitOptions = {}): Commit {
    this.#committing.assertNone();
    return this.#marking.unmark(name, options);
  }

  /** The whole tree as it is now, pinned. Release it: until then commits copy what they change. */
  snapshot(): Snapshot {
    const isNew = this.#cutAlone();
    const snapshot = new Snapshot(this.#tree.pin(), this.#history.snapshotHeader(this.digest));
    if (isNew) this.#events.emit('advanced');
    return snapshot;
  }

  /**
   * Calls `listener` with the present state at a path, then with a batch for each commit that concerns it. See
   * Listeners.
   */
  listen(path: PatternLike, listener: (batch: Batch) => void | Promise<void>, options?: { readonly name?: string }): Disposable {
    this.#committing.assertNone();
    return this.#listeners.add(path, listener, { root: this.#tree.pin(), position: this.position, time: this.#history.time }, options);
  }

  /**
   * Refuses commits after which the value at a path would not parse.
   * @throws EvertreeError PATH_INVALID; CONFIGURATION_INVALID for a schema without `safeParse`; GUARD_FAILED if the
   *   present value does not parse
   */
  guard(path: PatternLike, schema: GuardSchema): Disposable {
    this.#committing.assertNone();
    return this.#committing.guards.add(path, schema, this.#tree.root);
  }

  on<Name extends keyof StoreEvents>(event: Name, listener: StoreEvents[Name]): Disposable {
    return this.#events.on(event, listener);
  }

  /**
   * Cuts a frame of what was committed since the last one and appends it to the journal; done by itself after each
   * turn.
   */
  cut(): void {
    if (this.#cutAlone()) this.#events.emit('advanced');
  }

  /** As `cut`, for who tells of it when his own work is done: who hears of a frame may commit. @returns whether one was cut */
  #cutAlone(): boolean {
    this.#committing.assertNone();
    return this.#history.cut(this.#tree);
  }

  /** Resolves when everything committed so far is stable. */
  async flush(): Promise<void> {
    this.cut();
    await this.journal.log.flush();
  }

  /** Takes no writes from now on, for this reason (FENCED); with undefined it takes them again. */
  refuseWrites(reason: EvertreeError | undefined): void {
    this.#gate.refuse(reason);
  }

  /** A secondary holds everything up to this position durably; a producer calls it. */
  acknowledge(site: string, durable: ExactPosition): void {
    this.#outcomes.acknowledgements.set(site, durable);
  }

  /** A secondary was taken off the list: what it holds counts for no commit any more. */
  forgetAcknowledgement(site: string): void {
    this.#outcomes.acknowledgements.forget(site);
  }

  /**
   * Holds writes back for a switchover: from now on they throw SWITCHING, and nothing of them is committed.
   * @throws EvertreeError what `transact` throws if no writes are taken
   */
  hold(command: string): Hold {
    this.#committing.assertNone();
    return this.#gate.hold(command);
  }

  /**
   * Resolves when it is decided where writes go: here, or to another site.
   * @throws EvertreeError CLOSED, STORAGE_FAILED
   */
  writable(): Promise<WriteDestination> {
    return this.#gate.destination();
  }

  /** Tells who takes writes now; those who wait in `writable` are told. */
  settle(destination: WriteDestination): void {
    this.#gate.settle(destination);
  }

  /**
   * Ends this site's epoch: cuts what was committed, and appends a handover frame. Needs a hold. Resolves with the
   * handover's position when it is durable; from then on only a new epoch follows.
   * @throws EvertreeError WRONG_ROLE without a hold, or at a site that is not a primary; STORAGE_FAILED, CLOSED; FENCED
   *   if another site's epoch outranked this one meanwhile
   */
  handOver(to: string, command: string): Promise<ExactPosition> {
    return this.#succession.handOver(to, command);
  }

  /**
   * Records durably that this site may lead; until it begins an epoch it stays what it is. Else a crash just after
   * `beginEpoch` can leave a site that has begun an epoch and still follows. `follow` takes it back.
   * @param promised the epoch that it is promoted to: it promises that one first, as `fence` does. If this could not be
   *   recorded the promise is taken back: nobody else begins that epoch
   * @throws EvertreeError HISTORY_MISMATCH without a history: an empty site would lead at once; what the disk says
   */
  prepareToLead(promised?: EpochName): Promise<void> {
    return this.#succession.prepareToLead(promised);
  }

  /**
   * Begins an epoch of this site at the present position: a promotion, or the planned one after a handover. Synchronous:
   * after a handover frame that was applied in the same turn both frames are made stable by one write. Nothing of the
   * epoch may leave the process before that.
   * @throws EvertreeError HISTORY_MISMATCH if its number is not above all that this site knows of, or if it may not
   *   follow a handover; SWITCHING while a primary holds writes back; STORAGE_FULL, STORAGE_FAILED, CLOSED
   */
  beginEpoch(epoch: EpochName, reason: string): void {
    this.#succession.beginEpoch(epoch, reason);
  }

  /**
   * There is such an epoch, promised or begun: if it outranks this site's own it takes no writes from now on, in memory
   * at once. Resolves when that is durable. It never falls.
   * @throws what the disk says, CLOSED: it could not be recorded; this process takes no writes nevertheless
   */
  fence(epoch: EpochName, begun: boolean): Promise<void> {
    return this.#succession.fence(epoch, begun);
  }

  /**
   * Follows other sites from now on, for good: only a new epoch makes this site a primary again. Resolves when that is
   * durable. Whether a primary may give up its reign is the caller's to decide. After a handover those who wait for
   * acknowledgements are told that the outcome is unknown: none is heard here any more.
   */
  follow(): Promise<void> {
    this.#committing.assertNone();
    return this.#succession.follow();
  }

  /**
   * Applies a frame of the primary that follows this tree's position, and appends it to the journal. Synchronous.
   * @throws EvertreeError STREAM_MISMATCH, HISTORY_MISMATCH, FORMAT_INVALID, PATH_INVALID, VALUE_INVALID,
   *   DIGEST_MISMATCH, STORAGE_FULL, STORAGE_FAILED, CLOSED, WRONG_ROLE (a primary); tree and position are unchanged
   *   then
   */
  applyFrame(frame: Frame, trailer?: Uint8Array): void {
    this.#following.apply(frame, trailer);
  }

  /**
   * Applies a large frame ahead, in steps, to a tree beside this one: `applyPrepared` then takes little time. An error of
   * the frame is part of the result.
   * @throws EvertreeError what `applyFrame` throws before it looks into the frame
   */
  prepareFrame(frame: Frame): Generator<void, PreparedFrame> {
    return this.#following.prepare(frame);
  }

  /** Whether the frame still follows this tree's position, and nothing else changed that it was prepared for. */
  isFrameCurrent(prepared: PreparedFrame): boolean {
    return this.#following.isCurrent(prepared);
  }

  /** As `applyFrame`. A frame that is not current any more is applied anew, in one go. */
  applyPrepared(prepared: PreparedFrame, trailer?: Uint8Array): void {
    this.#following.applyPrepared(prepared, trailer);
  }

  /**
   * Begins to receive a snapshot that replaces this secondary's tree and history.
   * @param fork where the present history parted from the snapshot's: what lies behind it is kept as a divergence
   * @throws EvertreeError WRONG_ROLE at a primary
   */
  receiveSnapshot(header: SnapshotHeader, fork?: ExactPosition): Promise<SnapshotReceiver> {
    return this.#replacement.receiveSnapshot(header, fork);
  }

  /**
   * Goes back to an earlier position of this history, the fork with the one that goes on. What lies behind it is kept as
   * a divergence first; then the journal is cut, and in the same step the tree goes back. Until then readers see the
   * present tree. Until then nothing else moves this site: that throws SWITCHING. If it rejects, nothing has changed.
   * @returns the name of the divergence; undefined if there is nothing behind the position
   * @throws EvertreeError WRONG_ROLE (a primary); HISTORY_MISMATCH if no frame of this history ends there; COMPACTED if
   *   the journal does not reach back to it; STORAGE_FULL, STORAGE_FAILED, CLOSED
   */
  rewind(position: ExactPosition): Promise<string | undefined> {
    return this.#replacement.rewind(position);
  }

  /** Writes a snapshot to the journal, in slices between which commits go on; then retention is applied. */
  async saveSnapshot(): Promise<SnapshotHeader> {
    using snapshot = this.snapshot();
    if (snapshot.position.revision === 0) return snapshot.header;
    await this.flush();
    await storeSnapshot(this.journal, snapshot, this.clock);
    return snapshot.header;
  }

  /** Makes everything that was committed stable, then closes the journal. Idempotent. */
  async close(): Promise<void> {
    this.#committing.assertNone();
    await (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#schedule.cutIfTaken();
    this.#gate.close();
    // Who heard of that frame may have committed. Who hears of this one is refused.
    this.#schedule.cutIfTaken();
    this.#listeners.close();
    try {
      if (this.journal.log.state === 'open') await this.journal.log.flush();
    } finally {
      this.#history.durability.advance();
      await this.journal.close();
      this.#outcomes.fail();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #onProgress(): void {
    const advanced = this.#history.durability.advance();
    if (!this.#committing.active && !this.#gate.closed) this.#schedule.written();
    this.#gate.update();
    if (this.journal.log.state === 'failed') this.#outcomes.fail();
    if (advanced) this.#events.emit('stable');
  }

  /** Replaces the tree, and moves the position with it. */
  #swapIn({ tree, head }: Recovered): void {
    this.#tree = tree;
    this.#committing.replaceTree(tree);
    this.#following.replaceTree(tree);
    this.#history.replace(head, tree.digest());
    this.#outcomes.historyReplaced();
  }
}
