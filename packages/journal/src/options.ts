import { EvertreeError } from '@evertree/core';
import type { SyncMode } from './segments/active-segment.ts';

export interface JournalOptions {
  /** How writes become stable. The default, `auto`, measures both ways when the journal is opened. */
  readonly sync?: SyncMode | 'auto';
  /**
   * A segment takes frames until it is this long. By default the smaller of 64 MiB and `retentionMaxBytes` / 8, but at
   * least 1 MiB.
   */
  readonly segmentBytes?: number;
  /** Bytes of the newest frames that are kept in memory for readers that keep up. By default 8 MiB. */
  readonly tailBytes?: number;
  /** Bytes that segments and snapshots may take. By default the smaller of 8 GiB and a fifth of the disk. */
  readonly retentionMaxBytes?: number;
  /** Bytes of the newest history that are kept even if no lease asks for them. By default 0. */
  readonly retentionMinBytes?: number;
  /** Younger history is kept even if no lease asks for it. By default 0. */
  readonly retentionMinMs?: number;
  /**
   * Older history is dropped, unless a lease asks for it. Younger history is kept, also without a lease, as long as
   * `retentionMaxBytes` and `retentionMaxCommits` allow it. By default 0: what nobody asks for goes.
   */
  readonly retentionMaxMs?: number;
  /** As `retentionMaxMs`, by the count of commits. By default there is no such limit. */
  readonly retentionMaxCommits?: number;
  /**
   * The site can go back to any position that is younger than this many milliseconds, as long as the history is not
   * near `retentionMaxBytes`. By default a minute: a site that is ahead of one that was promoted goes back a little.
   */
  readonly retentionRewindMs?: number;
  /**
   * Bytes that the divergences may take that are kept until they are forgotten. By default the smaller of 8 GiB and a
   * fifth of the disk.
   */
  readonly divergencesMaxBytes?: number;
  /**
   * Recovery copies the end that it cuts off a segment to `detached/` only if what is there takes no more bytes with
   * it. By default the smaller of 1 GiB and a twentieth of the disk.
   */
  readonly detachedMaxBytes?: number;
}

export type ResolvedOptions = Readonly<Required<JournalOptions>>;

const SEGMENT_BYTES = 64 * 1024 * 1024;
/** Retention drops whole segments, so that several have to fit into `retentionMaxBytes`. */
const SEGMENT_RETENTION_FRACTION = 1 / 8;
const SEGMENT_MIN_BYTES = 1024 * 1024;
const TAIL_BYTES = 8 * 1024 * 1024;
const RETENTION_MAX_BYTES = 8 * 1024 * 1024 * 1024;
const RETENTION_DISK_FRACTION = 0.2;
const RETENTION_REWIND_MS = 60_000;
const DIVERGENCES_MAX_BYTES = 8 * 1024 * 1024 * 1024;
const DIVERGENCES_DISK_FRACTION = 0.2;
const DETACHED_MAX_BYTES = 1024 * 1024 * 1024;
const DETACHED_DISK_FRACTION = 0.05;

/** @param totalBytes of the device */
export function resolveOptions(options: JournalOptions, totalBytes: number): ResolvedOptions {
  const retentionMaxBytes = options.retentionMaxBytes ?? Math.min(RETENTION_MAX_BYTES, Math.floor(totalBytes * RETENTION_DISK_FRACTION));
  const fraction = Math.floor(retentionMaxBytes * SEGMENT_RETENTION_FRACTION);
  const resolved: ResolvedOptions = {
    sync: options.sync ?? 'auto',
    segmentBytes: options.segmentBytes ?? Math.min(SEGMENT_BYTES, Math.max(SEGMENT_MIN_BYTES, fraction)),
    tailBytes: options.tailBytes ?? TAIL_BYTES,
    retentionMaxBytes,
    retentionMinBytes: options.retentionMinBytes ?? 0,
    retentionMinMs: options.retentionMinMs ?? 0,
    retentionMaxMs: options.retentionMaxMs ?? 0,
    retentionMaxCommits: options.retentionMaxCommits ?? Number.MAX_SAFE_INTEGER,
    retentionRewindMs: options.retentionRewindMs ?? RETENTION_REWIND_MS,
    divergencesMaxBytes: options.divergencesMaxBytes ?? Math.min(DIVERGENCES_MAX_BYTES, Math.floor(totalBytes * DIVERGENCES_DISK_FRACTION)),
    detachedMaxBytes: options.detachedMaxBytes ?? Math.min(DETACHED_MAX_BYTES, Math.floor(totalBytes * DETACHED_DISK_FRACTION)),
  };
  for (const [name, value] of Object.entries(resolved)) {
    if (typeof value === 'string' || (Number.isSafeInteger(value) && value >= 0)) continue;
    throw new EvertreeError('CONFIGURATION_INVALID', `the journal's option ${name} is ${value}; it has to be a whole number from 0 on`, {
      name,
      value,
    });
  }
  return Object.freeze(resolved);
}
