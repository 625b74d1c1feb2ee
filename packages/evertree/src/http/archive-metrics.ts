import type { Registry } from '@prometheus-io/client';
import type { SiteArchiveStatus } from '../archive/site-archive.ts';
import type { Site } from '../site/site.ts';
import { addGauge } from './gauges.ts';

const FIGURES: readonly (readonly [name: string, help: string, read: (status: SiteArchiveStatus) => number | null | undefined])[] = [
  ['archive_working', '1 while all that is committed goes to the archive.', ({ state }) => (state === 'archiving' ? 1 : 0)],
  ['archive_lag_revisions', 'Stable commits that the archive lacks.', ({ lag }) => lag.commits],
  ['archive_lag_seconds', 'For how long the oldest of them has been stable.', ({ lag }) => lag.milliseconds / 1_000],
  ['archive_spool_bytes', 'Bytes of the journal that wait for the target.', ({ spool }) => spool.bytes],
  ['archive_spool_max_bytes', 'Bytes of the journal that are kept for the target at most.', ({ spool }) => spool.maxBytes],
  ['archive_failed_attempts', 'Attempts to archive that have failed since the last success.', ({ lastError }) => lastError?.attempts ?? 0],
  ['archive_gaps', 'Stretches of the history that the archive lacks for good.', ({ gaps }) => gaps.length],
  ['archive_written_bytes', 'Bytes written to the target since the start.', ({ written }) => written.bytes],
  [
    'archive_last_drill_timestamp_seconds',
    'When the archive was last proven by a drill, in seconds since 1970.',
    ({ drilled }) => drilled && drilled.time / 1_000,
  ],
  ['archive_last_drill_passed', '1 if that drill brought back what it should.', ({ drilled }) => drilled && Number(drilled.passed)],
  ['archive_last_drill_duration_seconds', 'How long that drill took.', ({ drilled }) => drilled && drilled.milliseconds / 1_000],
];

/** Of a site without an archive there are none, but for the time of a single backup. */
export function addArchive(registry: Registry, site: Site): void {
  addGauge(
    registry,
    'evertree_backup_last_completion_timestamp_seconds',
    'When all that was stable then was in the archive last, in seconds since 1970.',
    () => {
      const { lastBackup } = site;
      return lastBackup === undefined ? undefined : lastBackup / 1_000;
    },
  );
  for (const [name, help, read] of FIGURES) {
    addGauge(registry, `evertree_${name}`, help, () => (site.archive === undefined ? undefined : (read(site.archive.status) ?? undefined)));
  }
}
