import type {
  Commit,
  CommitOptions,
  ExactPosition,
  Handover,
  Path,
  PathLike,
  Position,
  Snapshot,
  SnapshotNode,
  Value,
} from '@evertree/core';
import type { Moment, WhenLike } from './when.ts';

/** One operation of a change. */
export interface ChangeOperation {
  /** The operation's own path: the one that was asked for, one below it, or one above it. */
  readonly path: Path;
  readonly kind: 'put' | 'delete';
  /**
   * Whether `path` lies above the path that was asked for. `before` and `after` are then those of the path that was
   * asked for; else they are those of `path`.
   */
  readonly above: boolean;
  /** Only if values were asked for. Undefined: there was nothing. */
  readonly before?: Value | undefined;
  /** Only if values were asked for. Undefined: there is nothing since. */
  readonly after?: Value | undefined;
}

/** The epoch that a change begins. Such a change has no operations. */
export interface BegunEpoch {
  readonly site: string;
  readonly reason: string;
}

/** The mark that a change sets or removes. Such a change has no operations. */
export interface ChangedMark {
  readonly name: string;
  /** The state that has the name; of a removed one the state before its removal. */
  readonly position: Position;
  readonly removed: boolean;
}

/**
 * One commit of the history, as far as it concerns the path that was asked for. The entries of the history that change
 * nothing in the tree (an epoch begins or ends, a mark) are there, too, if the question is about the whole tree.
 */
export interface Change {
  readonly position: ExactPosition;
  /** Commit time, milliseconds since 1970. Within an epoch it never goes back. */
  readonly time: number;
  readonly author: string | undefined;
  readonly message: string | undefined;
  /** Those at the path, above it and below it, in the order in which they were made. */
  readonly operations: readonly ChangeOperation[];
  readonly begins?: BegunEpoch;
  readonly ends?: Handover;
  readonly mark?: ChangedMark;
}

export interface ChangesOptions {
  /** The changes after this moment; without it all that are here. */
  readonly from?: WhenLike | undefined;
  /** The changes up to this moment, which is included; without it the present. */
  readonly to?: WhenLike | undefined;
  /** Only commits of this author. */
  readonly author?: string | undefined;
  /** The most changes; without it all of them. */
  readonly limit?: number | undefined;
  /**
   * Adds what stood before and after each operation, which costs a search for what stood before. Without `from` the
   * listing then ends at the oldest state that is kept, though older commits may be.
   */
  readonly values?: boolean | undefined;
  /** `newest`: newest first, which is the default. */
  readonly order?: 'newest' | 'oldest' | undefined;
  /** Oldest first, and then each commit as it becomes stable, until the iteration is left. */
  readonly follow?: boolean | undefined;
  /** Ends the iteration, also while it waits for the next commit. */
  readonly signal?: AbortSignal | undefined;
}

/** What stood at a path at a moment. */
export interface PastValue {
  readonly moment: Moment;
  /** An object as a SnapshotNode, which leads through it piece by piece; anything else as its value. */
  readonly content: SnapshotNode | Value | undefined;
  /** The whole value. An object is built when it is asked for, at once. */
  readonly value: Value | undefined;
  /** Digest of the value, 16 hex digits; undefined if there was nothing. */
  readonly digest: string | undefined;
}

/** One operation of those that turn one state into another. None of them is above another. */
export interface PathDifference {
  readonly path: Path;
  readonly kind: 'put' | 'delete';
  /** Undefined: there was nothing. */
  readonly before: Value | undefined;
  /** Undefined: there is nothing; `kind` is `delete` then. */
  readonly after: Value | undefined;
}

/**
 * Who set a leaf last. An array is one leaf, and so is an empty object.
 * - `put`: by putting the leaf itself.
 * - `above`: by putting something above it, which it is a part of.
 * - `below`: by deleting the last thing in it (an empty object).
 * - `before`: nothing that is kept here wrote it; `position` is where what is kept begins, and the time is not known.
 */
export interface Blame {
  readonly path: Path;
  readonly position: ExactPosition;
  readonly time: number | undefined;
  readonly author: string | undefined;
  readonly message: string | undefined;
  readonly kind: 'put' | 'above' | 'below' | 'before';
}

export type ComparisonOperator = '=' | '!=' | '<' | '<=' | '>' | '>=';

/** What a value is compared with: texts and numbers are ordered, each among their own kind. */
export interface ValueCondition {
  readonly operator: ComparisonOperator;
  readonly value: Value;
}

