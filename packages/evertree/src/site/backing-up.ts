import type { Store } from '@evertree/core';
import type { BackupOptions, BackupOutcome, ForecastOutcome } from '../archive/backup-options.ts';
import { Site } from './site.ts';
import { siteOf } from './store.ts';

/**
 * Archives everything that is committed now. A place where nothing is becomes an archive.
 * @param source a store or a site of this process, or the directory of a site that runs elsewhere or not at all
 * @param target a directory, or `s3://bucket/prefix`
 * @throws EvertreeError CONFIGURATION_INVALID; NOT_DURABLE in memory; STREAM_MISMATCH where the archive is another
 *   tree's; what the target throws
 */
export function backup(
  source: Store | Site | string,
  target: string,
  options: BackupOptions & { readonly dryRun: true },
): Promise<ForecastOutcome>;
export function backup(
  source: Store | Site | string,
  target: string,
  options?: BackupOptions & { readonly dryRun?: false },
): Promise<BackupOutcome>;
export async function backup(
  source: Store | Site | string,
  target: string,
  { dryRun = false, ...options }: BackupOptions & { readonly dryRun?: boolean } = {},
): Promise<BackupOutcome | ForecastOutcome> {
  if (typeof source === 'string') {
    const { backupDirectory, forecastDirectory } = await import('../archive/one-backup.ts');
    return dryRun ? forecastDirectory(source, target, options) : backupDirectory(source, target, options);
  }
  const { backups } = source instanceof Site ? source : siteOf(source);
  return dryRun ? backups.forecast(target, options) : backups.run(target, options);
}
