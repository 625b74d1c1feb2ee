import {
  type ChangeSet,
  type Commit,
  covers,
  type ErrorCode,
  EvertreeError,
  type ExactPosition,
  finishSteps,
  formatExactPosition,
  formatPath,
  type Frame,
  isEvertreeError,
  type Operation,
  type Path,
  type Position,
  type PreparationHints,
  type PreparedTransaction,
  readChangeSets,
  type Rehearsal,
  type Snapshot,
  type Store,
} from '@evertree/core';
import { type Conflict, Conflicts } from './conflicts.ts';
import { ALL_PATHS, type DivergedCommit, isEqualInSteps, isLarge, make, optionsOf, pathToAll, STEP_OPERATIONS } from './diverged-commit.ts';
import type { RevisionSet } from './revision-set.ts';
import { StandingCommits } from './standing-commits.ts';

export interface ReplayRequest {
  /** The fork: what the commits follow. */
  readonly base: ExactPosition;
  /** All commits of the divergence, in their order. */
  readonly commits: readonly DivergedCommit[];
  /** The revisions that are to be applied. */
  readonly chosen: Pick<RevisionSet, 'has'>;
  /** Applies commits in spite of conflicts. */
  readonly force: boolean;
  /** Finds out what would happen if nobody else committed meanwhile, and changes nothing. */
  readonly dryRun: boolean;
  /** What the reader of large values knows about them. */
  readonly hints?: PreparationHints | undefined;
}

/**
 * - `applied`: it is a new commit, or would be one.
 * - `equal`: the tree holds already what it wrote.
 * - `replayed`: it was applied before, as a commit that is in this history; or it is in this history itself, since another
 *   site that had it became the primary.
 * - `conflict`: left out, because a path does not hold what it saw.
 * - `refused`: left out, because the store does not take it; `error` says why.
 */
export type ReplayOutcome = 'applied' | 'equal' | 'replayed' | 'conflict' | 'refused';

/** What became of a chosen commit. */
export interface ReplayResult {
  /** The commit's own position. */
  readonly position: Position;
  readonly outcome: ReplayOutcome;
  /** Also those in spite of which it was applied. */
  readonly conflicts: readonly Conflict[];
  /** The position that it has in this history, if the outcome is `applied`, and not in a dry run, or `replayed`. */
  readonly as?: Position;
  readonly error?: { readonly code: ErrorCode; readonly text: string };
}

/** Errors of one commit: the next one may be taken. Any other ends the replay. */
const OF_A_COMMIT: ReadonlySet<ErrorCode> = new Set(['PATH_INVALID', 'VALUE_INVALID', 'GUARD_FAILED', 'TOO_LARGE']);

/** So often a large commit is judged and prepared, if others commit at its paths. Then it is made in one step. */
const MOST_PREPARATIONS = 3;

/** Applies chosen commits of a divergence to a primary's tree, as new commits with their authors. */
export class Replay {
  readonly #store: Store;
  readonly #request: ReplayRequest;
  readonly #breathe: () => Promise<void> | undefined;
  readonly #conflicts = new Conflicts();
  readonly #standing = new StandingCommits();
  /** Whether the history since the fork is all here. */
  #isKnown = true;
  /** A tree up to which everything that happened is marked in `#conflicts`. */
  #marked: Snapshot;
  /** The revision up to which what others committed is marked: that of `#marked`, or of a commit of this replay since. */
  #markedRevision: number;
  /** Where a dry run makes the commits: it begins with the tree of `#marked`. */
  #rehearsal: Rehearsal | undefined;
  readonly results: ReplayResult[] = [];
  /** The last new commit. */
  last: Commit | undefined;

  /** @param breathe called between steps of long work; a promise is waited for */
  constructor(store: Store, request: ReplayRequest, breathe: () => Promise<void> | undefined) {
    this.#store = store;
    this.#request = request;
    this.#breathe = breathe;
    // First: who hears of the frame that a snapshot cuts may commit.
    this.#rehearsal = request.dryRun ? store.rehearse() : undefined;
    this.#marked = store.snapshot();
    this.#markedRevision = this.#marked.position.revision;
  }

