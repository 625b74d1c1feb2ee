import type { Position } from '../position.ts';

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
  whenDurable(position: Position): Promise<void>;
  whenAcknowledged(position: Position, secondaries: number, timeoutMs: number | undefined): Promise<number>;
}

/** A transaction that was committed. Its promises are made when they are asked for. */
export class Commit {
  /** Whether it changed anything, and so took a revision. */
  readonly changed: boolean;
  readonly #host: CommitHost;
  readonly #epoch: number;
  readonly #revision: number;

  constructor(host: CommitHost, epoch: number, revision: number, changed: boolean) {
    this.#host = host;
    this.#epoch = epoch;
    this.#revision = revision;
    this.changed = changed;
  }

  /** The commit's position; that of the tree where there was nothing to change. */
  get position(): Position {
    return { epoch: this.#epoch, revision: this.#revision };
  }

  /**
   * Resolves when the commit is on stable storage here.
   * Rejects with NOT_DURABLE (a store in memory), STORAGE_FAILED, FENCED, CLOSED.
   */
  get durable(): Promise<void> {
    return this.#host.whenDurable(this.position);
  }

  /**
   * Resolves with the count when so many secondaries hold it on stable storage.
   * Rejects with ACKNOWLEDGEMENT_TIMEOUT ({position, acknowledged}; the commit stands), FENCED, CLOSED.
   */
  acknowledged(secondaries: number, options: { readonly timeoutMs?: number } = {}): Promise<number> {
    return this.#host.whenAcknowledged(this.position, secondaries, options.timeoutMs);
  }
}
