import type { ExactPosition } from '@evertree/core';
import type { ArchivedObject, ArchiveLine, ImageEntry } from '../format/manifest.ts';
import { type Restorable, restorableStates } from '../reading/line-history.ts';

/** A state of a line at which an image is, or a stretch ends. It can be restored. */
export interface LineState {
  readonly position: ExactPosition;
  /** Commit time there, milliseconds since 1970, as its commit says. */
  readonly time: number;
  /** When it came into the archive, by the target's time; undefined if that was not written down. */
  readonly archived: number | undefined;
  /** Whether it is an image: it needs nothing else. */
  readonly isImage: boolean;
}

/** Which states the entries of a line give, and what each needs. A line is of one history, so a revision names a state. */
export class LineStates {
  /** As whoever restores sees them, oldest first. */
  readonly segments: readonly Restorable[];
  /** Oldest first. */
  readonly states: readonly LineState[];

  constructor(line: string, objects: ArchiveLine['objects']) {
    const images = objects.filter(entry => entry.kind === 'image');
    const stretches = objects.filter(entry => entry.kind === 'stretch');
    this.segments = restorableStates(line, images, stretches);
    this.states = this.#states();
  }

  /** The entries without which a state can't be restored; undefined if it can't be with all of them. */
  needsOf(revision: number): readonly ArchivedObject[] | undefined {
    const segment = this.#segmentOf(revision);
    if (segment === undefined) return undefined;
    const image = segment.images.findLast(({ position }) => position.revision <= revision);
    if (image?.position.revision === revision) return [image];
    const start = image?.position.revision ?? 0;
    const stretches = segment.stretches.filter(({ base, last }) => last.revision > start && base.revision < revision);
    return [...(image === undefined ? [] : [image]), ...(stretches as ArchivedObject[])];
  }

  /** The entries that are needed so that every state from a revision on can be restored that can be now. */
  needsFrom(revision: number): readonly ArchivedObject[] {
    const start = this.#startFor(revision);
    return this.segments.flatMap(({ images, stretches }) => [
      ...images.filter(({ position }) => position.revision >= start),
      ...(stretches.filter(({ last }) => last.revision > start) as ArchivedObject[]),
    ]);
  }

  /** The state before one, or where the history begins that leads to it. */
  before({ position: { revision } }: LineState): ExactPosition {
    const { from } = this.#segmentOf(revision)!;
    const before = this.states.findLast(({ position }) => position.revision < revision)?.position ?? from;
    return before.revision < from.revision ? from : before;
  }

  #segmentOf(revision: number): Restorable | undefined {
    return this.segments.find(({ from, to }) => from.revision <= revision && revision <= to.revision);
  }

  /** The revision of the image (0: the origin) with which the restore of a state begins, or the next one that there is. */
  #startFor(revision: number): number {
    const segment = this.#segmentOf(revision);
    if (segment === undefined) return this.segments.find(({ from }) => from.revision > revision)?.from.revision ?? revision;
    return segment.images.findLast(({ position }) => position.revision <= revision)?.position.revision ?? segment.from.revision;
  }

  #states(): LineState[] {
    const states = new Map<number, LineState>();
    for (const { from, images, stretches } of this.segments) {
      for (const { last, lastTime, archived } of stretches) {
        if (last.revision > from.revision) states.set(last.revision, { position: last, time: lastTime, archived, isImage: false });
      }
      for (const image of images) states.set(image.position.revision, imageState(image, states.get(image.position.revision)));
    }
    return [...states.values()].toSorted((a, b) => a.position.revision - b.position.revision);
  }
}

/** @param stretch the same state as the end of a stretch, if it is one */
function imageState({ position, time, archived }: ImageEntry, stretch: LineState | undefined): LineState {
  return { position, time, archived: stretch?.archived ?? archived, isImage: true };
}
