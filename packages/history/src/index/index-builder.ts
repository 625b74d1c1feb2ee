import type { IndexRange, KeeperOptions } from './index-keeper.ts';
import { IndexKeeper } from './index-keeper.ts';

/** What the building of an index tells. */
export interface BuildingEvents extends Pick<KeeperOptions, 'changed' | 'dropped' | 'stuck'> {
  /** Nothing more is built until it is asked for again. */
  readonly failed: (error: Error) => void;
  /** So many ranges that were asked for are done, or have failed: all so far. */
  readonly idle: (requests: number) => void;
}

/** Builds an index somewhere: in this thread or in another one. Calls return at once. */
export interface IndexBuilding {
  /** Covers a range, unless another one is asked for before. See `IndexKeeper.extend`. */
  extend(range: IndexRange, least: number): void;
  drop(paths: readonly string[]): void;
  /** Resolves when nothing is built any more. A run that is being made is given up. */
  close(): Promise<void>;
}

/** It was closed in the middle of its work. */
class BuildingStopped extends Error {
  override name = 'BuildingStopped';
}

/** Carries out, in this thread, what is asked of an index keeper, one after the other. */
export class IndexBuilder implements IndexBuilding {
  readonly #keeper: IndexKeeper;
  readonly #events: BuildingEvents;
  #wanted: { readonly range: IndexRange; readonly least: number } | undefined;
  #unwanted: string[] = [];
  #requests = 0;
  #isOpen = false;
  #isClosed = false;
  /** Undefined while nothing is done. */
  #working: Promise<void> | undefined;

  constructor(options: Pick<KeeperOptions, 'disk' | 'breathe'>, events: BuildingEvents) {
    this.#events = events;
    const breathe = () => {
      if (this.#isClosed) throw new BuildingStopped('the index is closed');
      return options.breathe();
    };
    this.#keeper = new IndexKeeper({ ...options, ...events, breathe });
  }

  extend(range: IndexRange, least: number): void {
    this.#requests++;
    // A range that is to be covered whole stays so when it grows.
    this.#wanted = { range, least: Math.min(least, this.#wanted?.least ?? least) };
    this.#begin();
  }

  drop(paths: readonly string[]): void {
    this.#unwanted.push(...paths);
    this.#begin();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#working;
  }

  #begin(): void {
    if (this.#isClosed || this.#working !== undefined) return;
    this.#working = this.#work().finally(() => {
      this.#working = undefined;
      if (this.#hasMore) this.#begin();
      else if (!this.#isClosed) this.#events.idle(this.#requests);
    });
  }

  get #hasMore(): boolean {
    return this.#wanted !== undefined || this.#unwanted.length > 0;
  }

  async #work(): Promise<void> {
    try {
      if (!this.#isOpen) await this.#keeper.open();
      this.#isOpen = true;
      while (!this.#isClosed && this.#hasMore) {
        await this.#keeper.drop(this.#unwanted.splice(0));
        const wanted = this.#wanted;
        this.#wanted = undefined;
        if (wanted !== undefined) await this.#keeper.extend(wanted.range, wanted.least);
      }
    } catch (error) {
      this.#wanted = undefined;
      // Once the files are listed they are asked for again.
      if (!this.#isOpen) this.#unwanted.length = 0;
      if (!(error instanceof BuildingStopped)) this.#events.failed(error instanceof Error ? error : new Error(String(error)));
    }
  }
}
