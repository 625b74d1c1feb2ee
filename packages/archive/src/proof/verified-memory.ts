import type { ExactPosition, Random } from '@evertree/core';
import { isEvertreeError } from '@evertree/core';
import { VERIFIED_PREFIX, verifiedKey } from '../format/object-keys.ts';
import type { Target } from '../targets/target.ts';
import type { FindingList, VerificationLevel } from './archive-finding.ts';
import type { VerifiedObject } from './due-objects.ts';
import type { NeededObject } from './line-history.ts';
import { reportId } from './report-file.ts';
import { encodeVerification, parseVerification, type VerificationReport, type VerifiedTail } from './verification-report.ts';

/** Reports in a target beside the newest; older ones are removed. */
const KEPT_REPORTS = 30;
/** Digits of a sum that are remembered. They find what was exchanged by accident; forgers are the sums' business. */
const SUM_DIGITS = 16;
/** What was read is written down after so many bytes, then after twice as many, and so on up to the limit. */
const FIRST_NOTE_BYTES = 8 * 1024 * 1024;
const NOTE_LIMIT_BYTES = 512 * 1024 * 1024;

/** What is remembered of earlier verifications of an archive, and what this one adds. */
export class VerifiedMemory {
  /** The level, the end of each line and the time of the newest report; undefined if there is none. */
  readonly newest: VerificationReport | undefined;
  readonly objects = new Map<string, VerifiedObject>();
  readonly tails = new Map<string, VerifiedTail>();
  readonly #target: Target;
  readonly #random: Random;
  readonly #keys: string[];
  /** Reports of this verification that a later one of it replaces. */
  readonly #superseded: string[] = [];
  #unnotedBytes = 0;
  #noteAfterBytes = FIRST_NOTE_BYTES;

  private constructor(
    options: { readonly target: Target; readonly random: Random },
    keys: string[],
    newest: VerificationReport | undefined,
  ) {
    this.#target = options.target;
    this.#random = options.random;
    this.#keys = keys;
    this.newest = newest;
    for (const [path, sum, level, time] of newest?.objects ?? []) this.objects.set(path, { sum, level, time });
    for (const tail of newest?.tails ?? []) this.tails.set(tail.path, tail);
  }

  /** Reads the newest report. One that is damaged counts for nothing: more is read again then. */
  static async load(
    options: { readonly target: Target; readonly random: Random; readonly archive: string },
    list: FindingList,
  ): Promise<VerifiedMemory> {
    const keys: string[] = [];
    for await (const { key } of options.target.list(VERIFIED_PREFIX)) keys.push(key);
    for (const key of keys.toReversed()) {
      const object = await options.target.get(key);
      if (object === undefined) continue;
      try {
        const report = parseVerification(object.bytes, key);
        if (report.archive === options.archive) return new VerifiedMemory(options, keys, report);
        list.remark(`${key} is the report of another archive, and is left aside`);
      } catch (error) {
        if (!isEvertreeError(error)) throw error;
        list.remark(`${key} can't be used, and what it remembers is read again: ${error.message}`);
      }
    }
    return new VerifiedMemory(options, keys, undefined);
  }

  /** Forgets what the manifest does not need any more, and objects of the same key that are others. */
  keep(needed: readonly NeededObject[], sumOf: (object: NeededObject) => string | undefined): void {
    const sums = new Map(needed.map(object => [object.path, sumOf(object)?.slice(0, SUM_DIGITS)]));
    for (const [path, { sum }] of this.objects) {
      const isSame = sums.has(path) && (sums.get(path) ?? sum) === sum;
      if (!isSame) this.objects.delete(path);
    }
  }

  verified(path: string, sum: string, level: VerificationLevel, time: number): void {
    const known = this.objects.get(path);
    const highest = known !== undefined && known.sum === sum.slice(0, SUM_DIGITS) && known.level > level ? known.level : level;
    this.objects.set(path, { sum: sum.slice(0, SUM_DIGITS), level: highest, time });
  }

  /** An object that is not sound is read again by each verification. */
  forget(path: string): void {
    this.objects.delete(path);
  }

  read(bytes: number): void {
    this.#unnotedBytes += bytes;
  }

  /** Whether so much was read since it was written down that it should be again. */
  get isNoteDue(): boolean {
    return this.#unnotedBytes >= this.#noteAfterBytes;
  }

  /** Writes a report. @returns its key */
  async note(report: Omit<VerificationReport, 'objects' | 'tails'>, time: number): Promise<string> {
    this.#unnotedBytes = 0;
    this.#noteAfterBytes = Math.min(2 * this.#noteAfterBytes, NOTE_LIMIT_BYTES);
    const objects = [...this.objects].map(([path, { sum, level, time: at }]): VerificationReport['objects'][number] => [
      path,
      sum,
      level,
      at,
    ]);
    const bytes = encodeVerification({ ...report, tails: [...this.tails.values()], objects });
    for (;;) {
      const key = verifiedKey(reportId(time, this.#random.bytes(4)));
      if ((await this.#target.create(key, bytes)) === 'exists') continue;
      this.#superseded.push(key);
      return key;
    }
  }

  /** Removes reports that nobody needs: older ones of this verification, and those that are very old. */
  async tidy(newest: string): Promise<void> {
    const old = this.#keys.slice(0, Math.max(0, this.#keys.length - KEPT_REPORTS));
    const keys = [...old, ...this.#superseded.filter(key => key !== newest)];
    if (keys.length > 0) await this.#target.remove(keys);
  }

  /** Where each line ended when it was verified last. */
  endOf(line: string): ExactPosition | undefined {
    return this.newest?.lines.find(entry => entry.line === line)?.position;
  }
}
