import type { Clock, Disk, ExactPosition, FrameLog, Path, Report, Reporter, Value } from '@evertree/core';
import { EvertreeError, samePosition } from '@evertree/core';
import { asError, isMissing } from '@evertree/journal/files';
import { IndexOutdated, type ChangeIndex, type FoundChange, type Touch } from '../change-index.ts';
import { BlockCache } from './block-cache.ts';
import type { BuildingEvents, IndexBuilding } from './index-builder.ts';
import { RUN_CHANGE_SETS } from './index-keeper.ts';
import { droppedReport, failedReport, stuckReport, unreadableReport } from './index-reports.ts';
import { pathKey } from './path-key.ts';
import { UnsoundRun } from './run-format.ts';
import { lengthOf, listRuns, longestStretch } from './run-list.ts';
import { RunFile } from './run-file.ts';
import { RunQuestions } from './run-questions.ts';
import { SegmentFiles } from './segment-files.ts';

/** What of the runs is kept in memory. */
const CACHE_BYTES = 64 * 1024 * 1024;
/** Fewer new change sets than this are left to the journal: reading them there is as fast. */
const LEAST_CHANGE_SETS = 256;
/**
 * New change sets are covered after this time, unless there are enough of them for a run before. The first ones are left
 * for so long in any case: the thread that a request begins loads its code, beside a site that starts and catches up.
 */
const EXTEND_AFTER_MS = 1_000;
/** After a failure, such as a full disk, it is tried again after this time. */
const RETRY_AFTER_MS = 60_000;

export interface JournalIndexOptions {
  readonly disk: Pick<Disk, 'open' | 'list'>;
  readonly log: FrameLog;
  readonly clock: Clock;
  readonly report: Reporter;
  /** Begins the building of the index. */
  readonly build: (events: BuildingEvents) => IndexBuilding;
}

/** The index of a journal in a directory. */
export class JournalIndex implements ChangeIndex, AsyncDisposable {
  readonly #options: JournalIndexOptions;
  readonly #cache = new BlockCache(CACHE_BYTES);
  readonly #segments: SegmentFiles;
  readonly #building: IndexBuilding;
  readonly #hooks: Disposable;
  /** Each goes on where the one before ends, and the last one's last position is one of the journal's. */
  #runs: readonly RunFile[] = [];
  /** Files that were found unsound, until the builder has dropped them. */
  readonly #bad = new Set<string>();
  /** Where the journal was stable when it was last looked at. Lower than before only after a rewind. */
  #seen: ExactPosition;
  /** Where the journal began then. Higher than before once segments are no longer kept. */
  #seenBase: ExactPosition;
  /** Up to which revision the builder was asked to cover it. */
  #asked = Infinity;
  #timer: Disposable | undefined;
  /** The newest list of files that was told; undefined before the first one. */
  #told: readonly string[] | undefined;
  /** The list whose files were opened last, or are being opened. */
  #heeded: readonly string[] | undefined;
  #isListed = false;
  #opening: Promise<void> | undefined;
  #hasFailed = false;
  /** A failure was told, and nothing was built since. */
  #isFailureTold = false;
  #isClosed = false;
  /** How often the builder was asked to cover a range, and how many of these it has done. */
  #requests = 0;
  #done = 0;
  /** How often it came to cover less, but for retention. */
  #shrinks = 0;
  /** How often the history was cut back or replaced. */
  #rewinds = 0;
  #waiting: (() => void)[] = [];

