import { covers, type ExactPosition, type Lineage, samePosition } from '@evertree/core';
import type { FramesEntry, LineHistory } from '../reading/line-history.ts';

/** What a site lacks. */
export interface WantedHistory {
  readonly stream: string;
  /** Where the site stands. */
  readonly after: ExactPosition;
  /** What lies before it is needed: what follows comes from elsewhere. */
  readonly base: ExactPosition;
  /** The history that the site follows: no other frame is of use. */
  readonly primary: Pick<Lineage, 'epochs' | 'last'>;
}

/** Objects of one line that follow one another. */
export interface WayStep {
  readonly line: string;
  readonly entries: readonly FramesEntry[];
}

/**
 * The way through the lines of an archive along one history. Lines of several sites may hold parts of it: that of a former
 * primary up to the fork, and that of its successor from an image on. Where a line parts from the history inside an
 * object, only the object's frames tell; so the objects are offered one step at a time.
 */
export class Way {
  readonly #lines: readonly LineHistory[];
  readonly #wanted: WantedHistory;
  /** Objects that lead no further. */
  readonly #spent = new Set<FramesEntry>();

  constructor(lines: readonly LineHistory[], wanted: WantedHistory) {
    this.#lines = lines;
    this.#wanted = wanted;
  }

  /** The furthest revision to which the objects may lead, as far as their ends tell. */
  get reach(): number {
    let { revision } = this.#wanted.after;
    for (let step = this.next(revision); step !== undefined; step = this.next(revision)) revision = step.entries.at(-1)!.last.revision;
    return revision;
  }

  /** What holds the frames after a revision; undefined where nothing does, or the history ends. */
  next(revision: number): WayStep | undefined {
    if (revision >= this.#wanted.primary.last.revision) return undefined;
    let best: { readonly line: LineHistory; readonly entry: FramesEntry } | undefined;
    for (const line of this.#lines) {
      for (const entry of line.stretches) {
        if (this.#leadsOn(entry, revision) && (best === undefined || this.#isBetter(entry, best.entry))) best = { line, entry };
      }
    }
    return best && { line: best.line.id, entries: this.#from(best.line, best.entry) };
  }

  /** The objects of a step led up to a revision. What should have led further is not offered again. */
  spend({ entries }: WayStep, revision: number): void {
    for (const entry of entries) if (holds(entry, revision)) this.#spent.add(entry);
  }

  #leadsOn(entry: FramesEntry, revision: number): boolean {
    return holds(entry, revision) && !this.#spent.has(entry) && covers(this.#wanted.primary, entry.base);
  }

  /** An object that stays in the history is better than one that leaves it; then the one that leads further. */
  #isBetter(entry: FramesEntry, than: FramesEntry): boolean {
    const [stays, thanStays] = [this.#stays(entry), this.#stays(than)];
    return stays === thanStays ? entry.last.revision > than.last.revision : stays;
  }

  #stays({ last }: FramesEntry): boolean {
    return covers(this.#wanted.primary, last);
  }

  /** An object and those that follow it in its line, up to the first that leaves the history. */
  #from(line: LineHistory, first: FramesEntry): FramesEntry[] {
    const entries = [first];
    for (let end = first; this.#stays(end);) {
      const { last, chain } = end;
      const following = line.stretches.find(
        entry =>
          samePosition(entry.base, last) && entry.previous === chain && entry.last.revision > last.revision && !this.#spent.has(entry),
      );
      if (following === undefined) break;
      entries.push(following);
      end = following;
    }
    return entries;
  }
}

/** Whether the frame that follows a revision is in the object, if it is of that history. */
function holds({ base, last }: FramesEntry, revision: number): boolean {
  return base.revision <= revision && revision < last.revision;
}
