import type { Disk, Divergence, ExactPosition, StoredFrame } from '@evertree/core';
import { EvertreeError, formatExactPosition, samePosition } from '@evertree/core';
import type { GroupCommit } from '../groups/group-commit.ts';
import { HistoryReader } from '../segments/history-reader.ts';
import type { SegmentList } from '../segments/segment-list.ts';

/** What `divergedAfter` reads from. */
export interface DivergedParts {
  readonly disk: Disk;
  readonly history: SegmentList;
  readonly commit: GroupCommit;
}

/**
 * What the history has after `fork`; undefined if it has nothing. Only while no frame is taken.
 * @throws EvertreeError HISTORY_MISMATCH if the fork lies after the end of the history
 */
export function divergedAfter(parts: DivergedParts, fork: ExactPosition): Divergence | undefined {
  const { base, stable } = parts.history;
  if (samePosition(fork, stable)) return undefined;
  if (fork.revision >= stable.revision) throw notHere(fork, stable);
  const first = fork.revision < base.revision ? base : fork;
  return {
    stream: parts.commit.stream!,
    base: fork,
    last: stable,
    missing: first === fork ? undefined : { base: fork, last: first },
    frames: () => framesAfter(parts, first, stable),
  };
}

/** The error for a position at which no frame of this history ends. */
export function notHere(position: ExactPosition, stable: ExactPosition): EvertreeError {
  const problem = `${formatExactPosition(position)} is not a frame's end in this journal, which is stable up to ${formatExactPosition(stable)}`;
  return new EvertreeError('HISTORY_MISMATCH', problem, { expected: stable, found: position });
}

async function* framesAfter(
  { disk, history, commit }: DivergedParts,
  first: ExactPosition,
  last: ExactPosition,
): AsyncGenerator<StoredFrame, void, undefined> {
  const reader = new HistoryReader({ disk, history, commit }, first);
  try {
    for (let stored = await reader.next(); stored !== undefined; stored = await reader.next()) {
      yield stored;
      if (stored.frame.header.last.revision >= last.revision) return;
    }
  } finally {
    await reader.close();
  }
}