/** What is looked for: changes for which all that is given holds. */
export interface SearchOptions {
  readonly path: PathLike;
  /** Something at the path or below it was there before and is not since. */
  readonly deleted?: boolean | undefined;
  /** Something at the path or below it fulfils the condition since, and did not before. */
  readonly where?: ValueCondition | undefined;
  /** The author of the commit. */
  readonly changedBy?: string | undefined;
  readonly from?: WhenLike | undefined;
  readonly to?: WhenLike | undefined;
  /** The most findings; without it all of them. */
  readonly limit?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A change that was looked for. */
export interface FoundMoment {
  readonly change: Change;
  /** What was deleted, fulfils the condition or was changed. */
  readonly path: Path;
  /** The moment before the change. */
  readonly before: ExactPosition;
}

/** A path that a reversal would set back although a later commit changed it. */
export interface ReversalConflict {
  readonly path: Path;
  /** The newest commit that changed it; undefined if that is not here any more. */
  readonly position: ExactPosition | undefined;
  readonly time: number | undefined;
  readonly author: string | undefined;
  /** What overwriting it would do. */
  readonly difference: PathDifference;
}

export interface ReversalOptions extends CommitOptions {
  /** What is done where there are conflicts; without it the commit is refused. */
  readonly conflicts?: 'overwrite' | 'skip' | undefined;
}

/** What would set a part of the tree back. Nothing changes before `commit`. */
export interface Reversal {
  /** The present state that this was computed from. */
  readonly base: Moment;
  /** From the present state to what `commit` makes of it, without those that meet a conflict. */
  readonly differences: readonly PathDifference[];
  readonly conflicts: readonly ReversalConflict[];
  /**
   * Makes the differences as one commit, if the paths still hold what they held; otherwise it computes them anew, a few
   * times. Without differences it takes no revision.
   * @throws EvertreeError NOT_PRIMARY and what `transact` throws; TEST_FAILED if there are conflicts and it is not said
   *   what is to be done about them, or if others change these paths all the time
   */
  commit(options?: ReversalOptions): Promise<Commit>;
}

/** How far back a site's history reaches. */
export interface HistoryReach {
  /** The oldest state that can be read. */
  readonly position: ExactPosition;
  /** Its commit time, milliseconds since 1970; 0 for the empty tree before the first commit. */
  readonly time: number;
  /** The changes after this position can be listed: it may lie before `position`. */
  readonly changesAfter: ExactPosition;
  /** Where what came before is to be looked for, in words; undefined if all of the history is here. */
  readonly elsewhere: string | undefined;
}

/**
 * The questions that a history answers. Each is answered from the history that stands when it is asked; one that the
 * journal loses or cuts back under a question ends it with COMPACTED or HISTORY_MISMATCH, never with a wrong answer.
 */
export interface HistoryQuestions {
  /**
   * The moment that a `When` names. A time names the last commit that is not after it, in the history that stands.
   * @throws EvertreeError NOT_FOUND (no such mark), COMPACTED (before what is kept here), HISTORY_MISMATCH (no such
   *   position in this history), POSITION_MISMATCH (beyond its end), VALUE_INVALID
   */
  resolve(when: WhenLike): Promise<Moment>;
  /** The whole tree as it was, pinned; release it. Throws as `resolve`. */
  at(when: WhenLike): Promise<Snapshot>;
  /** What stood at a path. Throws as `resolve`, and PATH_INVALID. */
  read(path: PathLike, when: WhenLike): Promise<PastValue>;
  /** The commits that concern a path: those with an operation at it, above it or below it. Throws as `resolve`. */
  changes(path: PathLike, options?: ChangesOptions): AsyncIterable<Change>;
  /** One commit, with values. */
  show(position: Position): Promise<Change>;
  /** What turns the state at `from` into that at `to`, at a path. */
  diff(from: WhenLike, to: WhenLike, path?: PathLike): AsyncIterable<PathDifference>;
  /** For each leaf at a path or below it who set it last. */
  blame(path: PathLike, at?: WhenLike): AsyncIterable<Blame>;
  /** Newest first. */
  find(options: SearchOptions): AsyncIterable<FoundMoment>;
  /** What would make the subtree at a path what it was. */
  revertPath(path: PathLike, when: WhenLike): Promise<Reversal>;
  /** What would undo the operations of one commit. */
  revertCommit(position: Position): Promise<Reversal>;
  /** How far back this site's history reaches, and where the rest is. */
  reach(): Promise<HistoryReach>;
}
