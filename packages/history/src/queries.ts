import {
  EvertreeError,
  formatPath,
  formatPosition,
  parsePath,
  parsePosition,
  type Path,
  type PathLike,
  type Position,
  ROOT,
  samePosition,
  type Snapshot,
  type Store,
  Turn,
} from '@evertree/core';
import type {
  Blame,
  Change,
  ChangesOptions,
  FoundMoment,
  HistoryQuestions,
  HistoryReach,
  PastValue,
  PathDifference,
  Reversal,
  SearchOptions,
} from './answers.ts';
import { readBefore } from './before-values.ts';
import { blameOf } from './blame.ts';
import type { ChangeIndex } from './change-index.ts';
import { type ChangeRange, limited, newestFirst, oldestFirst } from './change-stream.ts';
import { changesIn, toChange } from './changes.ts';
import { differencesBetween, valueOf } from './differences.ts';
import { frameHolding } from './frame-access.ts';
import { HistoryView } from './history-view.ts';
import { momentOfMark, momentOfPosition, momentOfTime, reachOf } from './moments.ts';
import { readPart } from './past-part.ts';
import { readPastTree } from './past-reader.ts';
import { type Content, setOf } from './paths.ts';
import { PlannedReversal, planCommitReversal, planPathReversal } from './reversal.ts';
import { checkSearch, findingsIn } from './search.ts';
import { takeBack } from './take-back.ts';
import { type Moment, parseWhen, type WhenLike } from './when.ts';

/**
 * Answers questions about the history of a store: from its journal alone, and from an index where that has the part in
 * question. A question about the present flushes the store first, so that what was committed before it counts.
 */
export class HistoryQueries implements HistoryQuestions {
  readonly #store: Store;
  readonly #index: ChangeIndex | undefined;

  constructor(options: { readonly store: Store; readonly index?: ChangeIndex | undefined }) {
    this.#store = options.store;
    this.#index = options.index;
  }

  async resolve(when: WhenLike): Promise<Moment> {
    return this.#resolve(await this.#view(when), when);
  }

