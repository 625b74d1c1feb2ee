import type { ExactPosition, Position } from '../position.ts';

export interface CommitOptions {
  /** Commits only if the tree stands here. @throws POSITION_MISMATCH */
  readonly ifPosition?: Position;
  /** Commits only if the subtree has this digest (null: only if it is absent). @throws POSITION_MISMATCH */
  readonly ifDigest?: { readonly path: string | readonly string[]; readonly digest: string | null };
  readonly author?: string;
  readonly message?: string;
}

/** What a commit asks of its store, later. */
export interface CommitHost {
  whenDurable(position: ExactPosition): Promise<void>;
  whenAcknowledged(position: ExactPosition, secondaries: number, timeoutMs: number | undefined): Promise<number>;
}

/** A transaction that was committed. Its promises are made when they are asked for. */
export class Commit {
  /** Whether it changed anything, and so took a revision. */
  readonly changed: boolean;
  readonly #host: CommitHost;
  /** Any position of the commit's epoch: commits share one, and make their own only when they are asked for it. */
  readonly #within: ExactPosition;
  readonly #revision: number;

  constructor(host: CommitHost, within: ExactPosition, revision: number, changed: boolean) {
    this.#host = host;
    this.#within = within;
    this.#revision = revision;
    this.changed = changed;
  }

  /** The commit's position; that of the tree where there was nothing to change. */
  get position(): Position {
    return { epoch: this.#within.epoch, revision: this.#revision };
  }

  /**
   * Resolves when the commit is on stable storage here.
   * Rejects with NOT_DURABLE (a store in memory), STORAGE_FAILED, CLOSED; FENCED ({position, last}) when this site's history went back behind it.
   */
  get durable(): Promise<void> {
    return this.#host.whenDurable(this.#exactPosition());
  }

  /**
   * Resolves with the count when so many secondaries hold it on stable storage.
   * Rejects with ACKNOWLEDGEMENT_TIMEOUT ({position, acknowledged}; the commit stands), CLOSED; FENCED ({position, last}) as above.
   */
  acknowledged(secondaries: number, options: { readonly timeoutMs?: number } = {}): Promise<number> {
    return this.#host.whenAcknowledged(this.#exactPosition(), secondaries, options.timeoutMs);
  }

  #exactPosition(): ExactPosition {
    return { epoch: this.#within.epoch, epochId: this.#within.epochId, revision: this.#revision };
  }
}
