import { EvertreeError, type ExactPosition, formatPosition, samePosition } from '@evertree/core';
import { parseWhen, type WhenLike } from '@evertree/history';
import type { Archive } from '../reading/archive.ts';
import type { ArchiveProblem, LineHistory } from '../reading/line-history.ts';
import type { RestorePlan } from '../reading/restore-plan.ts';
import { highestEpochIn } from './archived-epochs.ts';

/** What was asked for. */
interface AskedState {
  readonly to?: WhenLike | undefined;
  readonly line?: string | undefined;
}

/**
 * What is damaged can't be listed. So the newest state, or that of a time, may be one that the archive lost, and so may the
 * place to which a mark was moved last: whoever wants what is left names its position, or the line.
 * @throws EvertreeError DAMAGED
 */
export async function assertReached(archive: Archive, { line, position }: RestorePlan, asked: AskedState): Promise<void> {
  const { problems, lines } = archive;
  const when = typeof asked.to === 'string' ? parseWhen(asked.to, 0) : asked.to;
  const end = lines.find(({ id }) => id === line)?.states.at(-1)?.to;
  const isMark = when !== undefined && 'mark' in when;
  if (problems.length === 0 || end === undefined || (when !== undefined && 'revision' in when)) return;
  const own = problems.find(each => each.line === undefined || each.line === line);
  if (own !== undefined && (isMark || samePosition(end, position))) {
    const at = formatPosition(position);
    const left = isMark
      ? `the mark ${JSON.stringify(when.mark)} may have been moved in what is lost; to restore what it names in what is left: --to ${at}`
      : `what was archived after ${at} can't be restored, or part of it; to restore what is left, name it: --to ${at}`;
    throw lost(own, left, position);
  }
  if (asked.line !== undefined) return;
  const archivedEpoch = await highestEpochIn(archive);
  const rivals = new Set(lines.filter(other => other.id !== line && mayStand(other, end, archivedEpoch)).map(({ id }) => id));
  const rival = problems.find(each => each.line !== undefined && rivals.has(each.line));
  if (rival === undefined) return;
  const choice = `without that the line ${rival.line} may be the one to restore, and not ${line}; name one of them: --line ${line}`;
  throw lost(rival, choice, position);
}

/** Whether a line that lacks something may have gone further than where another one ends. */
function mayStand({ stretches, images, line: { tails } }: LineHistory, end: ExactPosition, archivedEpoch: number): boolean {
  if (archivedEpoch > end.epoch) return true;
  const known = [...stretches.map(({ last }) => last), ...images.map(({ position }) => position), ...tails.map(({ base }) => base)];
  return known.some(({ epoch, revision }) => epoch === end.epoch && revision >= end.revision);
}

function lost({ text, object }: ArchiveProblem, consequence: string, before: ExactPosition): EvertreeError {
  return new EvertreeError('DAMAGED', `${text}: ${consequence}`, { object, problem: text, nearest: { before, after: undefined } });
}
