import { EvertreeError, formatPosition } from '@evertree/core';
import type { Target } from '../targets/target.ts';
import type { ArchiveSource } from './archive-source.ts';
import type { ProvenPosition } from './frame-batch.ts';

/** The history may move under whoever archives it so often in a row. Then the journal is damaged. */
export const MOVES_LIMIT = 4;

/** The journal does not go on where the line ends any more: the line is to be opened anew. */
export class HistoryMoved extends EvertreeError {
  constructor(at: ProvenPosition) {
    super('HISTORY_MISMATCH', `the history of this site does not go on from ${formatPosition(at.position)} any more`, {
      position: at.position,
    });
    this.name = 'HistoryMoved';
  }
}

/** The journal did not go on there however often the line was opened anew. */
export function unreadableJournal(
  { source, target }: { readonly source: ArchiveSource; readonly target: Target },
  { details }: HistoryMoved,
): EvertreeError {
  const position = details['position'] as ProvenPosition['position'];
  const message = `the journal of ${source.site} can't be read on from ${formatPosition(position)}: ${target.name} has everything up to there; run "evertree verify" on the directory`;
  return new EvertreeError('DAMAGED', message, { position });
}
