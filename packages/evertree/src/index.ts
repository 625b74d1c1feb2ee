// The library: everything that the program does, in process, without its HTTP and its log.
export { any, EvertreeError, formatPath, formatPosition, isEvertreeError, parsePath, parsePosition, samePosition } from '@evertree/core';
export type {
  Batch,
  ChangeType,
  ChangeSet,
  Commit,
  CommitOptions,
  Epoch,
  ErrorCode,
  ErrorDetails,
  ExactPosition,
  GuardSchema,
  Modification,
  Operation,
  Path,
  PathLike,
  PatternLike,
  Position,
  Report,
  Reporter,
  Role,
  Snapshot,
  Store,
  StoreEvents,
  StoreState,
  Transaction,
  Value,
} from '@evertree/core';
export type { Consumer, ConsumerEvents, ConsumerState, ConsumerStatus } from '@evertree/consumer';
export type {
  BegunEpoch,
  Blame,
  Change,
  ChangedMark,
  ChangeOperation,
  ChangesOptions,
  Cleaned,
  ComparisonOperator,
  CopyLeases,
  Damage,
  Forwarded,
  FoundMoment,
  HistoryReach,
  Moment,
  PastValue,
  PathDifference,
  Reversal,
  ReversalConflict,
  Remark,
  Replayed,
  ReversalOptions,
  SearchOptions,
  Timestamp,
  ValueCondition,
  Verification,
  When,
  WhenLike,
} from '@evertree/history';
export { parseWhen } from '@evertree/history';
export type { PeerState, PeerStatus, Producer, ProducerEvents } from '@evertree/producer';
export type { ConsumerFile, ProducerFile } from './configuration/sections.ts';
export type { ConfigurationProblem } from './configuration/problem.ts';
export type { Reload } from './configuration/running.ts';
export type { Restored, RestoreForecast } from '@evertree/archive';
export { drill, initArchive, listBackups, prune, restore, verifyArchive } from './archive/on-demand.ts';
export type { RestoreSiteOptions } from './archive/restoring.ts';
export type { ArchiveFinding, ArchiveVerification, RestorableSpan, Rotation, VerificationLevel, VerifiedLine } from '@evertree/archive';
export type { Drilled, DrillOptions } from './archive/drilling.ts';
export type { VerifyArchiveOptions } from './archive/proving.ts';
export type { BackupListOptions } from './archive/backup-list.ts';
export type { BackupListing, ListedImage, ListedLine, ListedMark, ListedStates } from '@evertree/archive';
export type { PruneArchiveOptions } from './archive/pruning.ts';
export type { KeepRules, ObjectCount, PrunedEntry, PrunedLine, PruneReport, ReportedPin } from '@evertree/archive';
export { cleanCopy, forwardCopy, replayDirectory, verifyDirectory } from './site/directories.ts';
export { openSite, openStore, startConsumer, startProducer } from './site/opening.ts';
export type { ConfigurationSource, ConsumerSource, OpenSiteOptions, OpenStoreOptions, ProducerSource } from './site/options.ts';
export type { SwitchoverResult } from './roles/giving.ts';
export type { PossibleLoss, ReachedSite } from './roles/losses.ts';
export type { PromotionFacts, PromotionObstacle } from './roles/promotion-facts.ts';
export type { Part, PrimaryPart, SecondaryPart } from './roles/part.ts';
export type { SwitchoverForecast } from './roles/preflight.ts';
export type { PromoteOptions, PromotionForecast, PromotionResult } from './roles/promoting.ts';
export type { RivalPrimary } from './roles/rivals.ts';
export type { SwitchStatus } from './roles/role-driver.ts';
export type { SwitchoverOptions } from './roles/switchovers.ts';
export type { Site, SiteEvents, SiteState } from './site/site.ts';
export type { SiteStore } from './site/store.ts';
export { VERSION as version } from './version.ts';
export { backup } from './site/backing-up.ts';
export type { BackupOptions, BackupOutcome, ForecastOutcome } from './archive/backup-options.ts';
export type { InitOptions, InitOutcome } from './archive/initialization.ts';
export type { SiteArchive, SiteArchiveStatus } from './archive/site-archive.ts';
export type { ArchiveOptions } from './site/options.ts';
export type { BackupProgress } from '@evertree/archive';
