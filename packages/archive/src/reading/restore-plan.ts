import { type ExactPosition, formatPosition } from '@evertree/core';
import { formatTime } from '@evertree/history';
import type { ImageEntry } from '../format/manifest.ts';
import type { FramesEntry, LineHistory } from './line-history.ts';
import type { ArchivedMoment } from './moments.ts';

/** How a state comes back: an image, then frames. */
export interface RestorePlan {
  readonly archive: string;
  readonly stream: string;
  /** The line's id. */
  readonly line: string;
  /** The name of its site; undefined where it is encrypted and no identity was given. */
  readonly site: string | undefined;
  /** In words: why this line, where there are several. */
  readonly chosen: string | undefined;
  readonly position: ExactPosition;
  /** Commit time there, milliseconds since 1970. */
  readonly time: number;
  /** Digest of the tree there; undefined inside a frame. */
  readonly digest: string | undefined;
  /** In words: which commit was taken. */
  readonly taken: string;
  /** Undefined if the frames begin at the origin. */
  readonly image: ImageEntry | undefined;
  /** The frames after the image, up to the frame that holds the position. */
  readonly stretches: readonly FramesEntry[];
  readonly objects: number;
  /** Stored bytes of all of them, and bytes of what is in them. */
  readonly bytes: number;
  readonly plainBytes: number;
  /** Commits in the stretches, at most those that are applied. */
  readonly commits: number;
}

/** The shortest way to a moment: from the newest image that is not after it. */
export function planOf(
  { archive, stream }: Pick<RestorePlan, 'archive' | 'stream'>,
  { id, site }: LineHistory,
  chosen: string | undefined,
  { state, position, time, digest, taken }: ArchivedMoment,
): RestorePlan {
  const image = state.images.findLast(each => each.position.revision <= position.revision);
  const start = image?.position.revision ?? 0;
  const stretches = state.stretches.filter(({ base, last }) => last.revision > start && base.revision < position.revision);
  const parts = image?.parts ?? [];
  return {
    archive,
    stream,
    line: id,
    site,
    chosen,
    position,
    time,
    digest,
    taken,
    image,
    stretches,
    objects: parts.length + stretches.length,
    bytes: sum(parts, each => each.bytes) + sum(stretches, each => each.bytes),
    plainBytes: (image?.plainBytes ?? 0) + sum(stretches, each => each.plainBytes),
    commits: position.revision - start,
  };
}

/** In words, why a line was taken where there are several. */
export function choiceInWords(taken: LineHistory, lines: readonly LineHistory[]): string | undefined {
  if (lines.length < 2) return undefined;
  const end = taken.states.at(-1)!;
  const others = lines.filter(line => line !== taken).map(line => nameOf(line));
  return `${nameOf(taken)} was taken: it ends in the highest epoch and goes furthest there, up to ${formatPosition(end.to)} of ${formatTime(end.toTime)}; others, for --line: ${others.join(', ')}`;
}

export function nameOf({ id, site }: LineHistory): string {
  return site === undefined ? `the line ${id}` : `the line ${id} of ${site}`;
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
