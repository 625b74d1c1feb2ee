import type { Disk, ExactPosition, FrameHeader, Mark } from '@evertree/core';
import { decodeChangeSets, EvertreeError, type Frame, formatPosition } from '@evertree/core';
import { formatTime, type When } from '../when.ts';
import { DamageList } from './damage.ts';
import type { ListedDirectory } from './directory-listing.ts';
import type { FollowedHistory } from './followed-history.ts';
import { HistoryCheck } from './history-check.ts';

/** Names of marks that an error about an unknown one lists. */
const NAMES_LIMIT = 10;

/**
 * Finds the positions that moments name in the history of a directory. It is read whole, once: the newest commit that
 * fits a time is the answer.
 * @throws EvertreeError NOT_FOUND, COMPACTED, HISTORY_MISMATCH
 */
export async function findMoments(disk: Disk, directory: ListedDirectory, moments: readonly When[]): Promise<ExactPosition[]> {
  const found: (Frame | undefined)[] = moments.map(() => undefined);
  const take = ({ frame }: { readonly frame: Frame }) => {
    for (const [index, when] of moments.entries()) if (isWanted(frame.header, when)) found[index] = frame;
  };
  // Only the frames of a whole history tell its marks.
  const checksumsOnly = !moments.some(when => 'mark' in when);
  const history = await new HistoryCheck(disk, directory, new DamageList(undefined), { checksumsOnly, take }).run();
  return moments.map((when, index) => positionOf(when, found[index], history));
}

function isWanted({ base, last, firstTime }: FrameHeader, when: When): boolean {
  if ('mark' in when) return false;
  return 'time' in when ? firstTime <= when.time : base.revision < when.revision && when.revision <= last.revision;
}

function positionOf(when: When, found: Frame | undefined, history: FollowedHistory): ExactPosition {
  if ('mark' in when) return markedPosition(history.tree?.head.marks ?? [], when.mark);
  if (found === undefined) {
    // A snapshot may hold the tree there, though the frames up to it have gone.
    const { base } = history;
    if ('revision' in when && when.revision > 0 && when.revision === base.revision && when.epoch === base.epoch) return base;
    throw outside(when, history);
  }
  const { last, base } = found.header;
  if ('time' in when) {
    const changeSet = decodeChangeSets(found).findLast(({ time }) => time <= when.time);
    return { ...last, revision: changeSet?.revision ?? base.revision };
  }
  if (when.epoch === last.epoch) return { ...last, revision: when.revision };
  const message = `the commit with the revision ${when.revision} is ${last.epoch}-${when.revision}, not ${formatPosition(when)}`;
  throw new EvertreeError('HISTORY_MISMATCH', message, { expected: when, found: last });
}

function markedPosition(marks: readonly Mark[], name: string): ExactPosition {
  const mark = marks.find(each => each.name === name);
  if (mark !== undefined) return mark.position;
  const names = marks.slice(-NAMES_LIMIT).map(each => each.name);
  const there = names.length === 0 ? 'there is none' : `there are ${names.join(', ')}`;
  throw new EvertreeError('NOT_FOUND', `there is no mark ${JSON.stringify(name)} in this directory; ${there}`, { mark: name });
}

function outside(when: Exclude<When, { readonly mark: string }>, { base, last }: FollowedHistory): EvertreeError {
  const range = `the history in this directory goes from ${formatPosition(base)} to ${formatPosition(last)}`;
  const asked = 'revision' in when ? formatPosition(when) : `the time ${formatTime(when.time)}`;
  const isLater = 'revision' in when && when.revision > last.revision;
  return new EvertreeError(isLater ? 'HISTORY_MISMATCH' : 'COMPACTED', `${range}, and does not reach ${asked}`, { base, last });
}
