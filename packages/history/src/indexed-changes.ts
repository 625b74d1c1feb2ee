import { type ChangeSet, type Operation, Turn } from '@evertree/core';
import type { ChangeIndex, FoundChange, Touch } from './change-index.ts';
import type { ChangeFilter, PathChange } from './path-change.ts';
import type { HistoryView } from './history-view.ts';
import { STEP_ITEMS } from './step.ts';

/** Commits that are read at once: few at first, for who wants only the newest. */
const FIRST_BATCH = 8;
const LARGEST_BATCH = 256;
/** With so many touches a batch is read, however few its commits are: all of them are held meanwhile. */
const BATCH_TOUCHES = 4_096;

/** A batch is read in so many parts at the same time, none of which is smaller than this. */
const SHARES = 8;
const LEAST_SHARE = 4;

/**
 * Commits that concern a path, newest first, as the index finds them.
 * @throws IndexOutdated; EvertreeError HISTORY_MISMATCH
 */
export async function* changesInIndex(
  view: HistoryView,
  index: ChangeIndex,
  { path, author, expected = FIRST_BATCH, signal }: ChangeFilter,
  range: { readonly after: number; readonly upTo: number },
): AsyncGenerator<PathChange, void, undefined> {
  let size = Math.min(expected, LARGEST_BATCH);
  let commits: Touch[][] = [];
  let gathered = 0;
  for await (const commit of commitsOf(index.touches(path, range))) {
    if (signal?.aborted === true) return;
    gathered += commit.length;
    if (commits.push(commit) < size && gathered < BATCH_TOUCHES) continue;
    yield* readCommits(view, index, commits, author);
    commits = [];
    gathered = 0;
    size = Math.min(size * 2, LARGEST_BATCH);
  }
  yield* readCommits(view, index, commits, author);
}

/** Touches by their commits, those of each in the order in which they were made. */
async function* commitsOf(touches: AsyncIterable<readonly Touch[]>): AsyncGenerator<Touch[], void, undefined> {
  let commit: Touch[] = [];
  for await (const some of touches) {
    for (const touch of some) {
      if (commit.length > 0 && commit[0]!.revision !== touch.revision) {
        yield commit.toReversed();
        commit = [];
      }
      commit.push(touch);
    }
  }
  if (commit.length > 0) yield commit.toReversed();
}

async function* readCommits(
  view: HistoryView,
  index: ChangeIndex,
  commits: readonly (readonly Touch[])[],
  author: string | undefined,
): AsyncGenerator<PathChange, void, undefined> {
  // Mostly the disk is waited for.
  const share = Math.max(LEAST_SHARE, Math.ceil(commits.length / SHARES));
  const shares = Array.from({ length: Math.ceil(commits.length / share) }, (_, at) => commits.slice(at * share, (at + 1) * share));
  // A commit may have a million touches: one that is alone is not copied.
  const found = await Promise.all(shares.map(each => readAll(index, each.length === 1 ? each[0]! : each.flat())));
  view.assertStands();
  const turn = new Turn(view.clock);
  for (const change of found.flat()) if (author === undefined || change.author === author) yield await toPathChange(view, change, turn);
}

async function readAll(index: ChangeIndex, touches: readonly Touch[]): Promise<readonly FoundChange[]> {
  const found: FoundChange[] = [];
  for await (const change of index.read(touches)) found.push(change);
  return found;
}

async function toPathChange(view: HistoryView, { position, time, author, message, touches }: FoundChange, turn: Turn): Promise<PathChange> {
  const operations: Operation[] = [];
  for (const {
    touch: { path, kind },
    value,
  } of touches) {
    operations.push(kind === 'put' ? { type: 'put', path, value: value! } : { type: 'delete', path });
    if (operations.length % STEP_ITEMS === 0) await turn.breathe();
  }
  const changeSet: ChangeSet = {
    revision: position.revision,
    time,
    operations,
    ...(author === undefined ? {} : { author }),
    ...(message === undefined ? {} : { message }),
  };
  return { position: view.exact(position.revision), changeSet, notes: {} };
}
