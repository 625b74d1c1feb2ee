import { type ExactPosition, formatPosition, ORIGIN, samePosition } from '@evertree/core';
import type { ArchiveLine, GapNote, ImageEntry, StretchEntry } from '../format/manifest.ts';

/** An object of a tail: what a stretch says, found in the object itself. */
export type TailEntry = Omit<StretchEntry, 'kind'> & { readonly kind: 'tail' };

/** An object with frames. */
export type FramesEntry = StretchEntry | TailEntry;

/** States of one line that follow one another: every revision from `from` to `to` can be restored. */
export interface Restorable {
  /** The line's id. */
  readonly line: string;
  /** The first state; the origin if the line begins with the stream's first commit. */
  readonly from: ExactPosition;
  /** Commit time, milliseconds since 1970; 0 at the origin. */
  readonly fromTime: number;
  readonly to: ExactPosition;
  readonly toTime: number;
  /** Digest of the tree at `to`, and the hash of the frame that ends there. */
  readonly digest: string;
  readonly chain: string;
  /** With which a restore can begin, oldest first. Where `from` is the origin there may be none. */
  readonly images: readonly ImageEntry[];
  /** The frames after `from`, oldest first; each follows the one before. */
  readonly stretches: readonly FramesEntry[];
}

/** What is wrong with an archive. */
export interface ArchiveProblem {
  readonly line: string | undefined;
  /** The key of the object that it is about; undefined where there is none. */
  readonly object: string | undefined;
  /** A sentence for people. */
  readonly text: string;
}

/** One line with everything that its tails hold. */
export interface LineHistory {
  readonly id: string;
  readonly line: ArchiveLine;
  /** The site's name; undefined where it is encrypted and no identity was given. */
  readonly site: string | undefined;
  readonly images: readonly ImageEntry[];
  readonly stretches: readonly FramesEntry[];
  readonly gaps: readonly GapNote[];
  /** What can be restored, oldest first. */
  readonly states: readonly Restorable[];
}

/**
 * The states that can be restored with some objects. Nothing is taken from their order in the manifest: stretches follow
 * one another by position and chain, and an image stands where both say so.
 * @param problems gets what can't be used, and why
 */
export function restorableStates(
  line: string,
  images: readonly ImageEntry[],
  stretches: readonly FramesEntry[],
  problems: ArchiveProblem[] = [],
): Restorable[] {
  const runs = runsOf(stretches);
  const states: Restorable[] = [];
  const placed = new Set<ImageEntry>();
  for (const run of runs) {
    const byEnd = new Map(run.map(entry => [entry.last.revision, entry]));
    const inside = images.filter(image => stands(image, run, byEnd));
    for (const image of inside) placed.add(image);
    const state = stateOf(line, inside, run);
    if (state !== undefined) states.push(state);
    if (state === undefined) problems.push(unreachable(line, run[0]!.base, run));
  }
  for (const image of images) {
    if (placed.has(image)) continue;
    const isBeside = runs.some(
      run => run[0]!.base.revision <= image.position.revision && image.position.revision <= run.at(-1)!.last.revision,
    );
    if (isBeside) {
      problems.push({
        line,
        object: image.parts[0]!.path,
        text: `the image at ${formatPosition(image.position)} is of another history than the frames there`,
      });
    } else if (!states.some(({ to }) => samePosition(to, image.position))) {
      states.push({ line, ...ends(image), images: [image], stretches: [] });
    }
  }
  return states.toSorted((a, b) => a.from.revision - b.from.revision);
}

/** A line without some of its objects. */
export function withoutObjects(line: LineHistory, without: ReadonlySet<string>): LineHistory {
  const images = line.images.filter(({ parts }) => !parts.some(({ path }) => without.has(path)));
  const stretches = line.stretches.filter(({ path }) => !without.has(path));
  return { ...line, images, stretches, states: restorableStates(line.id, images, stretches) };
}

/** The first state at or before a revision, and the first at or after it. */
export interface NearestStates {
  readonly before: ExactPosition | undefined;
  readonly after: ExactPosition | undefined;
}