  constructor(options: JournalIndexOptions) {
    this.#options = options;
    this.#segments = new SegmentFiles(options.disk);
    this.#seen = options.log.stable;
    this.#seenBase = options.log.base;
    this.#building = options.build({
      changed: paths => this.#changed(paths),
      dropped: (file, problem) => this.#dropped(file, problem),
      stuck: position => this.#tell(stuckReport(position)),
      failed: error => this.#failed(error),
      idle: requests => this.#idle(requests),
    });
    this.#hooks = options.log.onProgress(() => this.#progressed());
    this.#opening = this.#list().finally(() => this.#opened());
  }

  get after(): number {
    const [first] = this.#runs;
    return first === undefined ? this.upTo : Math.max(first.after, this.#options.log.base.revision);
  }

  get upTo(): number {
    return this.#runs.at(-1)?.upTo ?? this.#options.log.base.revision;
  }

  get shrinks(): number {
    return this.#shrinks + this.#options.log.base.revision;
  }

  /** Its files, the oldest first. */
  get files(): readonly string[] {
    return this.#runs.map(({ path }) => path);
  }

  /** Resolves when it covers all that is stable now, or can't. */
  async caughtUp(): Promise<void> {
    this.#extend(1);
    const request = this.#requests;
    while (this.#done < request && !this.#isClosed) await new Promise<void>(resolve => this.#waiting.push(resolve));
    while (this.#opening !== undefined) await this.#opening;
  }

  newest(path: Path, atOrBefore: number): Promise<Touch | undefined> {
    return this.#ask(questions => questions.newest(pathKey(path), atOrBefore));
  }

  newestBelow(path: Path, atOrBefore: number): AsyncIterable<readonly Touch[]> {
    return this.#askEach(questions => questions.newestBelow(pathKey(path), atOrBefore));
  }

  touches(path: Path, range: { readonly after: number; readonly upTo: number }): AsyncIterable<readonly Touch[]> {
    return this.#askEach(questions => questions.touches(pathKey(path), range, this.#segments));
  }

  weight(path: Path): Promise<number> {
    return this.#ask(questions => questions.weight(pathKey(path)));
  }

  timeOf(revision: number): Promise<number> {
    return this.#ask(questions => questions.timeOf(revision, this.#segments));
  }

  valueAt(touch: Touch, path: Path): Promise<Value | undefined> {
    return this.#ask(questions => questions.valueAt(touch, path, this.#segments));
  }

  read(touches: readonly Touch[]): AsyncIterable<FoundChange> {
    return this.#askEach(questions => questions.read(touches, this.#segments));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#hooks[Symbol.dispose]();
    this.#timer?.[Symbol.dispose]();
    this.#wake();
    await this.#building.close();
    await this.#opening;
    await this.#show([]);
    await this.#segments.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // Questions

  async #ask<T>(question: (questions: RunQuestions) => Promise<T>): Promise<T> {
    using stack = this.#useRuns();
    try {
      return await question(stack.questions);
    } catch (error) {
      throw this.#lost(error);
    }
  }

  async *#askEach<T>(question: (questions: RunQuestions) => AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    using stack = this.#useRuns();
    try {
      yield* question(stack.questions);
    } catch (error) {
      throw this.#lost(error);
    }
  }

  #useRuns(): Disposable & { readonly questions: RunQuestions } {
    if (this.#isClosed) throw new EvertreeError('CLOSED', 'the index is closed');
    const runs = this.#runs;
    const { base } = this.#options.log;
    const uses = runs.map(run => run.use());
    const questions = new RunQuestions(runs, this.after, this.#options.clock);
    return {
      questions,
      [Symbol.dispose]: () => {
        for (const use of uses) use[Symbol.dispose]();
        // It may have opened segments after they left the journal, before their files were removed.
        if (!samePosition(base, this.#options.log.base)) void this.#segments.release();
      },
    };
  }

  /** What a question throws: a run that turned out to be unsound counts for nothing from now on. */
  #lost(error: unknown): unknown {
    if (!(error instanceof UnsoundRun))
      return isMissing(error) ? new IndexOutdated('a segment is no longer kept', { cause: error }) : error;
    this.#forget(error.file, error.message);
    return new IndexOutdated(error.message, { cause: error });
  }

  #forget(file: string, problem: string): void {
    if (this.#isClosed || this.#bad.has(file)) return;
    // A run that was merged into another one meanwhile is no loss.
    if (!this.#runs.some(run => run.path === file)) return;
    this.#bad.add(file);
    this.#dropped(file, problem);
    void this.#show(this.#runs.filter(run => run.path !== file));
    this.#building.drop([file]);
    this.#extend(LEAST_CHANGE_SETS);
  }

  // What the journal and the builder tell

  #progressed(): void {
    if (this.#isClosed) return;
    const { base, stable } = this.#options.log;
    // A file that is removed takes its room until it is closed.
    if (!samePosition(base, this.#seenBase)) void this.#segments.release();
    if (stable.revision < this.#seen.revision) this.#rewound(stable);
    this.#seen = stable;
    this.#seenBase = base;
    const more = stable.revision - this.#asked;
    if (more < LEAST_CHANGE_SETS || this.#hasFailed) return;
    if (more >= RUN_CHANGE_SETS && this.#requests > 0) this.#extend(LEAST_CHANGE_SETS);
    else this.#timer ??= this.#options.clock.after(EXTEND_AFTER_MS, () => this.#extend(LEAST_CHANGE_SETS));
  }

  /** The history was cut back, or replaced by one that ends before: runs beyond its end are not of this history. */
  #rewound(stable: ExactPosition): void {
    const gone = this.#runs.filter(run => run.upTo > stable.revision).map(({ path }) => path);
    this.#rewinds++;
    this.#asked = Math.min(this.#asked, stable.revision);
    void this.#segments.release();
    void this.#show(this.#runs.filter(run => run.upTo <= stable.revision));
    this.#building.drop(gone);
    this.#extend(LEAST_CHANGE_SETS);
  }

  #extend(least: number): void {
    const { base, stable } = this.#options.log;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    if (this.#isClosed) return;
    this.#asked = stable.revision;
    this.#hasFailed = false;
    this.#requests++;
    this.#building.extend({ base, stable }, least);
  }

  #changed(paths: readonly string[]): void {
    this.#told = paths;
    this.#isFailureTold = false;
    for (const path of this.#bad) if (!paths.includes(path)) this.#bad.delete(path);
    if (this.#isListed) this.#openTold();
  }

  /** Finds the runs that are there, so that the builder need not begin before there is something to build. */
  async #list(): Promise<void> {
    try {
      const { runs } = await listRuns(this.#options.disk);
      this.#told ??= runs.map(({ path }) => path);
    } catch (error) {
      this.#failed(asError(error));
    }
    this.#isListed = true;
    await this.#openAll();
    this.#asked = this.upTo;
    this.#progressed();
  }

  #openTold(): void {
    this.#opening ??= this.#openAll().finally(() => this.#opened());
  }

  /** A list may have been told between the end of the opening and now. */
  #opened(): void {
    this.#opening = undefined;
    if (this.#told !== this.#heeded && !this.#isClosed) this.#openTold();
  }

  /** Opens the files that were told, until there is no newer list. */
  async #openAll(): Promise<void> {
    for (let paths: readonly string[] | undefined; paths !== this.#told && !this.#isClosed;) {
      paths = this.#heeded = this.#told!;
      const rewinds = this.#rewinds;
      const opened: RunFile[] = [];
      let lacksOne = false;
      for (const path of paths) {
        if (this.#bad.has(path)) continue;
        const run = this.#runs.find(known => known.path === path) ?? (await this.#open(path));
        if (run === 'missing') lacksOne = true;
        else if (run !== undefined) opened.push(run);
      }
      // A question may have found one of them unsound meanwhile.
      const runs = opened.filter(run => !run.isRetired && !this.#bad.has(run.path));
      // A file that was merged into another one meanwhile is no loss: that is told next.
      const isOld = lacksOne && lengthOf(longestStretch(runs)) < lengthOf(this.#runs);
      // After a rewind it is to be asked again which of them are of the history.
      const isStale = rewinds !== this.#rewinds;
      if (!isOld && !isStale) await this.#show(runs);
      else for (const run of runs) if (!this.#runs.includes(run)) await run.retire();
      if (isStale) paths = undefined;
    }
  }

  /** Opens a run if it is of the present history. */
  async #open(path: string): Promise<RunFile | 'missing' | undefined> {
    const { disk, log } = this.#options;
    try {
      const run = await RunFile.open(disk, path, { cache: this.#cache.part() });
      const { last } = run.description;
      // Histories that share a position share all that is before it.
      let isOurs = false;
      try {
        isOurs = (await log.find(last)) !== undefined;
      } finally {
        if (!isOurs) await run.retire();
      }
      if (isOurs) return run;
      if (last.revision > log.base.revision) this.#building.drop([path]);
    } catch (error) {
      if (error instanceof UnsoundRun) {
        this.#dropped(path, error.message);
        this.#building.drop([path]);
      } else if (isMissing(error)) {
        this.#building.drop([path]);
        return 'missing';
      } else if (!this.#isClosed) {
        this.#tell(unreadableReport(path, asError(error)));
      }
    }
    return undefined;
  }

  /** Answers from these runs from now on: of each stretch without a gap, the longest. */
  async #show(runs: readonly RunFile[]): Promise<void> {
    const before = this.#runs;
    const { after, upTo } = this;
    this.#runs = longestStretch(runs);
    if (this.after > after || this.upTo < upTo) this.#shrinks++;
    for (const run of [...before, ...runs]) if (!this.#runs.includes(run)) await run.retire();
  }

  #dropped(file: string, problem: string): void {
    this.#tell(droppedReport(file, problem));
  }

  #failed(error: Error): void {
    this.#hasFailed = true;
    if (!this.#isClosed) this.#timer ??= this.#options.clock.after(RETRY_AFTER_MS, () => this.#extend(LEAST_CHANGE_SETS));
    if (!this.#isFailureTold) this.#tell(failedReport(error));
    this.#isFailureTold = true;
  }

  #idle(requests: number): void {
    this.#done = requests;
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #tell(report: Report): void {
    if (!this.#isClosed) this.#options.report(report);
  }
}
