import { type ExactPosition, formatPosition, ORIGIN } from '@evertree/core';
import type { LineSection } from './line-history.ts';

/** States of a line that can be restored: each from one position to another. */
export interface RestorableSpan {
  readonly from: ExactPosition;
  readonly to: ExactPosition;
}

/** What is known of the objects of a line after they were looked at. */
export interface ObjectKnowledge {
  isUnsound(path: string): boolean;
  /** Where an object of a tail ends, if it was read. */
  tailEnd(path: string): ExactPosition | undefined;
}

/** Where more can be restored only the newest are named. */
const SHOWN_SPANS = 4;

/** What sections give without their unsound objects. */
export function restorableSpans(sections: readonly LineSection[], known: ObjectKnowledge): RestorableSpan[] {
  return sections.flatMap(section => spansOf(section, known));
}

function spansOf(section: LineSection, known: ObjectKnowledge): RestorableSpan[] {
  const images = section.items
    .filter(item => item.kind === 'image')
    .filter(({ parts }) => !parts.some(({ path }) => known.isUnsound(path)));
  const spans: RestorableSpan[] = [];
  for (const run of soundRuns(section, known)) {
    const image = images.find(({ image: { position } }) => position.revision >= run.from.revision && position.revision <= run.to.revision);
    const from = run.from.revision === 0 ? run.from : image?.image.position;
    if (from !== undefined) spans.push({ from, to: run.to });
  }
  for (const { image } of images) {
    const { position } = image;
    const isIn = spans.some(({ from, to }) => from.revision <= position.revision && position.revision <= to.revision);
    if (!isIn) spans.push({ from: position, to: position });
  }
  return spans.toSorted((a, b) => a.from.revision - b.from.revision);
}

/** Frames that follow one another and are sound. Whether anything leads to them is not looked at. */
function soundRuns({ hasOrigin, items, end }: LineSection, known: ObjectKnowledge): RestorableSpan[] {
  const frames = items.filter(item => item.kind !== 'image');
  const runs: RestorableSpan[] = [];
  let run: RestorableSpan | undefined;
  /** The end of the object before; undefined where it is not known. */
  let last: ExactPosition | undefined = hasOrigin ? ORIGIN : undefined;
  for (const [index, item] of frames.entries()) {
    const base: ExactPosition | undefined = item.kind === 'stretch' ? item.entry.base : (last ?? item.tail.base);
    last = item.kind === 'stretch' ? item.entry.last : index === frames.length - 1 ? end?.position : known.tailEnd(item.path);
    if (known.isUnsound(item.path)) run = undefined;
    else if (run === undefined) runs.push((run = { from: base, to: last ?? base }));
    else if (last !== undefined) runs[runs.length - 1] = run = { from: run.from, to: last };
  }
  return runs;
}

/**
 * In words: the states next to a damaged place that can be restored all the same.
 * @param revision where the place is; undefined for what concerns more than one place
 */
export function restorableText(spans: readonly RestorableSpan[], revision: number | undefined): string {
  if (spans.length === 0) return 'nothing of it can be restored';
  const before = revision === undefined ? undefined : spans.findLast(({ from }) => from.revision <= revision);
  const after = revision === undefined ? undefined : spans.find(({ from }) => from.revision > revision);
  const shown = revision === undefined ? spans.slice(-SHOWN_SPANS) : [before, after].filter(span => span !== undefined);
  return `what can still be restored${revision === undefined ? '' : ' there'}: ${shown.map(spanText).join(', and ')}`;
}

function spanText({ from, to }: RestorableSpan): string {
  return from.revision === to.revision ? `at ${formatPosition(from)}` : `from ${formatPosition(from)} to ${formatPosition(to)}`;
}
