import type { Path, Position, Value } from '@evertree/core';

/** One operation of the history: where it stands, and what it did. */
export interface Touch {
  /** Of its change set. */
  readonly revision: number;
  /** Which operation of its change set, from 0. */
  readonly operation: number;
  readonly kind: 'put' | 'delete';
  /** The operation's own path: the path that was asked for, one above it, or one below it. */
  readonly path: Path;
}

/** What an operation put; undefined for a delete. */
export interface TouchedValue {
  readonly touch: Touch;
  readonly value: Value | undefined;
}

/** The change set of some touches, without its other operations. */
export interface FoundChange {
  readonly position: Position;
  /** Commit time, milliseconds since 1970. */
  readonly time: number;
  readonly author: string | undefined;
  readonly message: string | undefined;
  readonly touches: readonly TouchedValue[];
}

/**
 * The index covers less than it did: a part of it could not be read, or retention took what it is about. Whoever asked
 * asks again, with `after` and `upTo` as they are now, and reads the rest from the journal.
 */
export class IndexOutdated extends Error {
  override name = 'IndexOutdated';
}

/**
 * Finds the operations that concern a path without reading the whole history. Derived from the journal: an
 * implementation may have less than the journal, but never anything else.
 *
 * Replacing or deleting `/a` concerns `/a/b` and everything below it without naming it, so that every method looks at
 * the ancestors of a path, too.
 *
 * «In the order of the paths» is that of their segments, each by its code points; a path comes before what is below it.
 * Every method may throw IndexOutdated, also in the middle of an answer: what was told before is true nevertheless.
 */
export interface ChangeIndex {
  /**
   * It answers for the revisions after `after` up to `upTo`. What lies outside has to be read from the journal. Both
   * move: take them once for each question.
   */
  readonly after: number;
  readonly upTo: number;
  /**
   * Changes whenever `after` rises or `upTo` falls. What was gathered by several calls is whole only if it is the same
   * before and after them: an answer does not tell what the index does not cover any more.
   */
  readonly shrinks: number;
  /** The newest touch of a path itself or of one above it, at or before a revision. */
  newest(path: Path, atOrBefore: number): Promise<Touch | undefined>;
  /**
   * For each path at or below `path` that was ever touched: its newest touch at or before a revision. In the order of
   * the paths. Some at a time, and never none.
   */
  newestBelow(path: Path, atOrBefore: number): AsyncIterable<readonly Touch[]>;
  /**
   * All touches of a path, of those above it and of those below it, newest first, with a revision in (after, upTo];
   * IndexOutdated if the index does not cover all of these. Of one change set the last operation first. Some at a time,
   * and never none.
   */
  touches(path: Path, range: { readonly after: number; readonly upTo: number }): AsyncIterable<readonly Touch[]>;
  /** An upper bound of how many touches `newestBelow` would look at, to choose between it and reading the whole tree. Cheap. */
  weight(path: Path): Promise<number>;
  /** The commit time of a change set with a revision in (after, upTo], milliseconds since 1970. */
  timeOf(revision: number): Promise<number>;
  /** What a touch left at a path at or below its own; the rest of its value is not made. */
  valueAt(touch: Touch, path: Path): Promise<Value | undefined>;
  /** The change sets of these touches, in the order given; touches of one change set that follow one another are one. */
  read(touches: readonly Touch[]): AsyncIterable<FoundChange>;
}
