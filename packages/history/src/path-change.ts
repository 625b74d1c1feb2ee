import type { ChangeSet, ExactPosition, Path } from '@evertree/core';
import type { Change } from './answers.ts';

/** A commit that concerns a path, with the operations that do. */
export interface PathChange {
  readonly position: ExactPosition;
  readonly changeSet: ChangeSet;
  /** What it says of its epoch, or of a mark. */
  readonly notes: Pick<Change, 'begins' | 'ends' | 'mark'>;
}

/** Which commits are asked for. */
export interface ChangeFilter {
  readonly path: Path;
  readonly author: string | undefined;
  /** Whether the values of puts are wanted: else they may be null. */
  readonly values: boolean;
  /** How many changes will be asked for, if that is known. */
  readonly expected?: number | undefined;
  /** Ends the search, also while nothing is found. */
  readonly signal?: AbortSignal | undefined;
}
