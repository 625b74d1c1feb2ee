import { formatPosition, isEvertreeError, parseFrame } from '@evertree/core';
import type { Frame, Reporter } from '@evertree/core';
import type { NewestTable } from '../newest-table.ts';
import { ValueParts } from '../parts.ts';
import { PassedOver } from '../passed-over.ts';
import { unreadableVersion } from '../records.ts';
import type { ReceivedRecord } from '../records.ts';

/** A frame, and the offsets of its first and its last record. */
export interface PlacedFrame {
  readonly type: 'frame';
  readonly frame: Frame;
  readonly offset: string;
  readonly end: string;
}

/**
 * Makes frames of a topic's records. What is no frame of the wanted stream, or was superseded, is reported and passed
 * over.
 */
export class FrameRecords {
  readonly #passed: PassedOver;
  readonly #table: NewestTable;
  readonly #assembly = new ValueParts((offset, why) => this.#passed.add(offset, why));

  constructor(topic: string, report: Reporter, table: NewestTable) {
    this.#table = table;
    this.#passed = new PassedOver(topic, report);
  }

  /** The next record is at another offset: what was begun is dropped. */
  reset(): void {
    this.#assembly.reset();
  }

  /**
   * Takes the next record; returns the frame that it completes.
   * @param stream the stream that is wanted; null: any
   */
  take(record: ReceivedRecord, stream: string | null): PlacedFrame | undefined {
    const { value } = record;
    const version = unreadableVersion(record);
    if (value === null) return this.#pass(record.offset, 'it has no value');
    if (version !== undefined) return this.#pass(record.offset, `it speaks version ${version} of the protocol`);
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
    this.#table.read(frame.header);
    const { last } = frame.header;
    if (this.#table.isSuperseded(last)) return this.#pass(offset, `it ends at ${formatPosition(last)}, which a promotion left behind`);
    this.#passed.end();
    return { type: 'frame', frame, offset, end };
  }

  #pass(offset: string, why: string): undefined {
    this.#passed.add(offset, why);
  }
}
