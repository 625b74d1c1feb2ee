import { covers, type ExactPosition, formatExactPosition, type Lineage, type Position } from '@evertree/core';
import { type DivergedCommit, originalsOf } from './diverged-commit.ts';
import { RevisionSet } from './revision-set.ts';

/** Which commits of a divergence are in a history: they themselves, or replays of them. */
export class StandingCommits {
  /** The revisions of all commits of the divergence, by their epoch: number and id. */
  readonly #commits = new Map<string, RevisionSet>();
  /** Commits of the divergence that are replays themselves, by the exact position of each commit that they replay, as a text. */
  readonly #replays = new Map<string, ExactPosition>();
  /** The positions that commits of the divergence have in the history, by their exact position as a text. */
  readonly #places = new Map<string, Position>();

  /** Adds a commit of the divergence. All of them have to be there before anything is asked. */
  add({ position, message }: DivergedCommit, lineage: Lineage): void {
    const name = nameOf(position);
    let revisions = this.#commits.get(name);
    if (revisions === undefined) this.#commits.set(name, (revisions = new RevisionSet()));
    revisions.add(position.revision);
    const originals = originalsOf(message);
    for (const original of originals) this.#replays.set(formatExactPosition(original), position);
    // It is known without the frames, which this site may no longer have.
    const standing = [position, ...originals].find(each => covers(lineage, each));
    if (standing !== undefined) this.stands(position, { epoch: standing.epoch, revision: standing.revision });
  }

  /** A commit of the divergence is in the history, at a position. */
  stands(commit: ExactPosition, at: Position): void {
    this.#places.set(formatExactPosition(commit), at);
  }

  /** Where a commit of the divergence stands in the history; undefined if it does not. */
  placeOf(commit: ExactPosition): Position | undefined {
    return this.#places.get(formatExactPosition(commit));
  }

  /** The commit of the divergence that a commit of the history is, or is a replay of, or that is a replay of the same one. */
  original(position: ExactPosition, message: string | undefined): ExactPosition | undefined {
    const names = [position, ...originalsOf(message)];
    const own = names.find(each => this.#commits.get(nameOf(each))?.has(each.revision) === true);
    if (own !== undefined || this.#replays.size === 0) return own;
    for (const each of names) {
      const replay = this.#replays.get(formatExactPosition(each));
      if (replay !== undefined) return replay;
    }
    return undefined;
  }
}

function nameOf({ epoch, epochId }: ExactPosition): string {
  return `${epoch}.${epochId}`;
}
