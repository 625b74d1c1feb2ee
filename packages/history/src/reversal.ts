import {
  type Commit,
  commonPath,
  EvertreeError,
  finishSteps,
  formatPath,
  formatPosition,
  type Path,
  type PreparedTransaction,
  ROOT,
  type Snapshot,
  type Store,
  type Transaction,
  Turn,
} from '@evertree/core';
import type { Change, PathDifference, Reversal, ReversalConflict, ReversalOptions } from './answers.ts';
import { compareContents, isSameInSteps, valueInSteps } from './differences.ts';
import { type Content, isObject } from './paths.ts';
import { STEP_ITEMS } from './step.ts';
import type { Moment } from './when.ts';

/** The most paths that one reversal sets back: they are held in memory, and become one commit. */
const MOST_DIFFERENCES = 1_000_000;

/** How often a reversal is computed anew because others changed what it sets back. */
const MOST_TRIES = 5;

/** How often a plan that still holds is run ahead while others commit beside its paths. Then it is made in one step. */
const MOST_PREPARATIONS = 3;

/** What a reversal sets back, computed from one present state. */
interface ReversalPlan {
  readonly base: Moment;
  readonly differences: readonly PathDifference[];
  readonly conflicts: readonly ReversalConflict[];
  /** Paths, and the digests there that the plan was computed from. */
  readonly expected: readonly ExpectedDigest[];
}

interface ExpectedDigest {
  readonly path: Path;
  readonly digest: string | undefined;
}

/** Computes a plan from the present state. */
type Planner = () => Promise<ReversalPlan>;

/** The newest change of a path after a position, of those that are here. */
export type NewestChange = (path: Path) => Promise<Change | undefined>;

/** A reversal whose plan is computed anew when it is to be committed and others have changed its paths. */
export class PlannedReversal implements Reversal {
  readonly #store: Store;
  readonly #plan: Planner;
  readonly #message: string;
  #current: ReversalPlan;

  private constructor(store: Store, plan: Planner, current: ReversalPlan, message: string) {
    this.#store = store;
    this.#plan = plan;
    this.#current = current;
    this.#message = message;
  }

  static async begin(store: Store, plan: Planner, message: string): Promise<PlannedReversal> {
    return new PlannedReversal(store, plan, await plan(), message);
  }

  get base(): Moment {
    return this.#current.base;
  }

  get differences(): readonly PathDifference[] {
    return this.#current.differences;
  }

  get conflicts(): readonly ReversalConflict[] {
    return this.#current.conflicts;
  }

  async commit(options: ReversalOptions = {}): Promise<Commit> {
    const { conflicts: choice, ...rest } = options;
    const commitOptions = { message: this.#message, ...rest };
    for (let tries = 0; tries <= MOST_TRIES; tries++) {
      if (tries > 0) this.#current = await this.#plan();
      const commit = await this.#tryCommit(choice, commitOptions);
      if (commit !== undefined) return commit;
    }
    const message = 'others change what is to be set back all the time; try again, or set back a smaller part';
    throw new EvertreeError('TEST_FAILED', message, { tries: MOST_TRIES });
  }

  /** @returns undefined if the paths do not hold any more what the plan was computed from */
  async #tryCommit(choice: ReversalOptions['conflicts'], options: ReversalOptions): Promise<Commit | undefined> {
    const store = this.#store;
    const { expected } = this.#current;
    const chosen = this.#chosen(choice);
    // What refuses a commit now refuses it before the work is done.
    if (chosen !== undefined) store.transact(() => undefined, options);
    const turn = new Turn(store.clock);
    for (let count = 0; count < MOST_PREPARATIONS; count++) {
      const prepared = await turn.run(prepare(store, expected, chosen));
      if (prepared === undefined) return undefined;
      if (chosen === undefined) throw conflicting(this.#current.conflicts);
      // Who hears that a frame is cut may commit.
      store.cut();
      if (store.isCurrent(prepared)) return store.commitPrepared(prepared, options);
    }
    if (!expected.every(({ path, digest }) => store.digestAt(path) === digest)) return undefined;
    return store.transact(tx => finishSteps(setBack(tx, chosen ?? [])), options);
  }

  /** What is to be made; undefined if there are conflicts, and it is not said what is to be done about them. */
  #chosen(choice: ReversalOptions['conflicts']): readonly PathDifference[] | undefined {
    const { differences, conflicts } = this.#current;
    if (conflicts.length > 0 && choice === undefined) return undefined;
    return choice === 'overwrite' ? [...differences, ...conflicts.map(({ difference }) => difference)] : differences;
  }
}

/**
 * Sets paths back ahead of the commit, if they are as they are expected to be. All of them are at or below the path of
 * the preparation: as long as that is current, they hold what they held.
 * @returns undefined if they are not
 */