  /**
   * What was applied before an error stands; `results` tells it.
   * @throws EvertreeError HISTORY_MISMATCH when the fork is not in this history, and what `transact` throws
   */
  async run(): Promise<void> {
    try {
      await this.#run(this.#readCommits());
      await this.#readHistory();
      for (const commit of this.#request.commits) {
        const pause = this.#breathe();
        if (pause !== undefined) {
          this.#remember();
          await pause;
        }
        while (this.#hasNews) await this.#run(this.#markNews());
        if (isLarge(commit, this.#request.hints)) await this.#takeLarge(commit);
        else this.#take(commit);
      }
    } finally {
      this.#marked.release();
      this.#rehearsal = undefined;
    }
  }

  async #run<T>(steps: Generator<unknown, T, void>): Promise<T> {
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done === true) return step.value;
      await this.#breathe();
    }
  }

  *#readCommits(): Generator<void> {
    let left = STEP_OPERATIONS;
    for (const commit of this.#request.commits) {
      this.#standing.add(commit, this.#store.lineage);
      for (const { path } of commit.operations) {
        this.#conflicts.add(path);
        if (--left > 0) continue;
        left = STEP_OPERATIONS;
        yield;
      }
    }
  }

  /** Marks what the history that goes on changed since the fork, and which commits were replayed before. */
  async #readHistory(): Promise<void> {
    const store = this.#store;
    const { base } = this.#request;
    if (!covers(store.lineage, base)) {
      const message = `the divergence follows ${formatExactPosition(base)}, which is not in the history of ${store.site}`;
      throw new EvertreeError('HISTORY_MISMATCH', message, { base, last: store.position });
    }
    await store.flush();
    try {
      await this.#readFrom(base);
    } catch (error) {
      if (!isEvertreeError(error, 'COMPACTED')) throw error;
      this.#isKnown = false;
    }
  }

  /** @throws EvertreeError COMPACTED if the journal no longer reaches back to the fork, or not to the end of this */
  async #readFrom(base: ExactPosition): Promise<void> {
    const reader = this.#store.journal.log.read(base);
    try {
      for (let stored = await reader.next(); stored !== undefined; stored = await reader.next()) {
        await this.#run(this.#markFrame(stored.frame, base));
        if (stored.frame.header.last.revision >= this.#marked.position.revision) break;
        await this.#breathe();
      }
    } finally {
      await reader.close();
    }
  }

  *#markFrame(frame: Frame, base: ExactPosition): Generator<void> {
    // What others commit meanwhile concerns no dry run.
    const end = this.#request.dryRun ? this.#marked.position.revision : Infinity;
    for (const changeSet of readChangeSets(frame, ALL_PATHS, { values: false })) {
      if (changeSet === undefined) yield;
      else if (changeSet.revision > base.revision && changeSet.revision <= end) yield* this.#mark(frame.header, changeSet);
    }
  }

  *#mark({ epoch, epochId }: Frame['header'], { revision, message, operations }: ChangeSet): Generator<void> {
    const position = { epoch, revision };
    const commit = this.#standing.original({ epoch, epochId, revision }, message);
    if (commit !== undefined) this.#standing.stands(commit, position);
    for (const [index, { path }] of operations.entries()) {
      if (commit !== undefined) this.#conflicts.applied(path, commit.revision);
      else this.#conflicts.changed(path, position);
      if (index % STEP_OPERATIONS === STEP_OPERATIONS - 1) yield;
    }
  }

  /** Whether others committed something that is not marked yet. A dry run goes by the tree with which it began. */
  get #hasNews(): boolean {
    return this.#rehearsal === undefined && this.#store.position.revision !== this.#markedRevision;
  }

  /** To be called before others get a turn: what they commit then is what differs from the present tree. */
  #remember(): void {
    if (this.#marked.position.revision === this.#markedRevision) return;
    this.#marked.release();
    this.#marked = this.#store.snapshot();
  }

  /** Marks where others changed something since `#remember`. */
  *#markNews(): Generator<void> {
    using before = this.#marked;
    this.#marked = this.#store.snapshot();
    const { position } = this.#marked;
    this.#markedRevision = position.revision;
    for (const path of before.differentPaths(this.#marked)) {
      if (path === undefined) yield;
      else this.#conflicts.changed(path, position);
    }
  }

  #isChosen({ position }: DivergedCommit): boolean {
    return this.#request.chosen.has(position.revision) && this.#standing.placeOf(position) === undefined;
  }

  /** Applies a commit, if it is chosen, and notes what became of it; in one step. */
  #take(commit: DivergedCommit): void {
    finishSteps(this.#note(commit, this.#isChosen(commit) ? this.#replay(commit) : undefined));
  }

  /**
   * As `#take`, of a commit that takes long: it is judged and made ahead, in steps. What it is judged by and what it is
   * made from are one state. As long as the prepared transaction is current, its paths hold what they were judged by.
   */
  async #takeLarge(commit: DivergedCommit): Promise<void> {
    // Before others get a turn.
    this.#remember();
    if (!this.#isChosen(commit)) return this.#run(this.#note(commit, undefined));
    if (this.#rehearsal !== undefined) {
      const foretold = await this.#run(this.#rehearse(commit, this.#rehearsal));
      return this.#run(this.#note(commit, foretold));
    }
    const path = await this.#run(pathToAll(commit.operations));
    let result: ReplayResult | undefined;
    for (let count = 0; count < MOST_PREPARATIONS && result === undefined; count++) {
      while (this.#hasNews) await this.#run(this.#markNews());
      const { judged, prepared } = await this.#run(this.#prepare(commit, path));
      result = prepared === undefined ? judged : this.#makePrepared(commit, judged, prepared);
    }
    if (result === undefined) {
      while (this.#hasNews) await this.#run(this.#markNews());
      result = this.#replay(commit);
    }
    // What others committed since the state that the result tells of is marked behind the result.
    this.#remember();
    await this.#run(this.#note(commit, result));
  }

  /** @returns nothing prepared if nothing is to be made */
  *#prepare(
    commit: DivergedCommit,
    path: Path,
  ): Generator<void, { readonly judged: ReplayResult; readonly prepared: PreparedTransaction | undefined }> {
    this.#remember();
    const present = this.#marked;
    const { hints = {} } = this.#request;
    const judge = () => this.#judge(commit, operation => isEqualInSteps(present, operation));
    let judged: ReplayResult | undefined;
    const prepared = yield* this.#store.prepare(path, function* (transaction) {
      judged = yield* judge();
      if (judged.outcome === 'applied') yield* make(transaction, commit.operations, hints);
    });
    judged ??= yield* judge();
    return { judged, prepared: judged.outcome === 'applied' ? prepared : undefined };
  }

  /** @returns undefined if others changed what the commit was judged by */
  #makePrepared(commit: DivergedCommit, judged: ReplayResult, prepared: PreparedTransaction): ReplayResult | undefined {
    const store = this.#store;
    // Who hears that a frame is cut may commit.
    store.cut();
    if (this.#hasNews) finishSteps(this.#markNews());
    if (!store.isCurrent(prepared)) return undefined;
    return this.#made(judged, () => store.commitPrepared(prepared, optionsOf(commit)));
  }

  #replay(commit: DivergedCommit): ReplayResult {
    const target = this.#rehearsal ?? this.#store;
    const judged = finishSteps(this.#judge(commit, operation => isEqualNow(target, operation)));
    if (judged.outcome !== 'applied') return judged;
    return this.#made(judged, () => target.transact(tx => finishSteps(make(tx, commit.operations, {})), optionsOf(commit)));
  }

  /** As `#replay` of a dry run, in steps. */
  *#rehearse(commit: DivergedCommit, rehearsal: Rehearsal): Generator<void, ReplayResult> {
    const judged = yield* this.#judge(commit, operation => isEqualInSteps(rehearsal, operation));
    if (judged.outcome !== 'applied') return judged;
    const { hints = {} } = this.#request;
    try {
      const changes = yield* rehearsal.transactInSteps(tx => make(tx, commit.operations, hints), optionsOf(commit));
      return this.#made(judged, () => changes);
    } catch (error) {
      return refused(judged, error);
    }
  }

  /** What would become of a commit. @param isEqual whether the tree holds already what an operation makes */
  *#judge(
    { position: { epoch, revision }, operations }: DivergedCommit,
    isEqual: (operation: Operation) => boolean | Generator<void, boolean>,
  ): Generator<void, ReplayResult> {
    const position = { epoch, revision };
    const conflicts: Conflict[] = [];
    let areEqual = true;
    for (const [index, operation] of operations.entries()) {
      const conflict = this.#isKnown ? this.#conflicts.at(operation.path, revision) : unknownAt(operation);
      if (conflict !== undefined || areEqual) {
        const found = isEqual(operation);
        const same = typeof found === 'boolean' ? found : yield* found;
        areEqual &&= same;
        if (conflict !== undefined && !same) conflicts.push(conflict);
      }
      if (index % STEP_OPERATIONS === STEP_OPERATIONS - 1) yield;
    }
    if (conflicts.length > 0 && !this.#request.force) return { position, outcome: 'conflict', conflicts };
    return { position, outcome: areEqual ? 'equal' : 'applied', conflicts };
  }

  /** Commits what was judged. @param commit in a dry run it tells whether it would be a commit */
  #made(judged: ReplayResult, commit: () => Commit | boolean): ReplayResult {
    try {
      const made = commit();
      if (typeof made === 'boolean') return made ? judged : { ...judged, outcome: 'equal' };
      this.last = made;
      this.#markedRevision = this.#store.position.revision;
      return made.changed ? { ...judged, as: made.position } : { ...judged, outcome: 'equal' };
    } catch (error) {
      return refused(judged, error);
    }
  }

  /** Notes what became of a commit. @param result of one that is chosen, and was not replayed before */
  *#note({ position, operations }: DivergedCommit, result: ReplayResult | undefined): Generator<void> {
    const { epoch, revision } = position;
    const as = this.#standing.placeOf(position);
    if (as !== undefined) {
      if (this.#request.chosen.has(revision)) this.results.push({ position: { epoch, revision }, outcome: 'replayed', conflicts: [], as });
      return;
    }
    if (result !== undefined) this.results.push(result);
    const stands = result?.outcome === 'applied' || result?.outcome === 'equal';
    for (const [index, { path }] of operations.entries()) {
      if (stands) this.#conflicts.applied(path, revision);
      else this.#conflicts.leftOut(path, revision);
      if (index % STEP_OPERATIONS === STEP_OPERATIONS - 1) yield;
    }
  }
}

/** What becomes of a commit that failed with an error of its own. Any other error is thrown again. */
function refused({ position, conflicts }: ReplayResult, error: unknown): ReplayResult {
  if (!isEvertreeError(error) || !OF_A_COMMIT.has(error.code)) throw error;
  return { position, outcome: 'refused', conflicts, error: { code: error.code, text: error.message } };
}

function isEqualNow(store: Pick<Store, 'has' | 'holds'>, operation: Operation): boolean {
  return operation.type === 'delete' ? !store.has(operation.path) : store.holds(operation.path, operation.value);
}

function unknownAt({ path }: Operation): Conflict {
  return { path: formatPath(path), reason: 'unknown' };
}
