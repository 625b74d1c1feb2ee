import { Archive, type BackupListing, backupListing, Identities, type TargetSettings } from '@evertree/archive';
import type { Reporter } from '@evertree/core';
import { optional } from '../optional.ts';
import { openPlace } from './target-opening.ts';

export interface BackupListOptions extends TargetSettings {
  /** What files of age identities hold; without them the names of sites and marks in an encrypted archive stay unknown. */
  readonly identities?: readonly string[];
  readonly log?: Reporter;
}

/** As in `on-demand.ts`. */
export async function listBackups(target: string, options: BackupListOptions = {}): Promise<BackupListing> {
  const { identities, log, ...settings } = options;
  await using opened = await openPlace(target, settings);
  const parsed = identities === undefined ? undefined : Identities.parse(identities);
  return await backupListing(await Archive.open(opened, { identities: parsed, ...optional('report', log) }));
}
