import { Worker } from 'node:worker_threads';
import type { Clock, ExactPosition, FrameLog } from '@evertree/core';
import { EvertreeError, samePosition } from '@evertree/core';
import { EndFlag, endThread } from '@evertree/history/files';
import { asError } from '@evertree/journal/files';
import type { S3Settings } from '../targets/s3-client.ts';
import type { ArchiveAnswer, ArchiveRequest, ArchiveTask } from './archive-messages.ts';
import type { ArchiveProgress, ArchiverEvents, ArchiverOptions, BackupResult } from './archiver-options.ts';
import type { BackupProgress } from './counted-source.ts';
import { type ArchiveLag, LagMeter } from './lag-meter.ts';
import { ProgressBoard } from './progress-board.ts';

/** What the thread may take of the heap, in MiB. Objects that are made and sent lie outside of it. */
const HEAP_LIMIT_MB = 256;
/** What it makes is garbage soon. With 8 MiB it takes 8 MiB more memory, and no less time. */
const YOUNG_LIMIT_MB = 2;
/** A thread that died is begun anew after this time, in milliseconds. */
const RESTART_MS = 5_000;
/** The thread is told of what is stable at most, and at least, so often, in milliseconds. */
const TELL_LEAST_MS = 10;
const TELL_MOST_MS = 100;

/** Retention moves the base of the history without a word: it is looked at so often, in milliseconds. */
const LOOK_MS = 1_000;

/** How a service is reached. */
export type TargetSettings = S3Settings;

export interface ArchiveThreadOptions {
  /** The site's, in which the thread reads the history. */
  readonly directory: string;
  readonly site: string;
  /** As people write it: a directory, or `s3://bucket/prefix`. */
  readonly target: string;
  readonly settings: TargetSettings;
  /** What files of recipients hold; undefined for an archive that is not encrypted. */
  readonly recipients: readonly string[] | undefined;
  /** Undefined for single backups: nothing is archived but when `backup` is called. */
  readonly follow: ArchiverOptions | undefined;
  readonly log: Pick<FrameLog, 'base' | 'stable' | 'onProgress'>;
  readonly clock: Clock;
  readonly events: ArchiveThreadEvents;
  /** From where the history is held for the archive; undefined if it is not. Asked when a thread begins. */
  readonly held?: () => ExactPosition | undefined;
}

export interface ArchiveThreadEvents extends Pick<ArchiverEvents, 'report' | 'lease'> {
  /** A snapshot of the present state is needed for an image. Resolves when it is saved; rejects if it can't be. */
  readonly makeSnapshot: () => Promise<void>;
}

/** What `status` and metrics show of a site's archive. */
export interface ArchiveStatus extends ArchiveProgress {
  /** As people write it. */
  readonly target: string;
  readonly lag: ArchiveLag;
}

/** What archives the history of a site. */
export interface ArchivingThread extends AsyncDisposable {
  readonly status: ArchiveStatus;
  /** How far a single backup has come; undefined before the first one, and where the history is followed. */
  readonly counted: BackupProgress | undefined;
  /**
   * Archives everything that is stable now.
   * @throws EvertreeError why it is not possible at present; CLOSED
   */
  backup(): Promise<BackupResult>;
  /** The thread gives up what is under way, and ends: the next start goes on from there. Idempotent. */
  close(): Promise<void>;
}

/**
 * Archives the history of a running site in a thread of its own. The thread reads the journal's files itself; only small
 * messages pass, and no commit ever waits for it.
 */
export class ArchiveThread implements ArchivingThread {
  readonly #options: ArchiveThreadOptions;
  readonly #hooks: Disposable;
  readonly #lag: LagMeter;
  readonly #board: ProgressBoard;
  readonly #tellMs: number;
  /** The next telling of what is stable. */
  #timer: Disposable | undefined;
  /** The next look at the base. */
  #look: Disposable | undefined;
  #toldBase: ExactPosition | undefined;
  #counted: BackupProgress | undefined;
  readonly #end = new EndFlag();
  #worker: Worker | undefined;
  #isClosed = false;
  #closing: Promise<void> | undefined;
  /** Threads that died. */
  #deaths = 0;
  #requests = 0;
  readonly #waiting = new Map<number, PromiseWithResolvers<BackupResult>>();

