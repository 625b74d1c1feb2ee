import type { BodyCodec } from '../frames/frame.ts';
import type { Clock, Random, Reporter } from '../seams/host.ts';
import type { Journal } from '../seams/journal.ts';
import type { StoreLimits } from './store-limits.ts';

export interface StoreOptions {
  /** Opened, and the store's from now on: it recovers from it and closes it. */
  readonly journal: Journal;
  readonly clock: Clock;
  readonly random: Random;
  readonly report?: Reporter;
  readonly limits?: Partial<StoreLimits>;
  /** Codec of the frames that this store cuts as a primary; binary unless said otherwise. */
  readonly encoding?: BodyCodec;
}

export type StoreEvents = {
  /** Frames became stable. */
  stable(): void;
  /** A frame was cut or applied, or a snapshot swapped in. */
  advanced(): void;
  /** The state changed. */
  state(): void;
};
