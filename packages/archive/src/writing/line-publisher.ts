import { isDeepStrictEqual } from 'node:util';
import { CondemnedPaths } from '../format/condemned.ts';
import type { ArchivedObject, ArchiveLine, CondemnedObject, GapNote, ImageEntry, TailNote } from '../format/manifest.ts';
import { type ExactPosition, isEvertreeError } from '@evertree/core';
import { assertUsable, type Usage } from './archive-use.ts';
import type { ImageOwner } from './image-writer.ts';
import { LineLost, ObjectsPruned } from './object-writer.ts';
import type { HeadChange } from '../publishing/head-mover.ts';
import type { HeadPublisher } from '../publishing/head-publisher.ts';
import type { ArchiveState } from '../publishing/head-state.ts';

/** What is new in a line. */
export interface LineChange {
  /** They are in the target already. */
  readonly objects: readonly ArchivedObject[];
  readonly gaps: readonly Omit<GapNote, 'time'>[];
  /** All tails that the line has from now on. */
  readonly tails: readonly TailNote[];
  /** Objects of tails that `objects` hold as well. */
  readonly condemned: readonly Omit<CondemnedObject, 'since'>[];
}

export interface PublishedLine extends Pick<ArchiveLine, 'site' | 'private'> {
  readonly owner: ImageOwner;
  /** The run that the manifest has for the line now; undefined for a line that it does not have yet. */
  readonly run: string | undefined;
}

/** Publishes what a run adds to its line, as long as nobody else has taken the line. */
export class LinePublisher {
  readonly #publisher: HeadPublisher;
  readonly #usage: Usage;
  readonly #line: PublishedLine;
  /** The runs that the manifest may have for the line. */
  #known: readonly (string | undefined)[];

  constructor(publisher: HeadPublisher, usage: Usage, line: PublishedLine) {
    this.#publisher = publisher;
    this.#usage = usage;
    this.#line = line;
    this.#known = [line.run];
  }

  /** @returns the line as it is now. @throws LineLost, ObjectsPruned; what `HeadPublisher.publish` throws */
  async publish(change: LineChange): Promise<ArchiveLine> {
    const { line: id, run } = this.#line.owner;
    // From here on it may be published, even if nobody hears of it.
    this.#known = [...new Set([...this.#known, run])];
    const state = await this.#publish(change);
    this.#known = [run];
    return state.manifest!.lines.find(line => line.id === id)!;
  }

  async #publish(change: LineChange): Promise<ArchiveState> {
    try {
      return await this.#publisher.publish((present, time) => this.#plan(present, time, change));
    } catch (error) {
      if (!isEvertreeError(error, 'COMPACTED')) throw error;
      throw new ObjectsPruned(error.message, { ...error.details, line: this.#line.owner.line });
    }
  }

  /** Whether the line is still its own. @throws LineLost; what `HeadPublisher.read` throws */
  async check(): Promise<void> {
    this.#assertOwn(await this.#publisher.read());
  }

  #plan(state: ArchiveState, time: number, change: LineChange): HeadChange | undefined {
    assertUsable(state.head, this.#usage);
    const present = this.#assertOwn(state);
    const { site, private: sealed, owner } = this.#line;
    const before = present ?? { id: owner.line, site, run: owner.run, private: sealed, objects: [], tails: [], gaps: [] };
    const line: ArchiveLine = {
      ...before,
      run: owner.run,
      objects: mergeObjects(before.objects, change.objects),
      tails: change.tails,
      gaps: mergeGaps(before.gaps, change.gaps, time),
    };
    if (present !== undefined && isDeepStrictEqual(line, present)) return undefined;
    const condemned = state.manifest?.condemned ?? [];
    const others = (state.manifest?.lines ?? []).filter(({ id }) => id !== owner.line);
    return { manifest: { stream: this.#usage.stream, lines: [...others, line], condemned: condemn(condemned, change.condemned, time) } };
  }

  #assertOwn({ manifest }: ArchiveState): ArchiveLine | undefined {
    const { line: id, run } = this.#line.owner;
    const present = manifest?.lines.find(line => line.id === id);
    if (this.#known.includes(present?.run)) return present;
    const problem = present === undefined ? 'is not in the archive any more' : 'was taken by another process';
    throw new LineLost(`the line ${id} ${problem}`, { line: id, expected: run, found: present?.run });
  }
}

/** Where an object ends. */
export function endOf(object: ArchivedObject): ExactPosition {
  return object.kind === 'stretch' ? object.last : object.position;
}

/** The newest image of a line. */
export function newestImage(objects: readonly ArchivedObject[]): ImageEntry | undefined {
  return objects.findLast(object => object.kind === 'image');
}

function pathsOf(object: ArchivedObject): readonly string[] {
  return object.kind === 'stretch' ? [object.path] : object.parts.map(({ path }) => path);
}

/** All objects of a line, in the order of their ends: they are of one history. */
function mergeObjects(present: readonly ArchivedObject[], added: readonly ArchivedObject[]): readonly ArchivedObject[] {
  const known = new Set(present.map(object => pathsOf(object)[0]));
  const fresh = added.filter(object => !known.has(pathsOf(object)[0]));
  return fresh.length === 0 ? present : [...present, ...fresh].toSorted((a, b) => endOf(a).revision - endOf(b).revision);
}

function mergeGaps(present: readonly GapNote[], added: readonly Omit<GapNote, 'time'>[], time: number): readonly GapNote[] {
  const fresh = added.filter(gap => !present.some(known => isDeepStrictEqual(known.to, gap.to)));
  return [...present, ...fresh.map(({ from, to, reason }) => ({ from, to, reason, time }))];
}

function condemn(
  present: readonly CondemnedObject[],
  added: readonly Omit<CondemnedObject, 'since'>[],
  since: number,
): readonly CondemnedObject[] {
  const known = new CondemnedPaths(present);
  return [...present, ...added.filter(({ path }) => !known.has(path)).map(({ path, bytes }) => ({ path, bytes, since }))];
}
