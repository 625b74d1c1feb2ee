import {
  covers,
  epochsAt,
  EvertreeError,
  formatExactPosition,
  formatPosition,
  ORIGIN,
  positionAt,
  samePosition,
  type Clock,
  type Epoch,
  type ExactPosition,
  type Journal,
  type Lineage,
  type Mark,
  type Position,
  type Store,
} from '@evertree/core';
import { type ChangeIndex, IndexOutdated } from './change-index.ts';

/** What the index covers at some moment. */
export interface CoveredRange {
  readonly after: number;
  readonly upTo: number;
  /** `ChangeIndex.shrinks` of that moment. */
  readonly shrinks: number;
}

/** What a question is asked of: a journal, with the lineage that stood when the question began. */
export class HistoryView implements Lineage {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly index: ChangeIndex | undefined;
  readonly stream: string | null;
  readonly epochs: readonly Epoch[];
  /** The last position that is stable: what follows it may never become part of the history. */
  readonly last: ExactPosition;
  readonly marks: readonly Mark[];
  /** The history as it is now. */
  readonly #present: () => Lineage;
  readonly #store: Pick<Store, 'position' | 'snapshot'>;

  constructor(options: {
    readonly journal: Journal;
    readonly clock: Clock;
    readonly index: ChangeIndex | undefined;
    readonly store: Pick<Store, 'lineage' | 'marks' | 'position' | 'snapshot'>;
  }) {
    this.journal = options.journal;
    this.clock = options.clock;
    this.index = options.index;
    const { store } = options;
    const { lineage, marks } = store;
    this.#present = () => store.lineage;
    this.#store = store;
    this.stream = lineage.stream;
    this.marks = marks;
    this.last = options.journal.log.stable;
    this.epochs = epochsAt(lineage, this.last.revision);
  }

  /** Commit time of `last`, if the tree stands there: a journal in memory may hold neither its frame nor a snapshot. */
  get presentTime(): number | undefined {
    if (!samePosition(this.#store.position, this.last)) return undefined;
    using present = this.#store.snapshot();
    return present.header.time;
  }

  /** The exact position of a revision up to the end. */
  exact(revision: number): ExactPosition {
    return positionAt(this, revision) ?? (revision >= this.last.revision ? this.last : ORIGIN);
  }

  /** The exact position of a revision that may lie beyond the end: who follows the history reads what came since. */
  exactSince(revision: number): ExactPosition {
    return revision <= this.last.revision ? this.exact(revision) : (positionAt(this.#present(), revision) ?? this.last);
  }

  /** The entry of the table of epochs in which a revision lies; undefined for ORIGIN. */
  epochOf(revision: number): Epoch | undefined {
    return this.epochs.findLast(({ base }) => base.revision < revision);
  }

  /**
   * The error for a question about what this site does not keep.
   * @param oldest the oldest position that could be asked about, where that is not where the log begins
   */
  compacted(position: Position, oldest?: ExactPosition): EvertreeError {
    const { base } = this.journal.log;
    const begins = oldest === undefined ? `begins after ${formatPosition(base)}` : `can be read from ${formatPosition(oldest)} on`;
    const message = `${formatPosition(position)} lies before what this site keeps of the history, which ${begins}`;
    return new EvertreeError('COMPACTED', `${message}. ${this.elsewhere(position.revision)}`, { position, base: oldest ?? base });
  }

  /** Where the history up to a revision is to be looked for, in words. */
  elsewhere(revision: number): string {
    const own = this.journal.identity.site;
    const entry = this.epochOf(Math.max(revision, 1));
    if (entry === undefined) return 'Ask the other sites, or look into a backup';
    if (entry.site === own) return `This site (${own}) wrote it and has dropped it since: ask the other sites, or look into a backup`;
    return `${entry.site} wrote it (epoch ${entry.number}): ask that site, or look into a backup`;
  }

  /** The revisions that the index answers for: those after `after` up to `upTo`. Undefined without such. */
  covered(): CoveredRange | undefined {
    if (this.index === undefined) return undefined;
    const { after, shrinks } = this.index;
    const upTo = Math.min(this.index.upTo, this.last.revision);
    return after < upTo ? { after, upTo, shrinks } : undefined;
  }

  /**
   * To be called after several answers of the index about what it covered.
   * @throws IndexOutdated if it has covered less since
   */
  assertCovers({ shrinks }: CoveredRange): void {
    if (this.index?.shrinks !== shrinks) throw new IndexOutdated('the index covers less than when the question began');
  }

  /**
   * To be called after an answer of the index, which follows the history as it moves.
   * @throws EvertreeError HISTORY_MISMATCH if the history was cut back or replaced since the question began
   */
  assertStands(): void {
    if (!covers(this.#present(), this.last)) throw this.moved();
  }

  /** The error for a question under which the history was cut back or replaced. */
  moved(): EvertreeError {
    const message = `the history went back behind ${formatExactPosition(this.last)} while it was read; ask again`;
    return new EvertreeError('HISTORY_MISMATCH', message, { expected: this.last, found: this.journal.log.stable });
  }
}
