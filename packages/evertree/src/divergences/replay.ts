import {
  type Commit,
  type ErrorCode,
  EvertreeError,
  type ExactPosition,
  NOTE_LIMIT,
  type Operation,
  type Position,
  type Snapshot,
  type Store,
  covers,
  decodeChangeSets,
  formatExactPosition,
  formatPath,
  isEvertreeError,
  sameValue,
} from '@evertree/core';
import { type Conflict, Conflicts } from './conflicts.ts';

/** A commit that is in no history that goes on. */
export interface DivergedCommit {
  readonly position: ExactPosition;
  readonly author?: string | undefined;
  readonly message?: string | undefined;
  readonly operations: readonly Operation[];
}

export interface ReplayRequest {
  /** The fork: what the commits follow. */
  readonly base: ExactPosition;
  /** All commits of the divergence, in their order. */
  readonly commits: readonly DivergedCommit[];
  /** The revisions that are to be applied. */
  readonly chosen: ReadonlySet<number>;
  /** Applies commits in spite of conflicts. */
  readonly force: boolean;
  /** Finds out what would happen, and changes nothing. */
  readonly dryRun: boolean;
}

/**
 * - `applied`: it is a new commit, or would be one.
 * - `equal`: the tree holds already what it wrote.
 * - `replayed`: it was applied before, as a commit that is in this history.
 * - `conflict`: left out, because a path does not hold what it saw.
 * - `refused`: left out, because the store does not take it; `error` says why.
 */
export type ReplayOutcome = 'applied' | 'equal' | 'replayed' | 'conflict' | 'refused';

/** What became of a chosen commit. */
export interface ReplayResult {
  /** The commit's own position. */
  readonly position: Position;
  readonly outcome: ReplayOutcome;
  /** Also those in spite of which it was applied. */
  readonly conflicts: readonly Conflict[];
  /** The position that it has in this history, if the outcome is `applied`, and not in a dry run, or `replayed`. */
  readonly as?: Position;
  readonly error?: { readonly code: ErrorCode; readonly text: string };
}

/** Errors of one commit: the next one may be taken. Any other ends the replay. */
const OF_A_COMMIT: ReadonlySet<ErrorCode> = new Set(['PATH_INVALID', 'VALUE_INVALID', 'GUARD_FAILED', 'TOO_LARGE']);

/** Commits that are applied in one turn of the event loop. */
const TURN_COMMITS = 100;

/** Applies chosen commits of a divergence to a primary's tree, as new commits with their authors. */
export class Replay {
  readonly #store: Store;
  readonly #request: ReplayRequest;
  readonly #breathe: () => Promise<void>;
  readonly #conflicts: Conflicts;
  /** The exact positions of all commits of the divergence, as texts. */
  readonly #names: ReadonlySet<string>;
  /** The positions that commits of the divergence have in this history, by their exact position as a text. */
  readonly #replayed = new Map<string, Position>();
  /** Whether the history since the fork is all here. */
  #isKnown = true;
  /** The tree up to which everything that happened is marked in `#conflicts`. */
  #marked: Snapshot;
  readonly results: ReplayResult[] = [];
  /** The last new commit. */
  last: Commit | undefined;

  /** @param breathe called between steps of long work */
  constructor(store: Store, request: ReplayRequest, breathe: () => Promise<void>) {
    this.#store = store;
    this.#request = request;
    this.#breathe = breathe;
    this.#conflicts = new Conflicts(request.commits.flatMap(({ operations }) => operations.map(({ path }) => path)));
    this.#names = new Set(request.commits.map(({ position }) => formatExactPosition(position)));
    this.#marked = store.snapshot();
  }

  /**
   * What was applied before an error stands; `results` tells it.
   * @throws EvertreeError HISTORY_MISMATCH when the fork is not in this history, and what `transact` throws
   */
  async run(): Promise<void> {
    try {
      await this.#readHistory();
      const { commits } = this.#request;
      for (let start = 0; start < commits.length; start += TURN_COMMITS) {
        await this.#breathe();
        this.#markWhatCameSince();
        for (const commit of commits.slice(start, start + TURN_COMMITS)) this.#take(commit);
        this.#marked.release();
        this.#marked = this.#store.snapshot();
      }
    } finally {
      this.#marked.release();
    }
  }

