import { EvertreeError } from '@evertree/core';
import type { ListedObject, ObjectStat, Target, TargetObject } from '../targets/target.ts';

/** A target that is opened by its first call, and by each one after that until it could be. Once disposed of it throws CLOSED. */
export class OpeningTarget implements Target {
  readonly name: string;
  readonly #open: () => Promise<Target>;
  #opened: Promise<Target> | undefined;
  #isClosed = false;

  constructor(name: string, open: () => Promise<Target>) {
    this.name = name;
    this.#open = open;
  }

  async get(key: string): Promise<TargetObject | undefined> {
    return (await this.#target()).get(key);
  }

  async stat(key: string): Promise<ObjectStat | undefined> {
    return (await this.#target()).stat(key);
  }

  async create(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    return (await this.#target()).create(key, bytes);
  }

  async replace(key: string, bytes: Uint8Array, tag: string | undefined): Promise<{ readonly tag: string } | 'changed'> {
    return (await this.#target()).replace(key, bytes, tag);
  }

  async remove(keys: readonly string[]): Promise<void> {
    return (await this.#target()).remove(keys);
  }

  async *list(prefix: string): AsyncIterable<ListedObject> {
    yield* (await this.#target()).list(prefix);
  }

  async now(): Promise<number> {
    return (await this.#target()).now();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    // Who made the call that failed was told why.
    const opened = await this.#opened?.catch(() => undefined);
    await opened?.[Symbol.asyncDispose]();
  }

  async #target(): Promise<Target> {
    if (this.#isClosed) throw new EvertreeError('CLOSED', `the target ${this.name} was closed`);
    try {
      return await (this.#opened ??= this.#open());
    } catch (error) {
      this.#opened = undefined;
      throw error;
    }
  }
}
