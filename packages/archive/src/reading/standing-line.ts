import { compareEpochs, type Epoch, type EpochName, highestEpoch, isEvertreeError } from '@evertree/core';
import type { LineHistory, Restorable } from './line-history.ts';

interface StandingCandidate {
  readonly line: LineHistory;
  readonly newest: Restorable;
}

/**
 * The line that stands: the one that ends in the highest epoch, and there at the highest revision. A line that ends lower
 * is of a former primary, of a secondary that is behind, or of a site that archives no more. Of two epochs of one number
 * the id decides, that of the first entry of the number: the later ones are restarts.
 * @param epochsOf the table of epochs at the end of a line; asked only where ids at the ends differ
 */
export async function standingLine(
  lines: readonly LineHistory[],
  epochsOf: (line: LineHistory) => Promise<readonly Epoch[]>,
): Promise<LineHistory | undefined> {
  const ends = lines.flatMap(line => line.states.slice(-1).map(newest => ({ line, newest })));
  const highest = Math.max(...ends.map(({ newest }) => newest.to.epoch));
  const candidates = ends.filter(({ newest }) => newest.to.epoch === highest);
  if (candidates.length === 0) return lines[0];
  const ids = new Set(candidates.map(({ newest }) => newest.to.epochId));
  return furthest(ids.size < 2 ? candidates : await highestReign(candidates, epochsOf));
}

/** Those of the highest reign; all of them if the table of one can't be read, as without an identity. */
async function highestReign(
  candidates: readonly StandingCandidate[],
  epochsOf: (line: LineHistory) => Promise<readonly Epoch[]>,
): Promise<readonly StandingCandidate[]> {
  const reigns: EpochName[] = [];
  for (const { line, newest } of candidates) {
    try {
      reigns.push(highestEpoch(await epochsOf(line), newest.to));
    } catch (error) {
      if (isEvertreeError(error, 'IDENTITY_NEEDED') || isEvertreeError(error, 'DAMAGED')) return candidates;
      throw error;
    }
  }
  const highest = reigns.toSorted((a, b) => compareEpochs(b, a))[0]!;
  return candidates.filter((_, index) => compareEpochs(reigns[index]!, highest) === 0);
}

function furthest(candidates: readonly StandingCandidate[]): LineHistory {
  return candidates.toSorted((a, b) => b.newest.to.revision - a.newest.to.revision || b.newest.toTime - a.newest.toTime)[0]!.line;
}
