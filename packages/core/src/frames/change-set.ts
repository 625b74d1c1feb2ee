import type { Path } from '../tree/path.ts';
import type { Value } from '../tree/value.ts';

/** One change: `put` replaces the subtree at the path (missing parents are made), `delete` removes it. */
export type Operation<T = Value> =
  | { readonly type: 'put'; readonly path: Path; readonly value: T }
  | { readonly type: 'delete'; readonly path: Path };

/** The difference that one commit made: operations on paths, none of which is above another. */
export interface ChangeSet<T = Value> {
  readonly revision: number;
  /** Milliseconds since 1970; never less than that of the commit before it in its epoch. */
  readonly time: number;
  readonly author?: string;
  readonly message?: string;
  readonly operations: readonly Operation<T>[];
}
