import type { Epoch, ExactPosition, Frame, Random, SnapshotHeader } from '@evertree/core';
import { FrameWriter } from '@evertree/core';
import type { Manifest } from '../format/manifest.ts';

/** The reason that the table of epochs gives for an epoch with which a restored site goes on. */
export const RESTORE_REASON = 'restore';

/**
 * The highest number of an epoch that anything in an archive names, in any line: its objects, its gaps, and its tails.
 * @param ends where the tails end
 */
export function highestArchivedEpoch({ lines }: Pick<Manifest, 'lines'>, ends: readonly ExactPosition[]): number {
  let highest = 0;
  const see = (...positions: readonly ExactPosition[]) => {
    for (const { epoch } of positions) highest = Math.max(highest, epoch);
  };
  see(...ends);
  for (const { objects, tails, gaps } of lines) {
    for (const object of objects) see(...(object.kind === 'image' ? [object.position] : [object.base, object.last]));
    for (const { base, path } of tails) see(base, { ...base, epoch: epochOfTail(path) });
    for (const { from, to } of gaps) see(from, to);
  }
  return highest;
}

/** A tail is named after the epoch in which it began: `tail/<epoch>-…`. */
function epochOfTail(path: string): number {
  return Number(/^tail\/(\d{10})-/.exec(path)?.[1] ?? 0);
}

/**
 * The number of the epoch with which a restored site goes on: above all that the archive and the history saw. The number
 * right above them is left to the site to which the newest of these epochs may have been handed over.
 */
export function restoreEpochNumber(archived: number, epochs: readonly Epoch[]): number {
  return Math.max(archived, ...epochs.map(({ number }) => number)) + 2;
}

/** The frame that begins the epoch of a restored site at the end of what was restored. */
export function restoreEpochFrame(
  end: Pick<SnapshotHeader, 'stream' | 'position' | 'digest' | 'chain'>,
  { number, site, now, random }: { readonly number: number; readonly site: string; readonly now: number; readonly random: Random },
): Frame {
  const id = Buffer.from(random.bytes(8)).toString('hex');
  const epoch: Epoch = { number, id, site, base: end.position, reason: RESTORE_REASON, time: now };
  return new FrameWriter('binary', 0).sealEpoch({ stream: end.stream, last: end.position, chain: end.chain }, end.digest, epoch);
}
