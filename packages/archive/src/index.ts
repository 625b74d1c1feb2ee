export type { ListedObject, ObjectStat, Target, TargetObject } from './targets/target.ts';
export type * from './format/archive-head.ts';
export type * from './format/manifest.ts';
export type * from './writing/archive-source.ts';
export {
  type ArchiveStatus,
  type ArchivingThread,
  type TargetSettings,
  ArchiveThread,
  type ArchiveThreadEvents,
  type ArchiveThreadOptions,
} from './writing/archive-thread.ts';
export * from './writing/archiver-options.ts';
export { Identities } from './encryption/identities.ts';
export { Recipients } from './encryption/recipients.ts';
export type { Opening, Sealing } from './encryption/sealing.ts';
export { assertObjectKey } from './targets/object-key.ts';
export type { OpenTargetOptions } from './targets/open-target.ts';
export { openTarget } from './targets/open-target.ts';
export { initArchive, type InitializationOptions, type InitializedArchive } from './writing/initialization.ts';
export { type PlannedChange, HeadPublisher } from './publishing/head-publisher.ts';
export { type HeadChange, movingHead } from './publishing/head-mover.ts';
export { type HeadState, readHeadState } from './publishing/head-state.ts';
export type { ObjectCount } from './prune/deletion.ts';
export type { KeepRules } from './prune/keep-rules.ts';
export { Pin, type PinOptions } from './prune/pin.ts';
export { pinOf, type ArchivePinOptions } from './reading/archive-pin.ts';
export { prune, type PruneOptions } from './prune/prune.ts';
export type { PrunedEntry, PrunedLine, PruneReport, ReportedPin } from './prune/prune-report.ts';
export { Archive, type ReadingOptions, type PlanOptions } from './reading/archive.ts';
export type { ArchiveProblem, FramesEntry, LineHistory, NearestStates, Restorable, TailEntry } from './reading/line-history.ts';
export type { RestorePlan } from './reading/restore-plan.ts';
export { parseS3Name, type S3Location } from './targets/s3-location.ts';
export type { S3Settings } from './targets/s3-client.ts';
export type { ArchiveFinding, VerificationLevel } from './proof/archive-finding.ts';
export type { ArchiveVerification, ArchiveVerificationOptions, VerifiedLine } from './proof/archive-verification.ts';
export type { Rotation } from './proof/due-objects.ts';
export type { RestorableSpan } from './proof/restorable-spans.ts';
export { verifyArchive } from './proof/verify-archive.ts';
export { probeTarget, type TargetProbe, type TargetRight } from './targets/probe.ts';
export { historyAfter } from './catch-up/history-after.ts';
export type { WantedHistory } from './catch-up/way.ts';
export { type DrawnState, drawSeed, drawState } from './proof/drawn-state.ts';
export { writeDrill } from './proof/drill-note.ts';
export { type DrillPhase, type DrillReport, parseDrill } from './proof/drill-report.ts';
export { FlipPlant, type PlantedFlip } from './proof/flip-plant.ts';
export { Archiver, type ArchiverParts } from './writing/archiver.ts';
export { DirectorySource, type DirectorySourceOptions, stoppedSource, type ToldHistory } from './writing/directory-source.ts';
export { LineFile, type LineNote } from './writing/line-file.ts';
export { type BackupParts, backUp } from './writing/one-shot.ts';
export { type ArchivedSubtree, readArchivedSubtree, type SubtreeOptions } from './restore/archived-subtree.ts';
export { type Restored, type RestoreOptions, restoreSite } from './restore/restore.ts';
export type { RestoreForecast } from './restore/restore-forecast.ts';
export {
  backupListing,
  type BackupListing,
  type ListedImage,
  type ListedLine,
  type ListedMark,
  type ListedStates,
} from './reading/backup-listing.ts';
export { parseHead } from './format/head-codec.ts';
export { HEAD_KEY } from './format/object-keys.ts';
export { type BackupForecast, forecastBackup } from './writing/backup-forecast.ts';
export type { BackupProgress } from './writing/counted-source.ts';
