import { type Commit, EvertreeError, formatPath, formatPosition, type Path, type Snapshot, type Store, Turn } from '@evertree/core';
import type { Change, PathDifference, Reversal, ReversalConflict, ReversalOptions } from './answers.ts';
import { compareContents, isSame, valueOf } from './differences.ts';
import { type Content, isObject } from './paths.ts';
import type { Moment } from './when.ts';

/** The most paths that one reversal sets back: they are held in memory, and become one commit. */
const MOST_DIFFERENCES = 1_000_000;

/** How often a reversal is computed anew because others changed what it sets back. */
const MOST_TRIES = 5;

/** What a reversal sets back, computed from one present state. */
interface ReversalPlan {
  readonly base: Moment;
  readonly differences: readonly PathDifference[];
  readonly conflicts: readonly ReversalConflict[];
  /** Paths, and the digests there that the plan was computed from. */
  readonly expected: readonly { readonly path: Path; readonly digest: string | undefined }[];
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
    const { conflicts, ...commitOptions } = options;
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      if (this.#isCurrent()) return this.#commit(conflicts, { message: this.#message, ...commitOptions });
      this.#current = await this.#plan();
    }
    if (this.#isCurrent()) return this.#commit(conflicts, { message: this.#message, ...commitOptions });
    const message = 'others change what is to be set back all the time; try again, or set back a smaller part';
    throw new EvertreeError('TEST_FAILED', message, { tries: MOST_TRIES });
  }

  /** Whether the paths still hold what the plan was computed from: a commit in the same turn then makes exactly the plan. */
  #isCurrent(): boolean {
    return this.#current.expected.every(({ path, digest }) => this.#store.digestAt(path) === digest);
  }

  #commit(choice: ReversalOptions['conflicts'], options: ReversalOptions): Commit {
    const { differences, conflicts } = this.#current;
    if (conflicts.length > 0 && choice === undefined) throw conflicting(conflicts);
    const all = choice === 'overwrite' ? [...differences, ...conflicts.map(({ difference }) => difference)] : differences;
    return this.#store.transact(tx => {
      for (const { path, after } of all) {
        if (after === undefined) tx.delete(path);
        else tx.put(path, after);
      }
    }, options);
  }
}

function conflicting(conflicts: readonly ReversalConflict[]): EvertreeError {
  const { path, position } = conflicts[0]!;
  const by = position === undefined ? 'later' : `by ${formatPosition(position)}`;
  const others = conflicts.length === 1 ? '' : `, and ${conflicts.length - 1} more paths were`;
  const message = `${JSON.stringify(formatPath(path))} was changed ${by}${others}; say whether to overwrite or to skip what was changed since`;
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
  for (const { path, before, after } of change.operations) {
    await turn.breathe();
    for (const undone of await collect(turn, compareContents(after, before, path))) {
      const now: Content = present.at(undone.path);
      if (isSame(now, undone.after)) continue;
      const difference: PathDifference = { ...undone, before: valueOf(now) };
      if (isSame(now, undone.before)) {
        differences.push(difference);
        continue;
      }
      const later = await newest(undone.path);
      conflicts.push({ path: undone.path, position: later?.position, time: later?.time, author: later?.author, difference });
    }
  }
  const expected: { readonly path: Path; readonly digest: string | undefined }[] = [];
  for (const changed of [differences, conflicts]) {
    for (const { path } of changed) {
      expected.push({ path, digest: present.digestAt(path) });
      await turn.breathe();
    }
  }
  return { base: momentOf(present), differences, conflicts, expected };
}

async function collect(turn: Turn, steps: Generator<PathDifference | undefined>): Promise<PathDifference[]> {
  const differences: PathDifference[] = [];
  for (const step of steps) {
    if (step === undefined) {
      if (turn.over) await turn.rest();
    } else if (differences.push(step) > MOST_DIFFERENCES) {
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
