import { isEvertreeError, parseFrame } from '@evertree/core';
import type { Frame, Reporter } from '@evertree/core';
import { unreadableVersion } from '../records.ts';
import type { ReceivedRecord } from '../records.ts';
import { Assembly } from '../parts.ts';
import type { PartitionReader } from '../broker.ts';
import { PassedOver } from '../passed-over.ts';
import { RecordSource } from './record-source.ts';

/** A frame, and the offsets of its first and its last record. */
export interface PlacedFrame {
  readonly type: 'frame';
  readonly frame: Frame;
  readonly offset: string;
  readonly end: string;
}

/** The frames of one stream in a topic, from any offset on. Records that are none of them are reported and passed over. */
export class FrameSource {
  readonly #records: RecordSource;
  readonly #passed: PassedOver;
  readonly #assembly = new Assembly((offset, why) => this.#passed.add(offset, why));
  /** Looked at, and to be taken first. */
  #found: PlacedFrame | undefined;
  #receivedBytes = 0;

  /** @param reader connected; nobody else uses it */
  constructor(reader: Pick<PartitionReader, 'fetch'>, topic: string, report: Reporter) {
    this.#records = new RecordSource(reader);
    this.#passed = new PassedOver(topic, report);
  }

  /** Where the next fetch begins. */
  get next(): bigint {
    return this.#records.next;
  }

  /** Values taken so far. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  seek(offset: bigint): void {
    this.#found = undefined;
    this.#records.seek(offset);
    this.#assembly.reset();
  }

  /**
   * The next frame of what has been fetched.
   * @param stream whose frames are wanted; null: anybody's
   */
  take(stream: string | null): PlacedFrame | undefined {
    const found = this.#found;
    this.#found = undefined;
    if (found !== undefined) return found;
    for (let record = this.#records.take(); record !== undefined; record = this.#records.take()) {
      this.#receivedBytes += record.value?.length ?? 0;
      const placed = this.#read(record, stream);
      if (placed !== undefined) return placed;
    }
    return undefined;
  }

  /** @returns the partition's end; see RecordSource */
  fill(): Promise<bigint> {
    return this.#records.fill();
  }

  /** The first frame at or after an offset and before `end`; `take` gives it once more. */
  async look(offset: bigint, end: bigint, stream: string | null): Promise<PlacedFrame | undefined> {
    this.seek(offset);
    for (;;) {
      this.#found = this.take(stream);
      if (this.#found !== undefined) return this.#found;
      const from = this.next;
      if (from >= end) return undefined;
      await this.#records.fill(false);
      // Nothing more can be read, although there is more: what an open transaction has written.
      if (this.next === from) return undefined;
    }
  }

  settle(): Promise<void> {
    return this.#records.settle();
  }

  #read(record: ReceivedRecord, stream: string | null): PlacedFrame | undefined {
    const { value } = record;
    const version = unreadableVersion(record);
    if (value === null) return this.#pass(record.offset, 'it has no value');
    if (version !== undefined) {
      return this.#pass(record.offset, `it speaks version ${version} of the protocol`);
    }
    const whole = this.#assembly.take({ ...record, value });
    return whole && this.#parse(whole.value, whole.offset, record.offset, stream);
  }

  #parse(value: Buffer, offset: string, end: string, stream: string | null): PlacedFrame | undefined {
    let frame: Frame;
    try {
      frame = parseFrame(value);
    } catch (error) {
      if (!isEvertreeError(error)) throw error;
      return this.#pass(offset, error.message);
    }
    const found = frame.header.stream;
    if (stream !== null && found !== stream) return this.#pass(offset, `it belongs to the stream ${found}, and not to ${stream}`);
    this.#passed.end();
    return { type: 'frame', frame, offset, end };
  }

  #pass(offset: string, why: string): undefined {
    this.#passed.add(offset, why);
  }
}
