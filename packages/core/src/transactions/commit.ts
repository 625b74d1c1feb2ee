import { EvertreeError } from '../errors.ts';
import { NOTE_LIMIT } from '../tree/limits.ts';
import { formatPosition, type ExactPosition, type Position } from '../position.ts';

export interface CommitOptions {
  /**
   * Commits only if the tree stands here. For a condition on a part of the tree compare its `digestAt` just before the
   * call: both are synchronous, so that nothing comes between.
   * @throws POSITION_MISMATCH
   */
  readonly ifPosition?: Position;
  readonly author?: string;
  readonly message?: string;
}

/** What a commit asks later, when somebody wants to know how far it got. */
export interface CommitHost {
  whenDurable(position: ExactPosition): Promise<void>;
  whenAcknowledged(position: ExactPosition, secondaries: number, timeoutMs: number | undefined): Promise<number>;
}

/** A transaction that was committed. Its promises are made when they are asked for. */
export class Commit {
  /** Whether it changed anything, and so took a revision. */
  readonly changed: boolean;
  readonly #host: CommitHost;
  /**
   * Any position of the commit's epoch. Many commits share it; one makes its own position only when it is asked for it.
   */
  readonly #within: ExactPosition;
  readonly #revision: number;

  constructor(host: CommitHost, within: ExactPosition, revision: number, changed: boolean) {
    this.#host = host;
    this.#within = within;
    this.#revision = revision;
    this.changed = changed;
  }

  /** The commit's position; the tree's if there was nothing to change. */
  get position(): Position {
    return { epoch: this.#within.epoch, revision: this.#revision };
  }

  /**
   * Resolves when the commit is on stable storage here.
   *
   * Rejects with NOT_DURABLE (a store in memory), STORAGE_FAILED, CLOSED; FENCED ({position, last}) if another site has
   * become the primary, and this site's history went back behind the commit or may have to.
   */
  get durable(): Promise<void> {
    return this.#host.whenDurable(this.#exactPosition());
  }

  /**
   * Resolves with the count when so many secondaries have said that they hold the commit on stable storage. One may have
   * followed a site that was promoted without it since it said so: then it keeps the commit as a divergence.
   *
   * Rejects with ACKNOWLEDGEMENT_TIMEOUT ({position, acknowledged}; the commit stands), CLOSED; FENCED ({position,
   * last}) as above. With `outcome: 'unknown'` the commit stands, and this site hears of no acknowledgement any more.
   */
  acknowledged(secondaries: number, options: { readonly timeoutMs?: number } = {}): Promise<number> {
    return this.#host.whenAcknowledged(this.#exactPosition(), secondaries, options.timeoutMs);
  }

  #exactPosition(): ExactPosition {
    return { epoch: this.#within.epoch, epochId: this.#within.epochId, revision: this.#revision };
  }
}

/**
 * Checks the options of a commit.
 * @throws EvertreeError POSITION_MISMATCH with what was expected and what was found; VALUE_INVALID, TOO_LARGE for an
 *   author or a message that can't be kept
 */
export function checkCommitOptions(options: CommitOptions, position: Position): void {
  const { ifPosition, author, message: note } = options;
  if (author !== undefined) checkNote('author', author);
  if (note !== undefined) checkNote('message', note);
  if (ifPosition !== undefined && (ifPosition.epoch !== position.epoch || ifPosition.revision !== position.revision)) {
    const message = `the tree stands at ${formatPosition(position)}, not at ${formatPosition(ifPosition)}; read it again and decide anew`;
    throw new EvertreeError('POSITION_MISMATCH', message, { expected: ifPosition, found: position });
  }
}

/** Author and message go into the frame as they are, so they have to be texts that UTF-8 can encode. */
function checkNote(name: string, note: unknown): void {
  if (typeof note !== 'string') throw new EvertreeError('VALUE_INVALID', `the ${name} of a commit is a string, not ${kindOf(note)}`);
  if (note.length > NOTE_LIMIT) {
    throw new EvertreeError('TOO_LARGE', `the ${name} of a commit has ${note.length} characters; the limit is ${NOTE_LIMIT}`);
  }
  if (note.isWellFormed()) return;
  throw new EvertreeError('VALUE_INVALID', `the ${name} of a commit has a lone surrogate; see String.prototype.toWellFormed`);
}

function kindOf(value: unknown): string {
  return value === null ? 'null' : `a ${typeof value}`;
}
