import { isEvertreeError } from './errors.ts';
import { decodeFrame } from './frames/collect-sink.ts';
import type { Frame } from './frames/frame.ts';
import type { KeptDivergence, RevisionRange, Stretch } from './seams/divergences.ts';
import { formatPath } from './tree/path.ts';

/** The most authors, paths and marks that the summary of a divergence names. */
export const SUMMARY_LIMIT = 16;

/** The name of a divergence; see `KeptDivergence.name`. */
export function divergenceName({ base, last }: Stretch): string {
  return `${last.epoch}-${last.epochId}-${base.revision}-${last.revision}`;
}

/** What the frames of a divergence tell of its commits. */
export class DivergenceSummary implements Pick<KeptDivergence, 'commits' | 'firstTime' | 'lastTime' | 'authors' | 'paths'> {
  commits = 0;
  firstTime: number | undefined;
  lastTime: number | undefined;
  readonly #authors = new Set<string>();
  readonly #paths = new Set<string>();
  readonly #marks = new Set<string>();

  get authors(): readonly string[] {
    return [...this.#authors];
  }

  get paths(): readonly string[] {
    return [...this.#paths];
  }

  /** Undefined if no mark was set. */
  get marks(): readonly string[] | undefined {
    return this.#marks.size === 0 ? undefined : [...this.#marks];
  }

  add(frame: Frame): void {
    const { header } = frame;
    if (header.isMark) return this.#addMark(frame);
    if (header.beginsEpoch || header.endsEpoch) return;
    this.commits += header.count;
    this.firstTime ??= header.firstTime;
    this.lastTime = header.lastTime;
    if (this.#authors.size < SUMMARY_LIMIT || this.#paths.size < SUMMARY_LIMIT) this.#addContent(frame);
  }

  #addMark(frame: Frame): void {
    const mark = contentOf(frame).note?.mark;
    if (mark !== undefined && !mark.removed && this.#marks.size < SUMMARY_LIMIT) this.#marks.add(mark.name);
  }

  #addContent(frame: Frame): void {
    for (const { author, operations } of contentOf(frame).changeSets) {
      if (author !== undefined && this.#authors.size < SUMMARY_LIMIT) this.#authors.add(author);
      for (const { path } of operations) if (this.#paths.size < SUMMARY_LIMIT) this.#paths.add(formatPath(path));
    }
  }
}

/** A journal keeps frames whatever their bodies are: from one that can't be read the summary learns nothing. */
function contentOf(frame: Frame): ReturnType<typeof decodeFrame> {
  try {
    return decodeFrame(frame);
  } catch (error) {
    if (isEvertreeError(error)) return { note: undefined, changeSets: [] };
    throw error;
  }
}

export function includesRevision(ranges: readonly RevisionRange[], revision: number): boolean {
  return ranges.some(({ from, to }) => from <= revision && revision <= to);
}

/** Adds revisions to ranges that ascend and never touch. */
export function addRevisions(ranges: readonly RevisionRange[], revisions: readonly number[]): RevisionRange[] {
  const all = [...ranges, ...revisions.map(revision => ({ from: revision, to: revision }))].toSorted((a, b) => a.from - b.from);
  const joined: RevisionRange[] = [];
  for (const range of all) {
    const before = joined.at(-1);
    if (before === undefined || range.from > before.to + 1) joined.push(range);
    else joined[joined.length - 1] = { from: before.from, to: Math.max(before.to, range.to) };
  }
  return joined;
}