function* prepare(
  store: Store,
  expected: readonly ExpectedDigest[],
  differences: readonly PathDifference[] = [],
): Generator<void, PreparedTransaction | undefined> {
  const path = yield* pathToAll(expected);
  // Pinned in the same step as the fork that the transaction gets: both are of one state.
  using present = store.snapshot();
  let isAsExpected = true;
  const prepared = yield* store.prepare(path, function* (tx) {
    for (const [index, { path: changed, digest }] of expected.entries()) {
      if (present.digestAt(changed) !== digest) {
        isAsExpected = false;
        return;
      }
      if (index % STEP_ITEMS === STEP_ITEMS - 1) yield;
    }
    yield* setBack(tx, differences);
  });
  return isAsExpected ? prepared : undefined;
}

function* setBack(tx: Transaction, differences: readonly PathDifference[]): Generator<void> {
  for (const [index, { path, after }] of differences.entries()) {
    if (after === undefined) tx.delete(path);
    else yield* tx.putSteps(path, after);
    if (index % STEP_ITEMS === STEP_ITEMS - 1) yield;
  }
}

function* pathToAll(all: readonly ExpectedDigest[]): Generator<void, Path> {
  let common = all[0]?.path ?? ROOT;
  for (const [index, { path }] of all.entries()) {
    common = commonPath(common, path);
    if (index % STEP_ITEMS === STEP_ITEMS - 1) yield;
  }
  return common;
}

function conflicting(conflicts: readonly ReversalConflict[]): EvertreeError {
  const { path, position } = conflicts[0]!;
  const by = position === undefined ? 'later' : `by ${formatPosition(position)}`;
  const others = conflicts.length === 1 ? '' : `, and ${conflicts.length - 1} more paths were`;
  const message = `${JSON.stringify(formatPath(path))} was changed ${by}${others}; with conflicts "overwrite" what was changed since is set back all the same, with "skip" it is left`;
  return new EvertreeError('TEST_FAILED', message, { conflicts: conflicts.slice(0, 100).map(each => formatPath(each.path)) });
}

/** What makes the subtree at a path of the present state what it was. */
export async function planPathReversal(store: Store, path: Path, target: Content): Promise<ReversalPlan> {
  using present = store.snapshot();
  assertPuttable(present, path);
  const base = momentOf(present);
  const now = present.at(path);
  const differences = await collect(new Turn(store.clock), compareContents(now, target, path));
  return { base, differences, conflicts: [], expected: [{ path, digest: present.digestAt(path) }] };
}

/**
 * What undoes the operations of a commit. What a later commit changed is a conflict, unless it holds already what it
 * held before the commit.
 */
export async function planCommitReversal(store: Store, change: Change, newest: NewestChange): Promise<ReversalPlan> {
  using present = store.snapshot();
  const differences: PathDifference[] = [];
  const conflicts: ReversalConflict[] = [];
  const turn = new Turn(store.clock);
  const isSame = (a: Content, b: Content) => turn.run(isSameInSteps(a, b));
  for (const { path, before, after } of change.operations) {
    for (const undone of await collect(turn, compareContents(after, before, path))) {
      const now: Content = present.at(undone.path);
      if (await isSame(now, undone.after)) continue;
      const difference: PathDifference = { ...undone, before: await turn.run(valueInSteps(now)) };
      if (await isSame(now, undone.before)) {
        differences.push(difference);
        continue;
      }
      const later = await newest(undone.path);
      conflicts.push({ path: undone.path, position: later?.position, time: later?.time, author: later?.author, difference });
    }
  }
  const expected: ExpectedDigest[] = [];
  for (const changed of [differences, conflicts]) {
    for (const { path } of changed) {
      expected.push({ path, digest: present.digestAt(path) });
      if (turn.over) await turn.rest();
    }
  }
  return { base: momentOf(present), differences, conflicts, expected };
}

async function collect(turn: Turn, steps: Generator<PathDifference | undefined>): Promise<PathDifference[]> {
  const differences: PathDifference[] = [];
  for (const step of steps) {
    // Objects of few keys may differ in all of them: thousands of differences come without a pause.
    if (turn.over) await turn.rest();
    if (step !== undefined && differences.push(step) > MOST_DIFFERENCES) {
      throw new EvertreeError('TOO_LARGE', `more than ${MOST_DIFFERENCES} paths would be set back; set back a part of them`, {
        limit: MOST_DIFFERENCES,
      });
    }
  }
  return differences;
}

function momentOf({ position, header }: Snapshot): Moment {
  return { position, time: header.time, taken: `${formatPosition(position)}, the present state` };
}

/**
 * A path inside an array can't be put.
 * @throws EvertreeError PATH_INVALID
 */
function assertPuttable(present: Snapshot, path: Path): void {
  for (let length = 1; length < path.length; length++) {
    const above = path.slice(0, length);
    const content = present.at(above);
    if (content === undefined) return;
    if (isObject(content)) continue;
    const what = Array.isArray(content) ? 'an array, which is set back whole' : 'a value now, not an object';
    const message = `${JSON.stringify(formatPath(path))} leads through ${JSON.stringify(formatPath(above))}, which is ${what}; set that back`;
    throw new EvertreeError('PATH_INVALID', message, { path: formatPath(above) });
  }
}
