import { prune as pruneTarget, type PruneOptions, type PruneReport, type TargetSettings } from '@evertree/archive';
import { openPlace } from './target-opening.ts';

/** What stays of an archive, and how its service is found. */
export interface PruneArchiveOptions extends PruneOptions, TargetSettings {}

/** As in `on-demand.ts`. */
export async function prune(target: string, options: PruneArchiveOptions): Promise<PruneReport> {
  await using opened = await openPlace(target, options);
  return await pruneTarget(opened, options);
}
