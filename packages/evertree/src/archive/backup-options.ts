import type { BackupForecast, BackupResult, BackupProgress, TargetSettings } from '@evertree/archive';

/** What a single backup is asked with. */
export interface BackupOptions extends TargetSettings {
  /** Texts `age1…`: those whom the archive is encrypted for. Without any it is not encrypted. */
  readonly recipients?: readonly string[];
  /** Called now and then while it is under way. */
  readonly progress?: (progress: BackupProgress) => void;
}

/** What a backup brought about, and whether it made the archive. */
export interface BackupOutcome extends BackupResult {
  readonly site: string;
  readonly target: string;
  /** There was nothing in the place: an archive was made there. */
  readonly made: boolean;
}

/** What a backup would bring about. */
export interface ForecastOutcome extends BackupForecast {
  readonly site: string;
  readonly target: string;
}
