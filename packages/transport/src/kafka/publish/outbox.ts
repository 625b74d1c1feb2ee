import type { KafkaLimits } from '../options.ts';
import { PART_BYTES, RECORD_OVERHEAD_BYTES } from '../parts.ts';
import type { Lane, PublishAction } from './actions.ts';
import { BesideLane } from './beside-lane.ts';
import { FrameLane } from './frame-lane.ts';
import type { Settings } from './settings.ts';

const LANES: readonly Lane[] = ['frames', 'beside'];

/** What waits for the broker, in both lanes together. Pure. */
export class Outbox {
  readonly frames: FrameLane;
  readonly beside: BesideLane;
  readonly #limits: KafkaLimits;
  /** False from `writableBytes` on, until half of that waits. */
  #isWritable = true;

  /** @param messageBytes the largest batch that the topic takes. @param sign of this link. @param next the topic's end */
  constructor(settings: Settings, messageBytes: number, sign: string, next: bigint) {
    const { topics, key, lingerMs, sendMs, requestBytes, limits } = settings;
    const mostBytes = Math.min(requestBytes, messageBytes) - RECORD_OVERHEAD_BYTES;
    const partBytes = Math.min(PART_BYTES, mostBytes);
    const batchBytes = Math.min(settings.batchBytes, mostBytes);
    this.#limits = limits;
    this.frames = new FrameLane({ topic: topics.frames, key, partBytes, batchBytes, lingerMs, sendMs }, next);
    this.beside = new BesideLane({ topics, sign, partBytes, batchBytes: mostBytes, lingerMs: 0, sendMs });
  }

  get isWritable(): boolean {
    return this.#isWritable;
  }

  get waitingBytes(): number {
    return this.frames.waitingBytes + this.beside.waitingBytes;
  }

  get dueAt(): number {
    return Math.min(this.frames.dueAt, this.beside.dueAt);
  }

  /** When the broker has taken too long for a batch. */
  get lateAt(): number {
    return Math.min(this.frames.lateAt, this.beside.lateAt);
  }

  /** More waits than before. */
  filled(): void {
    if (this.waitingBytes >= this.#limits.writableBytes) this.#isWritable = false;
  }

  /** Less waits than before. @returns whether it is writable again */
  drained(): boolean {
    if (this.#isWritable || this.waitingBytes > this.#limits.writableBytes / 2) return false;
    this.#isWritable = true;
    return true;
  }

  /** The batches that are due. */
  cut(now: number): PublishAction[] {
    return LANES.flatMap(lane => {
      const batch = this[lane].cut(now);
      return batch === undefined ? [] : { type: 'produce', lane, ...batch };
    });
  }
}