/** The states that can be restored and are nearest to a revision, which may be one of them. */
export function nearestStates(states: readonly Restorable[], revision: number): NearestStates {
  const points = states.flatMap(state => pointsOf(state, revision)).toSorted((a, b) => a.revision - b.revision);
  const before = points.findLast(point => point.revision <= revision);
  const after = points.find(point => point.revision >= revision);
  return { before, after };
}

/** The exact positions that are known of some states without reading frames; the one at a revision, if it is among them. */
function pointsOf({ from, images, stretches }: Restorable, revision: number): ExactPosition[] {
  const points = [...images.map(({ position }) => position), ...stretches.map(({ last }) => last)];
  const holding = stretches.find(({ base, last }) => base.revision < revision && revision <= last.revision);
  if (holding !== undefined && isOneEpoch(holding.base, holding.last)) points.push({ ...holding.last, revision });
  return points.filter(point => point.revision >= from.revision);
}

/** Whether all frames between two positions are of one epoch. */
export function isOneEpoch(base: ExactPosition, last: ExactPosition): boolean {
  return base.epoch === last.epoch && base.epochId === last.epochId;
}

/** In words, for the end of an error. */
export function nearestInWords({ before, after }: NearestStates): string {
  if (before === undefined && after === undefined) return 'no state of this line can be restored';
  const places = [before, after].filter(position => position !== undefined).map(formatPosition);
  const [one, two] = [...new Set(places)];
  return two === undefined
    ? `the nearest state that can be restored is ${one}`
    : `the nearest states that can be restored are ${one} and ${two}`;
}

/** Stretches that follow one another. One that holds nothing new is left out. */
function runsOf(stretches: readonly FramesEntry[]): FramesEntry[][] {
  const runs: FramesEntry[][] = [];
  for (const stretch of stretches.toSorted((a, b) => a.last.revision - b.last.revision || a.base.revision - b.base.revision)) {
    const run = runs.at(-1);
    const end = run?.at(-1);
    if (run === undefined || end === undefined || stretch.base.revision > end.last.revision) runs.push([stretch]);
    else if (stretch.last.revision <= end.last.revision) continue;
    else if (stretch.base.revision < end.last.revision || (samePosition(stretch.base, end.last) && stretch.previous === end.chain))
      run.push(stretch);
    else runs.push([stretch]);
  }
  return runs;
}

/**
 * Whether an image is of the history of a run. Inside a stretch only its frames can tell.
 * @param byEnd the run's entries by the revisions at which they end
 */
function stands({ position, chain, digest }: ImageEntry, run: readonly FramesEntry[], byEnd: ReadonlyMap<number, FramesEntry>): boolean {
  const first = run[0]!;
  if (position.revision < first.base.revision || position.revision > run.at(-1)!.last.revision) return false;
  if (position.revision === first.base.revision) return samePosition(position, first.base) && chain === first.previous;
  const end = byEnd.get(position.revision);
  return end === undefined || (samePosition(position, end.last) && chain === end.chain && digest === end.digest);
}

function stateOf(line: string, images: readonly ImageEntry[], run: readonly FramesEntry[]): Restorable | undefined {
  const sorted = images.toSorted((a, b) => a.position.revision - b.position.revision);
  const first = sorted[0];
  const isWhole = samePosition(run[0]!.base, ORIGIN);
  if (first === undefined && !isWhole) return undefined;
  const end = run.at(-1)!;
  const from = isWhole ? ORIGIN : first!.position;
  const stretches = run.filter(({ last }) => last.revision > from.revision);
  const { last: to, lastTime: toTime, digest, chain } = end;
  return { line, from, fromTime: isWhole ? 0 : first!.time, to, toTime, digest, chain, images: sorted, stretches };
}

function ends({ position, time, digest, chain }: ImageEntry): Omit<Restorable, 'line' | 'images' | 'stretches'> {
  return { from: position, fromTime: time, to: position, toTime: time, digest, chain };
}

function unreachable(line: string, base: ExactPosition, run: readonly FramesEntry[]): ArchiveProblem {
  const end = formatPosition(run.at(-1)!.last);
  const text = `the frames after ${formatPosition(base)} up to ${end} can't be restored: what comes before them is missing, and there is no image among them`;
  return { line, object: run[0]!.path, text };
}
