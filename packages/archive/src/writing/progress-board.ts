import type { Clock } from '@evertree/core';
import type { ArchiveFailure, ArchiveProgress } from './archiver-options.ts';
import type { ArchivedEnd } from './frame-batch.ts';

/** Where the archiving of a site stands: tells each change. */
export class ProgressBoard {
  #progress: ArchiveProgress;
  readonly #clock: Clock;
  readonly #tell: (progress: ArchiveProgress) => void;

  constructor(
    clock: Clock,
    begin: { readonly spoolMaxBytes: number; readonly encrypted: boolean },
    tell: (progress: ArchiveProgress) => void,
  ) {
    this.#clock = clock;
    this.#tell = tell;
    this.#progress = {
      state: 'starting',
      archive: null,
      line: null,
      encrypted: begin.encrypted,
      position: null,
      time: null,
      lastSuccess: null,
      spool: { bytes: 0, maxBytes: begin.spoolMaxBytes, isFull: false },
      gaps: [],
      lastError: null,
      written: { objects: 0, bytes: 0, plainBytes: 0, commits: 0 },
    };
  }

  get now(): ArchiveProgress {
    return this.#progress;
  }

  set(changed: Partial<ArchiveProgress>): void {
    this.#progress = { ...this.#progress, ...changed };
    this.#tell(this.#progress);
  }

  /** Everything up to a position can be restored. */
  reached({ position, time }: ArchivedEnd, changed: Partial<ArchiveProgress> = {}): void {
    this.set({ position, time, lastSuccess: this.#clock.now(), ...changed });
  }

  failed(
    state: 'starting' | 'away' | 'refused',
    error: { readonly code: string; readonly message: string },
    attempts: number,
  ): ArchiveFailure {
    const since = this.#progress.lastError?.since ?? this.#clock.now();
    const lastError = { code: error.code, message: error.message, since, attempts };
    this.set({ state, lastError });
    return lastError;
  }
}
