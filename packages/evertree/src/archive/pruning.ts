import { prune as pruneTarget, type PruneOptions, type PruneReport, type TargetSettings } from '@evertree/archive';
import { openPlace } from './target-opening.ts';

/** What stays of an archive, and how its service is found. */
export interface PruneArchiveOptions extends PruneOptions, TargetSettings {}

/**
 * Removes from an archive what no rule keeps. It is safe beside sites that archive, restores and other prunes, and needs
 * no identity. What it drops is deleted a day later, by the next prune.
 * @param target a directory, or `s3://bucket/prefix`
 * @throws EvertreeError VALUE_INVALID without a rule; NOT_FOUND, FORBIDDEN, DAMAGED, and what the target throws
 */
export async function prune(target: string, options: PruneArchiveOptions): Promise<PruneReport> {
  await using opened = await openPlace(target, options);
  return await pruneTarget(opened, options);
}
