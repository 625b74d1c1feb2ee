import type { Clock, Random } from '@evertree/core';
import { EvertreeError, isEvertreeError } from '@evertree/core';
import type { ListedObject, ObjectStat, Target, TargetObject } from '../targets/target.ts';

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;

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
 */
export class PatientTarget implements Target {
  readonly name: string;
  readonly #target: Target;
  readonly #patience: PatientTargetOptions;
  readonly #closing = Promise.withResolvers<void>();
  #isClosed = false;
  /** Calls that are failing now. */
  #failing = 0;

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
    this.#closing.resolve();
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
    const { clock, random } = this.#patience;
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempts, 16));
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = clock.after(longest * (0.5 + random.fraction() / 2), resolve);
    await Promise.race([promise, this.#closing.promise]);
    timer[Symbol.dispose]();
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new EvertreeError('CLOSED', `the archiving to ${this.name} was closed`);
  }
}
