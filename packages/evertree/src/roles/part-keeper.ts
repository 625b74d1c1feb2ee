import type { Store } from '@evertree/core';
import type { Part, PartFactory, PrimaryPart, SecondaryPart, Stage } from './part.ts';
import { describe } from './role-context.ts';

export interface PartKeeperOptions {
  readonly store: Store;
  readonly stage: Stage;
  readonly factory: PartFactory;
  /** Made already; undefined where there is no primary file. */
  primary(): Promise<PrimaryPart> | undefined;
  standby(): Promise<SecondaryPart> | undefined;
  /** Whether this site began an epoch that is not stable yet: nobody is told of it. */
  isBeginning(): boolean;
  /** A part is about to be opened. */
  opening(part: Part): void;
  /** A part could not be opened, after the start. */
  failed(error: Error): void;
}

/**
 * Keeps open the parts that the store's standing asks for (DESIGN.md, «Who decides»): compares, and opens or closes one
 * at a time.
 */
export class PartKeeper {
  readonly #options: PartKeeperOptions;
  #primary: PrimaryPart | undefined;
  #standby: SecondaryPart | undefined;
  /** Resolves when the open parts are those that the standing asks for; undefined while they are. */
  #arranging: Promise<void> | undefined;
  /** Something changed since the parts were compared last. */
  #isDue = false;
  /** Whether the parts follow the standing. */
  #isKeeping = false;
  /** Whether `pauseFor` is under way, and keeps the parts when it is over. */
  #isPaused = false;
  /** Whether `start` has told what came of it. */
  #isStarted = false;

  constructor(options: PartKeeperOptions) {
    this.#options = options;
  }

  get primary(): PrimaryPart | undefined {
    return this.#primary;
  }

  get standby(): SecondaryPart | undefined {
    return this.#standby;
  }

  /** Throws what opening a part throws. */
  async start(): Promise<void> {
    this.#isKeeping = true;
    try {
      await this.#arrange();
    } finally {
      this.#isStarted = true;
    }
  }

  /** The standing, or `isBeginning`, may have changed. */
  changed(): void {
    // A part that can't be opened has been told of.
    if (this.#isKeeping) this.#arrange().catch(() => undefined);
  }

  get isKeeping(): boolean {
    return this.#isKeeping || this.#isPaused;
  }

  /** Whether the parts are closed for a while, and nothing opens them meanwhile. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Closes the open parts, does work, and opens anew those that the standing then asks for, also after a failure. */
  async pauseFor(work: () => Promise<void>): Promise<void> {
    this.#isPaused = true;
    this.#isKeeping = false;
    await this.#arranging?.catch(() => undefined);
    const open = [this.#primary, this.#standby].filter(part => part !== undefined);
    this.#primary = undefined;
    this.#standby = undefined;
    try {
      for (const part of open) await this.#options.stage.end(part);
      await work();
    } finally {
      // Not after `release` or `stop`: somebody else decides then.
      this.#isKeeping = this.#isPaused;
      this.#isPaused = false;
      await this.#arrange();
    }
  }

  /** Leaves the parts to whoever opens others from now on. */
  release(): void {
    this.#isKeeping = this.#isPaused = false;
    this.#primary = undefined;
    this.#standby = undefined;
  }

  /** Opens and closes nothing any more; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#isKeeping = this.#isPaused = false;
    await this.#arranging?.catch(() => undefined);
  }

  #arrange(): Promise<void> {
    this.#isDue = true;
    return (this.#arranging ??= this.#arrangeAll().finally(() => {
      this.#arranging = undefined;
      // It may have come after the last comparison, and before this.
      if (this.#isDue) this.changed();
    }));
  }

  async #arrangeAll(): Promise<void> {
    while (this.#isKeeping) {
      this.#isDue = false;
      const change = this.#nextChange();
      if (change === undefined) return;
      try {
        await change();
      } catch (error) {
        // What failed is not tried again by itself.
        this.#isDue = false;
        if (this.#isKeeping && this.#isStarted) this.#options.failed(error instanceof Error ? error : new Error(describe(error)));
        throw error;
      }
    }
  }

  #nextChange(): (() => Promise<void>) | undefined {
    const { factory } = this.#options;
    const primary = this.#primary;
    if (primary !== undefined && !this.#feeds) return () => this.#close(primary);
    if (this.#standby === undefined && this.#listens) return () => this.#openStandby();
    if (primary === undefined && factory.primary !== undefined && this.#feeds) return () => this.#openPrimary();
    return undefined;
  }

  /** Whether this standing has a consumer: a primary without a primary file could not become one again. */
  get #listens(): boolean {
    const { store, factory } = this.#options;
    return factory.standby !== undefined && (factory.primary !== undefined || store.standing !== 'primary');
  }

  /** Whether this standing has a producer. */
  get #feeds(): boolean {
    const { store, factory } = this.#options;
    switch (store.standing) {
      case 'primary':
        return !this.#options.isBeginning();
      case 'handing-over':
        return true;
      case 'fenced':
        return factory.standby === undefined;
      case 'secondary':
        return false;
    }
  }

  async #close(part: PrimaryPart): Promise<void> {
    const { store, stage } = this.#options;
    // What was just decided may have to be told over its links.
    await new Promise<void>(resolve => store.clock.soon(resolve));
    if (!this.#isKeeping || this.#feeds || this.#primary !== part) return;
    this.#primary = undefined;
    await stage.end(part);
  }

  async #openPrimary(): Promise<void> {
    const part = await this.#options.primary();
    if (part === undefined || !this.#isKeeping) return;
    this.#primary = part;
    await this.#open(part);
  }

  async #openStandby(): Promise<void> {
    const part = await this.#options.standby();
    if (part === undefined || !this.#isKeeping) return;
    this.#standby = part;
    await this.#open(part);
  }

  async #open(part: Part): Promise<void> {
    this.#options.opening(part);
    try {
      await this.#options.stage.begin(part);
    } catch (error) {
      if (this.#primary === part) this.#primary = undefined;
      if (this.#standby === part) this.#standby = undefined;
      throw error;
    }
  }
}
