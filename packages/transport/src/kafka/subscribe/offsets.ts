import { isBefore } from '@evertree/core';
import type { Clock, ExactPosition, Reporter } from '@evertree/core';

export interface OffsetKeeperOptions {
  readonly clock: Clock;
  readonly report: Reporter;
  readonly group: string;
  /** How often, if something changed. */
  readonly everyMs: number;
  /** @param offset of the next record to be read */
  readonly commit: (offset: bigint) => Promise<void>;
}

interface Mark {
  readonly last: ExactPosition;
  /** Offset of the last record that belongs to it. */
  readonly end: string;
}

/**
 * Commits offsets for people's dashboards, best effort: nothing here reads them, nothing waits for them. A mark is set where reading stands,
 * and committed once what was handed up until then is durable, so that the offset never runs ahead of the site.
 */
export class OffsetKeeper {
  readonly #options: OffsetKeeperOptions;
  #reached: Mark | undefined;
  #mark: Mark | undefined;
  #durable: ExactPosition | undefined;
  #committed: string | undefined;
  #timer: Disposable | undefined;
  #failing = false;
  #stopped = false;

  constructor(options: OffsetKeeperOptions) {
    this.#options = options;
    this.#plan();
  }

  /** A frame or a snapshot was handed up. */
  handed(last: ExactPosition, end: string): void {
    this.#reached = { last, end };
  }

  durable(position: ExactPosition): void {
    this.#durable = position;
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.[Symbol.dispose]();
  }

  #plan(): void {
    if (!this.#stopped) this.#timer = this.#options.clock.after(this.#options.everyMs, () => void this.#tick());
  }

  async #tick(): Promise<void> {
    const mark = this.#mark;
    const isDurable = mark !== undefined && this.#durable !== undefined && !isBefore(this.#durable, mark.last);
    if (isDurable) this.#mark = undefined;
    this.#mark ??= this.#reached;
    if (isDurable && mark.end !== this.#committed) await this.#commit(mark.end);
    this.#plan();
  }

  async #commit(end: string): Promise<void> {
    try {
      await this.#options.commit(BigInt(end) + 1n);
      this.#committed = end;
      this.#failing = false;
    } catch (error) {
      if (!this.#failing && !this.#stopped) this.#tell(error);
      this.#failing = true;
    }
  }

  #tell(error: unknown): void {
    const { group, report } = this.#options;
    const why = error instanceof Error ? error.message : String(error);
    report({
      level: 'debug',
      event: 'offset-not-committed',
      message: `the offset for dashboards could not be committed in the group ${group}, which disturbs nothing else: ${why}`,
      details: { group },
    });
  }
}
