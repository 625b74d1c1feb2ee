import type { Reporter } from '@evertree/core';
import type { PartitionReader } from '../broker.ts';
import { RecordSource } from './record-source.ts';
import { TopicIntake } from './topic-intake.ts';
import type { PlacedFrame } from './topic-intake.ts';

export interface FrameSourceOptions {
  readonly reader: Pick<PartitionReader, 'fetch'>;
  readonly topic: string;
  readonly report: Reporter;
  /** Whose frames are wanted; null: anybody's. */
  readonly stream: () => string | null;
  readonly read: (bytes: number) => void;
}

/** The frames of a topic from any offset on. */
export class FrameSource {
  readonly #options: FrameSourceOptions;
  readonly #records: RecordSource;
  readonly #intake: TopicIntake;
  /** Looked at, and to be taken first. */
  #found: PlacedFrame | undefined;

  constructor(options: FrameSourceOptions) {
    this.#options = options;
    this.#records = new RecordSource(options.reader);
    this.#intake = new TopicIntake(options.topic, options.report);
  }

  /** Where the next fetch begins. */
  get next(): bigint {
    return this.#records.next;
  }

  seek(offset: bigint): void {
    this.#found = undefined;
    this.#records.seek(offset);
    this.#intake.reset();
  }

  /** The next frame of what has been fetched. */
  take(): PlacedFrame | undefined {
    const found = this.#found;
    this.#found = undefined;
    if (found !== undefined) return found;
    for (let record = this.#records.take(); record !== undefined; record = this.#records.take()) {
      this.#options.read(record.value?.length ?? 0);
      const placed = this.#intake.take(record, this.#options.stream());
      if (placed !== undefined) return placed;
    }
    return undefined;
  }

  /** @returns the partition's end; see RecordSource */
  fill(): Promise<bigint> {
    return this.#records.fill();
  }

  /** The first frame at or after an offset and before `high`; `take` gives it once more. */
  async look(offset: bigint, high: bigint, isOver: () => boolean): Promise<PlacedFrame | undefined> {
    this.seek(offset);
    while (!isOver()) {
      this.#found = this.take();
      if (this.#found !== undefined) return this.#found;
      const from = this.next;
      if (from >= high) return undefined;
      await this.#records.fill(false);
      // Nothing more can be read, although there is more: what an open transaction has written.
      if (this.next === from) return undefined;
    }
    return undefined;
  }

  settle(): Promise<void> {
    return this.#records.settle();
  }
}
