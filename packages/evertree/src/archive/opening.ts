import { EvertreeError, type Store } from '@evertree/core';
import type { ArchiveConfiguration } from '../configuration/configuration.ts';
import { checkApart } from './places.ts';
import type { SiteArchive } from './site-archive.ts';

/**
 * Compares where a site archives with where it lies itself. Reads and makes nothing, so that it can come first.
 * @param directory the site's; undefined in memory
 * @throws EvertreeError CONFIGURATION_INVALID where the site can't have an archive there
 */
export function checkArchivePlace(directory: string | undefined, { target }: ArchiveConfiguration): void {
  if (target === undefined) return;
  if (directory !== undefined) return checkApart(directory, target);
  const message =
    'archive.target names an archive, and this site is in memory: what is archived is read from the journal on a disk; give it a directory, or no target';
  throw new EvertreeError('CONFIGURATION_INVALID', message, { target });
}

/**
 * Begins the archive of a store, if its settings name a target. Whether that can be reached shows later.
 * @param directory the site's; undefined in memory, where `checkArchivePlace` allows no target
 */
export async function openArchive(
  store: Store,
  directory: string | undefined,
  configuration: ArchiveConfiguration,
): Promise<SiteArchive | undefined> {
  const { target } = configuration;
  if (target === undefined || directory === undefined) {
    // Whoever took the archive out of the file wants no history kept for it.
    for (const name of store.journal.leases.of('backup').keys()) store.journal.leases.release('backup', name);
    return undefined;
  }
  const { SiteArchive } = await import('./site-archive.ts');
  return new SiteArchive(store, directory, { ...configuration, target });
}
