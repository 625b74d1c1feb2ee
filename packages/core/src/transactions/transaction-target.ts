import type { Path } from '../tree/path.ts';
import type { Value } from '../tree/value.ts';

/** What merge patches, JSON patches, drafts and imports are written to. Reads see the writes before them. */
export interface TransactionTarget {
  get(path: Path): Value | undefined;
  has(path: Path): boolean;
  put(path: Path, value: unknown): void;
  delete(path: Path): void;
  /** The kind of the value at a path, without reading it. */
  kind(path: Path): 'object' | 'array' | 'leaf' | undefined;
  /** The keys of the object at a path, in no order; undefined if there is no object. */
  keys(path: Path): string[] | undefined;
}
