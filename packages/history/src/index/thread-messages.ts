import type { ExactPosition } from '@evertree/core';
import type { IndexRange } from './index-keeper.ts';
import type { EndRequest } from './thread-ending.ts';

/** What the thread that builds an index is begun with. */
export interface IndexTask {
  /** Of the site. */
  readonly directory: string;
  /** Of its `EndFlag`. */
  readonly end: SharedArrayBuffer;
}

/** What is asked of the thread that builds an index: see `IndexBuilding`. */
export type ThreadRequest =
  | { readonly type: 'extend'; readonly range: IndexRange; readonly least: number }
  | { readonly type: 'drop'; readonly paths: readonly string[] }
  | EndRequest;

/** What it tells: see `BuildingEvents`. */
export type ThreadAnswer =
  | { readonly type: 'changed'; readonly paths: readonly string[] }
  | { readonly type: 'dropped'; readonly file: string; readonly problem: string }
  | { readonly type: 'stuck'; readonly position: ExactPosition }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'idle'; readonly requests: number };
