import type { Path } from '../tree/path.ts';
import type { Value } from '../tree/value.ts';

/** What a document (a merge patch, a JSON patch, a draft, an import) is resolved onto: reads see the writes before them. */
export interface TransactionTarget {
  get(path: Path): Value | undefined;
  has(path: Path): boolean;
  put(path: Path, value: unknown): void;
  delete(path: Path): void;
  /** What stands at a path, without reading it. */
  kind(path: Path): 'object' | 'array' | 'leaf' | undefined;
  /** The keys of the object at a path, in no order; undefined where no object stands. */
  keys(path: Path): string[] | undefined;
}
