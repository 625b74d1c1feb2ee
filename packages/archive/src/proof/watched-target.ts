import type { ListedObject, ObjectStat, Target, TargetObject } from '../targets/target.ts';

/** Is given each object that is fetched, and gives back what its reader gets. It may throw, and so end the reading. */
export type FetchWatcher = (key: string, fetched: TargetObject | undefined) => TargetObject | undefined;

/** A target of which somebody watches what is fetched. Everything else goes through, and it does not close the target. */
export class WatchedTarget implements Target {
  readonly name: string;
  readonly #target: Target;
  readonly #watch: FetchWatcher;

  constructor(target: Target, watch: FetchWatcher) {
    this.name = target.name;
    this.#target = target;
    this.#watch = watch;
  }

  async get(key: string): Promise<TargetObject | undefined> {
    return this.#watch(key, await this.#target.get(key));
  }

  stat(key: string): Promise<ObjectStat | undefined> {
    return this.#target.stat(key);
  }

  create(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    return this.#target.create(key, bytes);
  }

  replace(key: string, bytes: Uint8Array, tag: string | undefined): Promise<{ readonly tag: string } | 'changed'> {
    return this.#target.replace(key, bytes, tag);
  }

  remove(keys: readonly string[]): Promise<void> {
    return this.#target.remove(keys);
  }

  list(prefix: string): AsyncIterable<ListedObject> {
    return this.#target.list(prefix);
  }

  now(): Promise<number> {
    return this.#target.now();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // It belongs to whoever opened it.
  }
}
