import { isEvertreeError, type Path, type PastTree, Signal, Turn } from '@evertree/core';
import type { Change, ChangesOptions } from './answers.ts';
import { ChangeBatch, makeChange, readBefore, sizeOf, valuesAt } from './before-values.ts';
import { type Before, changesBackward, changesIn, toChange } from './changes.ts';
import type { PathChange } from './path-change.ts';
import { boundaryBefore } from './frame-access.ts';
import type { HistoryView } from './history-view.ts';
import { reachOf } from './moments.ts';
import { readPastTree } from './past-reader.ts';
import { setOf } from './paths.ts';

/** Which part of the history a stream goes through: the revisions in (after, upTo]. */
export interface ChangeRange {
  readonly after: number;
  /** Nobody asked where it begins: it begins where the history does that is kept, also if that is less meanwhile. */
  readonly isOpen: boolean;
  /** Undefined for all that is there, and all that follows. */
  readonly upTo: number | undefined;
}

/** The commits that concern a path, newest first. */
export async function* newestFirst(
  view: HistoryView,
  path: Path,
  { after, upTo, isOpen }: ChangeRange,
  { author, values = false, limit = Infinity, signal }: ChangesOptions,
): AsyncGenerator<Change, void, undefined> {
  const range = { after, upTo: upTo ?? view.last.revision, isOpen };
  const wish = { path, values, expected: expectedOf(limit), signal };
  const turn = new Turn(view.clock);
  if (!values) {
    for await (const change of changesBackward(view, { ...wish, author }, range)) yield await toChange(change, path, undefined, turn);
    return;
  }
  // What others committed between is needed to know what was there before.
  const batch = new ChangeBatch();
  let wanted = 0;
  for await (const change of changesBackward(view, { ...wish, author: undefined }, range)) {
    const bytes = await turn.run(sizeOf(change));
    if (!batch.add(change, bytes)) {
      yield* withValues(view, batch.take(), path, { author, isOpen });
      batch.add(change, bytes);
    }
    if (author === undefined || change.changeSet.author === author) wanted++;
    if (wanted < limit && !batch.isFull) continue;
    yield* withValues(view, batch.take(), path, { author, isOpen });
  }
  if (signal?.aborted === true) return;
  yield* withValues(view, batch.take(), path, { author, isOpen });
}

function expectedOf(limit: number): number | undefined {
  return Number.isFinite(limit) ? limit : undefined;
}

async function* withValues(
  view: HistoryView,
  found: readonly PathChange[],
  path: Path,
  { author, isOpen }: { readonly author: string | undefined; readonly isOpen: boolean },
): AsyncGenerator<Change, void, undefined> {
  const isWanted = ({ changeSet }: PathChange) => author === undefined || changeSet.author === author;
  if (!found.some(isWanted)) return;
  const { changes, before } = await readKept(view, found, path, isOpen);
  const turn = new Turn(view.clock);
  for (const change of changes.filter(isWanted)) yield await toChange(change, path, before.get(change.position.revision) ?? [], turn);
}

/** As `readBefore`; without the changes, if the range is open, before which retention has dropped the state meanwhile. */
async function readKept(
  view: HistoryView,
  changes: readonly PathChange[],
  path: Path,
  isOpen: boolean,
): Promise<{ readonly changes: readonly PathChange[]; readonly before: ReadonlyMap<number, Before> }> {
  try {
    return { changes, before: await readBefore(view, changes, path) };
  } catch (error) {
    if (!isOpen || !isEvertreeError(error, 'COMPACTED')) throw error;
    const { revision } = (await reachOf(view)).position;
    const kept = changes.filter(({ position }) => position.revision > revision);
    if (kept.length === changes.length) throw error;
    return readKept(view, kept, path, isOpen);
  }
}

/**
 * The commits that concern a path, oldest first; without an end, each as it becomes stable. With values it holds the
 * subtree at the path as it goes.
 */
export async function* oldestFirst(
  view: HistoryView,
  path: Path,
  range: ChangeRange,
  { author, values = false, signal }: ChangesOptions,
): AsyncGenerator<Change, void, undefined> {
  const set = setOf(path);
  const { log } = view.journal;
  const after = range.isOpen ? Math.max(range.after, log.base.revision) : range.after;
  if (range.upTo !== undefined && after >= range.upTo) return;
  const state = values ? await readPastTree(view, view.exact(after), set) : undefined;
  const reader = log.read(after >= view.last.revision ? view.last : await boundaryBefore(view, after + 1));
  const waiter = new ProgressWaiter(view, signal);
  try {
    for (;;) {
      const stored = signal?.aborted === true ? undefined : await reader.next();
      if (signal?.aborted === true) return;
      if (stored === undefined) {
        if (range.upTo !== undefined) throw view.moved();
        await waiter.wait();
        continue;
      }
      // The author is compared here: what others committed changes the state, too.
      for await (const change of changesIn(view, stored.frame, set, { path, author: undefined, values })) {
        const { revision } = change.position;
        if (revision <= after || revision > (range.upTo ?? Infinity)) continue;
        const turn = new Turn(view.clock);
        const answer = await (state === undefined ? toChange(change, path, undefined, turn) : advance(state, change, path, turn));
        if (author === undefined || answer.author === author) yield answer;
      }
      if (stored.frame.header.last.revision >= (range.upTo ?? Infinity)) return;
    }
  } finally {
    waiter.stop();
    await reader.close();
  }
}

/** The answer for a commit, with values; the state is that after it then. */
async function advance(state: PastTree, change: PathChange, path: Path, turn: Turn): Promise<Change> {
  const before = await valuesAt(state, change, path, turn);
  await makeChange(state, change.changeSet, turn);
  return toChange(change, path, before, turn);
}

/** Waits for frames that become stable, or for the end of the question. */
class ProgressWaiter {
  readonly #signal = new Signal();
  readonly #listening: Disposable;
  readonly #aborting: AbortSignal | undefined;
  readonly #wake = () => this.#signal.notify();

  constructor({ journal }: HistoryView, aborting: AbortSignal | undefined) {
    this.#listening = journal.log.onProgress(this.#wake);
    this.#aborting = aborting;
    aborting?.addEventListener('abort', this.#wake);
  }

  wait(): Promise<void> {
    return this.#signal.wait();
  }

  stop(): void {
    this.#listening[Symbol.dispose]();
    this.#aborting?.removeEventListener('abort', this.#wake);
  }
}

/** Ends an iteration after so many, and when it is told to. */
export async function* limited<T>(
  items: AsyncIterable<T>,
  { limit, signal }: { readonly limit?: number | undefined; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<T, void, undefined> {
  let left = limit ?? Infinity;
  for await (const item of items) {
    if (signal?.aborted === true) return;
    yield item;
    if (--left <= 0) return;
  }
}