  /** Marks what the history that goes on changed since the fork, and which commits were replayed before. */
  async #readHistory(): Promise<void> {
    const store = this.#store;
    const { base } = this.#request;
    if (!covers(store.lineage, base)) {
      const message = `the divergence follows ${formatExactPosition(base)}, which is not in the history of ${store.site}`;
      throw new EvertreeError('HISTORY_MISMATCH', message, { base, last: store.position });
    }
    await store.flush();
    try {
      await this.#readFrom(base);
    } catch (error) {
      if (!isEvertreeError(error, 'COMPACTED')) throw error;
      this.#isKnown = false;
    }
  }

  /** @throws EvertreeError COMPACTED if the journal no longer reaches back to the fork, or not to the end of this */
  async #readFrom(base: ExactPosition): Promise<void> {
    const reader = this.#store.journal.log.read(base);
    try {
      for (let stored = await reader.next(); stored !== undefined; stored = await reader.next()) {
        const { epoch, last } = stored.frame.header;
        for (const { revision, message, operations } of decodeChangeSets(stored.frame)) {
          if (revision > base.revision) this.#mark({ epoch, revision }, message, operations);
        }
        if (last.revision >= this.#marked.position.revision) break;
        await this.#breathe();
      }
    } finally {
      await reader.close();
    }
  }

  #mark(position: Position, message: string | undefined, operations: readonly Operation[]): void {
    const original = originalOf(message);
    if (original !== undefined && this.#names.has(formatExactPosition(original))) {
      this.#replayed.set(formatExactPosition(original), position);
      for (const { path } of operations) this.#conflicts.applied(path, original.revision);
    } else {
      for (const { path } of operations) this.#conflicts.changed(path, position);
    }
  }

  /** Commits of others that came while this waited are marked where they changed something. */
  #markWhatCameSince(): void {
    const { position } = this.#store;
    if (this.#marked.position.revision === position.revision) return;
    for (const { operations } of this.#request.commits) {
      for (const { path } of operations) {
        if (this.#marked.digestAt(path) !== this.#store.digestAt(path)) this.#conflicts.changed(path, position);
      }
    }
  }

  #take(commit: DivergedCommit): void {
    const { position, operations } = commit;
    const { epoch, revision } = position;
    const as = this.#replayed.get(formatExactPosition(position));
    if (as !== undefined) {
      if (this.#request.chosen.has(revision)) this.results.push({ position: { epoch, revision }, outcome: 'replayed', conflicts: [], as });
      return;
    }
    const result = this.#request.chosen.has(revision) ? this.#replay(commit) : undefined;
    if (result !== undefined) this.results.push(result);
    const stands = result?.outcome === 'applied' || result?.outcome === 'equal';
    for (const { path } of operations) {
      if (stands) this.#conflicts.applied(path, revision);
      else this.#conflicts.leftOut(path, revision);
    }
  }

  #replay(commit: DivergedCommit): ReplayResult {
    const { epoch, revision } = commit.position;
    const position = { epoch, revision };
    const conflicts = commit.operations.flatMap(operation => this.#conflictOf(operation, revision) ?? []);
    if (conflicts.length > 0 && !this.#request.force) return { position, outcome: 'conflict', conflicts };
    if (commit.operations.every(operation => this.#isEqual(operation))) return { position, outcome: 'equal', conflicts };
    if (this.#request.dryRun) return { position, outcome: 'applied', conflicts };
    try {
      const made = this.#commit(commit);
      this.last = made;
      const { changed, position: as } = made;
      return { position, outcome: changed ? 'applied' : 'equal', conflicts, ...(changed ? { as } : {}) };
    } catch (error) {
      if (!isEvertreeError(error) || !OF_A_COMMIT.has(error.code)) throw error;
      return { position, outcome: 'refused', conflicts, error: { code: error.code, text: error.message } };
    }
  }

  #commit({ position, author, message, operations }: DivergedCommit): Commit {
    return this.#store.transact(
      transaction => {
        for (const operation of operations) {
          if (operation.type === 'put') transaction.put(operation.path, operation.value);
          else if (transaction.has(operation.path)) transaction.delete(operation.path);
        }
      },
      { ...(author === undefined ? {} : { author }), message: noteOf(position, message) },
    );
  }

  #conflictOf(operation: Operation, revision: number): Conflict | undefined {
    const { path } = operation;
    const conflict = this.#isKnown ? this.#conflicts.at(path, revision) : unknownAt(operation);
    return conflict === undefined || this.#isEqual(operation) ? undefined : conflict;
  }

  /** Whether the tree holds already what the operation makes. */
  #isEqual(operation: Operation): boolean {
    if (operation.type === 'delete') return !this.#store.has(operation.path);
    const present = this.#store.get(operation.path);
    return present !== undefined && sameValue(present, operation.value);
  }
}

function unknownAt({ path }: Operation): Conflict {
  return { path: formatPath(path), reason: 'unknown' };
}

/** A replayed commit's message begins with this, so that whoever reads the history finds out what was replayed. */
const ORIGINAL = /^replay of (\d{1,10})-(\d{1,16}) \(epoch id ([0-9a-f]{16})\)/;

function noteOf(position: ExactPosition, message: string | undefined): string {
  const whence = `replay of ${formatExactPosition(position)}`;
  return message === undefined ? whence : `${whence}: ${message}`.slice(0, NOTE_LIMIT).toWellFormed();
}

/** The position of the commit that a commit of this message replays; undefined if it replays none. */
function originalOf(message: string | undefined): ExactPosition | undefined {
  const match = message === undefined ? null : ORIGINAL.exec(message);
  return match === null ? undefined : { epoch: Number(match[1]), revision: Number(match[2]), epochId: match[3]! };
}
