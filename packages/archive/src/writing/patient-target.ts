import type { Clock, Random } from '@evertree/core';
import { EvertreeError, isEvertreeError } from '@evertree/core';
import { HEAD_KEY } from '../format/object-keys.ts';
import type { ListedObject, ObjectStat, Target, TargetObject } from '../targets/target.ts';

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;
/** While calls wait the target is asked so often whether it answers. */
const PROBE_MS = 1_000;

export interface PatientTargetOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** A call has failed, for the `attempts`th time in a row. */
  readonly failed: (error: EvertreeError, attempts: number) => void;
  /** A call has succeeded that had failed before. */
  readonly succeeded: () => void;
}

/**
 * A target whose calls are tried again until they succeed, with a growing pause in between: the bounded attempts of the
 * target itself come first. So whoever writes goes on exactly where the target went away, and skips nothing.
 *
 * In the pauses a small request looks whether the target answers. When it answers and did not before, all calls are tried
 * at once. A target that answers and refuses the calls (a full disk) is left to the pauses.
 */
export class PatientTarget implements Target {
  readonly name: string;
  readonly #target: Target;
  readonly #patience: PatientTargetOptions;
  /**
   * Each ends a wait that is under way. A race with one promise for all would keep something of every wait until that
   * promise resolves, and a target may be away for weeks.
   */
  readonly #waits = new Set<() => void>();
  #isClosed = false;
  /** Calls that are failing now. */
  #failing = 0;
  /** `#look` runs. */
  #isLooking = false;

  constructor(target: Target, patience: PatientTargetOptions) {
    this.name = target.name;
    this.#target = target;
    this.#patience = patience;
  }

  get(key: string): Promise<TargetObject | undefined> {
    return this.#insist(() => this.#target.get(key));
  }

  stat(key: string): Promise<ObjectStat | undefined> {
    return this.#insist(() => this.#target.stat(key));
  }

  create(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    return this.#insist(() => this.#target.create(key, bytes));
  }

  replace(key: string, bytes: Uint8Array, tag: string | undefined): Promise<{ readonly tag: string } | 'changed'> {
    return this.#insist(() => this.#target.replace(key, bytes, tag));
  }

  remove(keys: readonly string[]): Promise<void> {
    return this.#insist(() => this.#target.remove(keys));
  }

  async *list(prefix: string): AsyncIterable<ListedObject> {
    // What a failed attempt gave is given again: it is listed as a whole.
    yield* await this.#insist(() => Array.fromAsync(this.#target.list(prefix)));
  }

  now(): Promise<number> {
    return this.#insist(() => this.#target.now());
  }

  /** Calls that are waiting throw CLOSED. The target stays open. */
  close(): void {
    this.#isClosed = true;
    this.#endWaits();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  async #insist<T>(call: () => Promise<T>): Promise<T> {
    for (let attempts = 0; ; attempts++) {
      let answer: T;
      try {
        this.#assertOpen();
        answer = await call();
      } catch (error) {
        // What Evertree did not throw on purpose is a fault of the program, and no attempt mends it.
        if (!isEvertreeError(error) || error.code === 'CLOSED') {
          if (attempts > 0) this.#failing--;
          throw error;
        }
        if (attempts === 0) this.#failing++;
        this.#patience.failed(error, attempts + 1);
        await this.#pause(attempts);
        continue;
      }
      if (attempts > 0 && --this.#failing === 0) this.#patience.succeeded();
      return answer;
    }
  }

  async #pause(attempts: number): Promise<void> {
    const { random } = this.#patience;
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempts, 16));
    // One look is under way at a time, whatever the number of calls.
    if (!this.#isLooking) void this.#look();
    await this.#wait(longest * (0.5 + random.fraction() / 2));
  }

  /** Ends early when the target has come back, and when this is closed. */
  async #wait(milliseconds: number): Promise<void> {
    if (this.#isClosed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waits.add(resolve);
    using _ = this.#patience.clock.after(milliseconds, resolve);
    await promise;
    this.#waits.delete(resolve);
  }

  #endWaits(): void {
    for (const end of this.#waits) end();
  }

  /** Until no call fails any more, or the target has come back. */
  async #look(): Promise<void> {
    const { random } = this.#patience;
    this.#isLooking = true;
    for (let wasAway = false; this.#failing > 0 && !this.#isClosed;) {
      await this.#wait(PROBE_MS * (0.5 + random.fraction() / 2));
      if (this.#failing === 0 || this.#isClosed) break;
      const answers = await this.#answers();
      if (answers && wasAway) break;
      wasAway = !answers;
    }
    this.#isLooking = false;
    this.#endWaits();
  }

  async #answers(): Promise<boolean> {
    try {
      return (await this.#target.stat(HEAD_KEY)) !== undefined;
    } catch {
      // The calls that wait tell why.
      return false;
    }
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new EvertreeError('CLOSED', `the archiving to ${this.name} was closed`);
  }
}