  constructor(options: ArchiveThreadOptions) {
    const { follow, recipients, clock, log } = options;
    this.#options = options;
    this.#lag = new LagMeter(clock);
    this.#board = new ProgressBoard(
      clock,
      { spoolMaxBytes: follow?.spoolMaxBytes ?? 0, encrypted: recipients !== undefined },
      () => undefined,
    );
    this.#tellMs = Math.max(TELL_LEAST_MS, Math.min(TELL_MOST_MS, (follow?.everyMs ?? TELL_MOST_MS) / 4));
    this.#hooks = log.onProgress(() => this.#progressed());
    if (follow === undefined) return;
    this.#begin();
    this.#lookAtBase();
  }

  get status(): ArchiveStatus {
    const { target, log } = this.#options;
    const progress = this.#board.now;
    this.#lag.stable(log.stable);
    return { ...progress, target, lag: this.#lag.behind(progress.position, log.stable) };
  }

  get counted(): BackupProgress | undefined {
    return this.#counted;
  }

  backup(): Promise<BackupResult> {
    const request = ++this.#requests;
    const done = Promise.withResolvers<BackupResult>();
    if (this.#isClosed) return Promise.reject(new EvertreeError('CLOSED', 'the archiving was closed'));
    this.#waiting.set(request, done);
    if (this.#worker === undefined) this.#begin();
    this.#tell();
    this.#send({ type: 'backup', request });
    return done.promise;
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#isClosed = true;
    this.#hooks[Symbol.dispose]();
    this.#timer?.[Symbol.dispose]();
    this.#look?.[Symbol.dispose]();
    this.#refuse(new EvertreeError('CLOSED', 'the archiving was closed'));
    if (this.#worker !== undefined) await endThread(this.#worker, this.#end);
  }

  /** Called after each group: it costs a comparison, and a timer now and then. */
  #progressed(): void {
    if (this.#timer === undefined && this.#worker !== undefined) this.#timer = this.#options.clock.after(this.#tellMs, () => this.#tell());
  }

  #lookAtBase(): void {
    if (this.#toldBase !== undefined && !samePosition(this.#toldBase, this.#options.log.base)) this.#tell();
    this.#look = this.#options.clock.after(LOOK_MS, () => this.#lookAtBase());
  }

  #tell(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    const { base, stable } = this.#options.log;
    this.#lag.stable(stable);
    this.#toldBase = base;
    this.#send({ type: 'history', history: { base: plain(base), stable: plain(stable) } });
  }

  #send(request: ArchiveRequest): void {
    this.#worker?.postMessage(request);
  }

  #begin(): void {
    if (this.#isClosed) return;
    const { directory, site, target, settings, recipients, follow, log, held } = this.#options;
    const history = { base: plain(log.base), stable: plain(log.stable) };
    this.#toldBase = history.base;
    const end = this.#end.memory;
    const task: ArchiveTask = { directory, site, target, settings, recipients, follow, history, held: held?.(), end };
    // Beside this file, as TypeScript in the sources and as JavaScript in the package.
    const file = new URL(import.meta.url.endsWith('.ts') ? './archive-worker.ts' : './archive-worker.js', import.meta.url);
    const worker = new Worker(file, {
      workerData: task,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_LIMIT_MB, maxYoungGenerationSizeMb: YOUNG_LIMIT_MB },
      execArgv: [],
      name: 'evertree-archive',
    });
    this.#worker = worker;
    // It never keeps the process alive.
    worker.unref();
    worker.on('message', (answer: ArchiveAnswer) => this.#answered(answer));
    worker.on('error', (error: unknown) => this.#died(worker, asError(error)));
    worker.on('exit', () => this.#died(worker, new Error('its thread ended')));
  }

  #answered(answer: ArchiveAnswer): void {
    if (this.#isClosed) return;
    const { events } = this.#options;
    switch (answer.type) {
      case 'progress':
        this.#board.set(answer.progress);
        return this.#lag.archived(answer.progress.position);
      case 'report':
        return events.report(answer.report);
      case 'lease':
        return events.lease(answer.lease);
      case 'counted':
        this.#counted = answer.counted;
        return undefined;
      case 'snapshot':
        return void this.#makeSnapshot();
      case 'done':
        return this.#take(answer.request)?.resolve(answer.result);
      case 'failed': {
        const { code, message, details } = answer.failure;
        return this.#take(answer.request)?.reject(new EvertreeError(code, message, details));
      }
    }
  }

  async #makeSnapshot(): Promise<void> {
    let problem: string | undefined;
    try {
      await this.#options.events.makeSnapshot();
    } catch (error) {
      problem = asError(error).message;
    }
    // The snapshot may be of what is stable only now.
    if (!this.#isClosed) this.#tell();
    this.#send({ type: 'snapshot', problem });
  }

  #take(request: number): PromiseWithResolvers<BackupResult> | undefined {
    const waiting = this.#waiting.get(request);
    this.#waiting.delete(request);
    return waiting;
  }

  #refuse(error: EvertreeError): void {
    for (const request of this.#waiting.keys()) this.#take(request)?.reject(error);
  }

  #died(worker: Worker, error: Error): void {
    if (this.#isClosed || this.#worker !== worker) return;
    this.#worker = undefined;
    const { site, target, follow, clock, events } = this.#options;
    const failure = new EvertreeError('STORAGE_FAILED', `the thread that archives to ${target} died: ${error.message}`, {}, error);
    this.#refuse(failure);
    if (follow === undefined) return;
    this.#board.failed('starting', failure, ++this.#deaths);
    const message = `the thread that archives ${site} to ${target} died (${error.message}); another one begins`;
    events.report({ level: 'error', event: 'archive-thread-died', message, details: { target } });
    clock.after(RESTART_MS, () => {
      if (this.#worker === undefined) this.#begin();
    });
  }
}

function plain({ epoch, epochId, revision }: ExactPosition): ExactPosition {
  return { epoch, epochId, revision };
}
