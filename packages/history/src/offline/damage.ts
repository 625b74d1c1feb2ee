import { EvertreeError, isEvertreeError } from '@evertree/core';

/** A place in a directory that is not as FORMAT.md says, or lacks what has to be there. */
export interface Damage {
  /** Relative to the directory. */
  readonly file: string;
  readonly offset: number;
  readonly problem: string;
}

/** Something in a directory that a person should know and that is no damage. */
export interface Remark {
  readonly file: string;
  readonly text: string;
}

/** Told as the work goes on: bytes that were read, of all that are to be read. */
export type ReadProgress = (doneBytes: number, totalBytes: number) => void;

/** What a person can do about a record that is damaged. */
export const RECORD_REMEDY = "start from a copy of another site's directory, or empty as a secondary";

/** So many of each are listed; all are counted. */
const LISTED_LIMIT = 1_000;
/** ReadProgress is told after so many bytes. */
const PROGRESS_STEP_BYTES = 1024 * 1024;

/** Gathers what is found while a directory is read. */
export class DamageList {
  readonly damages: Damage[] = [];
  readonly remarks: Remark[] = [];
  count = 0;
  totalBytes = 0;
  readonly #progress: ReadProgress | undefined;
  #doneBytes = 0;
  #toldBytes = 0;

  constructor(progress: ReadProgress | undefined) {
    this.#progress = progress;
  }

  get doneBytes(): number {
    return this.#doneBytes;
  }

  damage(file: string, offset: number, problem: string): void {
    this.count++;
    if (this.damages.length < LISTED_LIMIT) this.damages.push({ file, offset, problem });
  }

  /** Takes an error that Evertree threw on purpose while it read a place; any other error is thrown. */
  take(error: unknown, file: string, offset: number): void {
    if (!isEvertreeError(error)) throw error;
    const at = error.details['offset'];
    const place = typeof at === 'number' && error.details['file'] === file ? at : offset;
    const prefix = `${file} is damaged at offset ${place}: `;
    // A damage tells its place apart from its problem.
    this.damage(file, place, error.message.startsWith(prefix) ? error.message.slice(prefix.length) : error.message);
  }

  remark(file: string, text: string): void {
    if (this.remarks.length < LISTED_LIMIT) this.remarks.push({ file, text });
  }

  read(bytes: number): void {
    this.#doneBytes += bytes;
    if (this.#doneBytes - this.#toldBytes < PROGRESS_STEP_BYTES) return;
    this.#toldBytes = this.#doneBytes;
    this.#progress?.(this.#doneBytes, Math.max(this.#doneBytes, this.totalBytes));
  }
}

/** The history was cut back or replaced while it was read: what was read is no one state of it. */
export class ChangedMeanwhile extends EvertreeError {
  constructor(what: string) {
    super('HISTORY_MISMATCH', `the directory's history changed while it was read (${what}); try again when it is at rest`);
  }
}
