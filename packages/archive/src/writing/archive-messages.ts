import type { ErrorCode, ErrorDetails, ExactPosition, Report } from '@evertree/core';
import type { EndRequest } from '@evertree/history/files';
import type { ArchiveLease, ArchiveProgress, ArchiverOptions, BackupResult } from './archiver-options.ts';
import type { BackupProgress } from './counted-source.ts';
import type { ToldHistory } from './directory-source.ts';
import type { S3Settings } from '../targets/s3-client.ts';

/** What the thread that archives is begun with. */
export interface ArchiveTask {
  readonly directory: string;
  readonly site: string;
  readonly target: string;
  readonly settings: S3Settings;
  readonly recipients: readonly string[] | undefined;
  readonly follow: ArchiverOptions | undefined;
  readonly history: ToldHistory;
  /** From there on the history is held already, for an archive that was written before. */
  readonly held: ExactPosition | undefined;
  /** Of its `EndFlag`. */
  readonly end: SharedArrayBuffer;
}

/** What is asked of the thread that archives. */
export type ArchiveRequest =
  | { readonly type: 'history'; readonly history: ToldHistory }
  | { readonly type: 'backup'; readonly request: number }
  /** The snapshot that it asked for is there, or can't be made. */
  | { readonly type: 'snapshot'; readonly problem: string | undefined }
  | EndRequest;

/** What it tells. */
export type ArchiveAnswer =
  | { readonly type: 'progress'; readonly progress: ArchiveProgress }
  | { readonly type: 'report'; readonly report: Report }
  | { readonly type: 'lease'; readonly lease: ArchiveLease }
  | { readonly type: 'snapshot' }
  | { readonly type: 'counted'; readonly counted: BackupProgress }
  | { readonly type: 'done'; readonly request: number; readonly result: BackupResult }
  | { readonly type: 'failed'; readonly request: number; readonly failure: ToldFailure };

/** An error, as it passes between threads. */
export interface ToldFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ErrorDetails;
}