  async at(when: WhenLike): Promise<Snapshot> {
    const view = await this.#view(when);
    const moment = await this.#resolve(view, when);
    const { position, time } = moment;
    if (samePosition(position, this.#store.position)) return this.#store.snapshot();
    const near = this.#index === undefined ? undefined : await takeBack(this.#store, () => this.#viewNow(), moment);
    return near ?? (await readPastTree(view, position)).snapshot(time);
  }

  async read(path: PathLike, when: WhenLike): Promise<PastValue> {
    const segments = parsePath(path);
    const view = await this.#view(when);
    const moment = await this.#resolve(view, when);
    if (samePosition(moment.position, this.#store.position)) {
      using present = this.#store.snapshot();
      return new ReadValue(moment, present.at(segments), present.digestAt(segments));
    }
    const tree = await readPart(view, moment.position, setOf(segments));
    return new ReadValue(moment, tree.pinned(segments), tree.digestAt(segments));
  }

  async *changes(path: PathLike, options: ChangesOptions = {}): AsyncGenerator<Change, void, undefined> {
    const segments = parsePath(path);
    checkChanges(options);
    const view = await this.#view(options.to, ...(options.from === undefined ? [] : [options.from]));
    const { follow = false, order = follow ? 'oldest' : 'newest' } = options;
    const range = await this.#range(view, options);
    const stream = order === 'newest' ? newestFirst : oldestFirst;
    yield* limited(stream(view, segments, follow ? { ...range, upTo: undefined } : range, options), options);
  }

  async show(position: Position): Promise<Change> {
    const view = await this.#view(position);
    const { position: exact } = await this.#resolve(view, position);
    const { revision } = exact;
    if (revision <= view.journal.log.base.revision) {
      if (revision === 0) throw new EvertreeError('NOT_FOUND', `${formatPosition(exact)} is no commit: it is before the first one`);
      throw view.compacted(exact);
    }
    const { frame } = await frameHolding(view, revision);
    for await (const change of changesIn(view, frame, setOf(ROOT), { path: ROOT, author: undefined, values: true })) {
      if (change.position.revision !== revision) continue;
      const before = (await readBefore(view, [change], ROOT)).get(revision);
      return await toChange(change, ROOT, before ?? [], new Turn(view.clock));
    }
    throw view.moved();
  }

  async *diff(from: WhenLike, to: WhenLike, path: PathLike = ROOT): AsyncGenerator<PathDifference, void, undefined> {
    const segments = parsePath(path);
    const view = await this.#view(from, to);
    const [a, b] = [await this.#resolve(view, from), await this.#resolve(view, to)];
    yield* differencesBetween(view, a.position.revision, b.position.revision, segments);
  }

  async *blame(path: PathLike, at?: WhenLike): AsyncGenerator<Blame, void, undefined> {
    const segments = parsePath(path);
    const view = await this.#view(at);
    yield* blameOf(view, segments, await this.#resolve(view, at ?? view.last));
  }

  async *find(options: SearchOptions): AsyncGenerator<FoundMoment, void, undefined> {
    const path = parsePath(options.path);
    checkSearch(options);
    checkLimit(options.limit);
    yield* limited(this.#findings(path, options), options);
  }

  async revertPath(path: PathLike, when: WhenLike): Promise<Reversal> {
    const segments = parsePath(path);
    const view = await this.#view();
    const moment = await this.#resolve(view, when);
    const target = (await readPart(view, moment.position, setOf(segments))).pinned(segments);
    const message = `revert ${JSON.stringify(formatPath(segments))} to ${formatPosition(moment.position)}`;
    return PlannedReversal.begin(this.#store, () => planPathReversal(this.#store, segments, target), message);
  }

  async revertCommit(position: Position): Promise<Reversal> {
    const change = await this.show(position);
    const newest = async (path: Path) => {
      for await (const later of this.changes(path, { from: change.position, limit: 1 })) return later;
      return undefined;
    };
    const message = `revert the commit ${formatPosition(change.position)}`;
    return PlannedReversal.begin(this.#store, () => planCommitReversal(this.#store, change, newest), message);
  }

  async reach(): Promise<HistoryReach> {
    return reachOf(await this.#view());
  }

  async *#findings(path: Path, options: SearchOptions): AsyncGenerator<FoundMoment, void, undefined> {
    const { deleted = false, where, changedBy: author, from, to, signal } = options;
    const view = await this.#view(to, ...(from === undefined ? [] : [from]));
    const values = deleted || where !== undefined;
    const range = await this.#range(view, { from, to, values });
    const turn = new Turn(view.clock);
    for await (const change of newestFirst(view, path, range, { author, values, signal })) {
      for (const found of findingsIn(view, change, path, options)) {
        if (found !== undefined) yield found;
        await turn.breathe();
      }
    }
  }

  /**
   * The history as it stands. What was committed so far is made stable first, if a moment may need it and the journal
   * takes it.
   */
  async #view(...whens: readonly (WhenLike | undefined)[]): Promise<HistoryView> {
    const store = this.#store;
    const { journal } = store;
    const { revision } = journal.log.stable;
    const isStable = whens.length > 0 && whens.every(when => isAtOrBefore(when, revision));
    if (!isStable && journal.log.state === 'open' && store.position.revision > revision) await store.flush();
    return this.#viewNow();
  }

  #viewNow(): HistoryView {
    const { journal, clock } = this.#store;
    return new HistoryView({ journal, clock, index: this.#index, store: this.#store });
  }

  async #resolve(view: HistoryView, named: WhenLike): Promise<Moment> {
    const when = typeof named === 'string' ? parseWhen(named, this.#store.clock.now()) : named;
    if ('time' in when) return momentOfTime(view, checkTime(when.time));
    if ('mark' in when) return momentOfMark(view, when.mark);
    return momentOfPosition(view, checkPosition(when));
  }

  /** What `from` and `to` say. Values need the state before the oldest change. */
  async #range(view: HistoryView, { from, to, values = false }: ChangesOptions): Promise<ChangeRange> {
    const end = to === undefined ? view.last : (await this.#resolve(view, to)).position;
    const begin = from === undefined ? undefined : (await this.#resolve(view, from)).position;
    if (begin !== undefined && begin.revision > end.revision) {
      const message = `the history from ${formatPosition(begin)} to ${formatPosition(end)} ends before it begins`;
      throw new EvertreeError('VALUE_INVALID', message, { from: begin, to: end });
    }
    if (begin !== undefined) return { after: begin.revision, upTo: end.revision, isOpen: false };
    const isCut = values && view.journal.log.base.revision > 0;
    return { after: isCut ? (await reachOf(view)).position.revision : 0, upTo: end.revision, isOpen: true };
  }
}

/** What stood at a path; its value is built when it is asked for. */
class ReadValue implements PastValue {
  readonly moment: Moment;
  readonly content: Content;
  readonly digest: string | undefined;

  constructor(moment: Moment, content: Content, digest: string | undefined) {
    this.moment = moment;
    this.content = content;
    this.digest = digest;
  }

  get value() {
    return valueOf(this.content);
  }
}

/** Whether a moment is named by a position up to a revision. */
function isAtOrBefore(when: WhenLike | undefined, revision: number): boolean {
  const position = typeof when === 'string' ? parsePosition(when) : when;
  return position !== undefined && 'revision' in position && position.revision <= revision;
}

function checkTime(time: number): number {
  if (Number.isFinite(time)) return time;
  throw new EvertreeError('VALUE_INVALID', `a time is a number of milliseconds since 1970, not ${time}`);
}

function checkPosition(position: Position): Position {
  if (Number.isSafeInteger(position.epoch) && Number.isSafeInteger(position.revision) && position.revision >= 0) return position;
  throw new EvertreeError('VALUE_INVALID', 'a position has an epoch and a revision, both whole numbers', { position });
}

function checkChanges({ limit, follow = false, order, to }: ChangesOptions): void {
  checkLimit(limit);
  if (!follow) return;
  if (order === 'newest') throw new EvertreeError('VALUE_INVALID', 'a history that is followed comes oldest first');
  if (to !== undefined) throw new EvertreeError('VALUE_INVALID', 'a history that is followed has no end: leave out to, or follow');
}

function checkLimit(limit: number | undefined): void {
  if (limit === undefined || (Number.isSafeInteger(limit) && limit > 0)) return;
  throw new EvertreeError('VALUE_INVALID', `a limit is a whole number above 0, not ${String(limit)}`);
}
