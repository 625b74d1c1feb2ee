import type { ExactPosition } from '../position.ts';
import type { StoredFrame } from './stored.ts';

/** A stretch of a history: what follows `base`, up to `last`. */
export interface Stretch {
  readonly base: ExactPosition;
  readonly last: ExactPosition;
}

/** What a history has behind its fork with the history that goes on, as its journal hands it out before it goes. */
export interface Divergence extends Stretch {
  /** 32 hex digits. */
  readonly stream: string;
  /** Its first part, if retention dropped it before; undefined if all of it is here. */
  readonly missing: Stretch | undefined;
  /** The frames after `base`, or else after `missing.last`, up to `last`, in order. Each call reads them anew. */
  frames(): AsyncIterable<StoredFrame>;
}

/** Makes all of a divergence durable elsewhere before it resolves. */
export type Keep = (divergence: Divergence) => Promise<void>;

/** Revisions from `from` to `to`, both included. */
export interface RevisionRange {
  readonly from: number;
  readonly to: number;
}

/** A divergence that was kept. */
export interface KeptDivergence extends Stretch {
  /**
   * Names the content: `<epoch>-<epoch id>-<revision of base>-<revision of last>`, with the epoch of `last`. Two sites
   * that keep the same commits behind the same fork have one name for them.
   */
  readonly name: string;
  readonly missing: Stretch | undefined;
  /** Change sets that are kept, without those that begin or end an epoch or set a mark: these hold no operations. */
  readonly commits: number;
  /** Commit times of the first and the last of `commits`, milliseconds since 1970; undefined if there is none. */
  readonly firstTime: number | undefined;
  readonly lastTime: number | undefined;
  /** The first `SUMMARY_LIMIT` authors, in the order of their commits. */
  readonly authors: readonly string[];
  /** The first `SUMMARY_LIMIT` paths that were changed, as pointers. */
  readonly paths: readonly string[];
  /** The first `SUMMARY_LIMIT` names of marks that were set or moved; absent without any. */
  readonly marks?: readonly string[];
  /** When it was kept, milliseconds since 1970. */
  readonly keptAt: number;
  /** Bytes of its frames as they are stored. */
  readonly bytes: number;
  /** Which of its revisions were applied again in the history that goes on: ascending, and never two that touch. */
  readonly replayed: readonly RevisionRange[];
}

/**
 * The divergences of this site: what it held and the common history does not. They stay until they are forgotten; no
 * limit of retention drops them.
 *
 * What a call recorded survives process death and power loss once it resolves; a call that rejects has changed nothing.
 * Together they are bounded: `keep` throws STORAGE_FULL when there is no room for one more, within the limit or on the
 * disk. Whoever goes back then stays where he is until an operator has forgotten some.
 */
export interface Divergences {
  /** Oldest first. */
  list(): readonly KeptDivergence[];
  /**
   * Keeps a divergence. The same content twice is one; if the one that is kept misses more of it than this one, this
   * one replaces it.
   * @param keptAt milliseconds since 1970
   * @throws EvertreeError STORAGE_FULL
   */
  keep(divergence: Divergence, keptAt: number): Promise<KeptDivergence>;
  /**
   * The frames that are kept, in order.
   * @throws EvertreeError NOT_FOUND for an unknown name; DAMAGED, from the iteration, with file and offset
   */
  read(name: string): AsyncIterable<StoredFrame>;
  /**
   * Records that commits were applied again, so that nobody does it twice.
   * @param revisions of commits within the divergence
   * @throws EvertreeError NOT_FOUND
   */
  markReplayed(name: string, revisions: readonly number[]): Promise<void>;
  /** Drops a divergence for good. @returns whether there was one */
  forget(name: string): Promise<boolean>;
}
