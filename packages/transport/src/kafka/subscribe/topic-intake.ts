import { isEvertreeError, parseFrame } from '@evertree/core';
import type { Frame, Reporter } from '@evertree/core';
import { headerOf, PROTOCOL_HEADER } from '../records.ts';
import type { ReceivedRecord } from '../records.ts';
import { Assembly } from '../parts.ts';
import { PassedOver } from '../passed-over.ts';

/** A frame, and the offsets of its first and its last record. */
export interface PlacedFrame {
  readonly frame: Frame;
  readonly offset: string;
  readonly end: string;
}

/** Makes frames of the topic's records, and passes over what is none of this stream's. */
export class TopicIntake {
  readonly #passed: PassedOver;
  readonly #assembly = new Assembly((offset, why) => this.#passed.add(offset, why));

  constructor(topic: string, report: Reporter) {
    this.#passed = new PassedOver(topic, report);
  }

  /**
   * Takes the next record; returns the frame that it completes.
   * @param stream whose frames are wanted; null: anybody's, as long as nobody knows better
   */
  take(record: ReceivedRecord, stream: string | null): PlacedFrame | undefined {
    const { value } = record;
    const version = headerOf(record, 'evertree');
    if (value === null) return this.#pass(record.offset, 'it has no value');
    if (version !== undefined && version !== PROTOCOL_HEADER['evertree']) {
      return this.#pass(record.offset, `it speaks version ${version} of the protocol`);
    }
    const whole = this.#assembly.take({ ...record, value });
    return whole && this.#read(whole.value, { offset: whole.offset, end: record.offset }, stream);
  }

  /** What comes next does not follow what came. */
  reset(): void {
    this.#assembly.reset();
  }

  #read(value: Buffer, place: { offset: string; end: string }, stream: string | null): PlacedFrame | undefined {
    let frame: Frame;
    try {
      frame = parseFrame(value);
    } catch (error) {
      if (!isEvertreeError(error)) throw error;
      return this.#pass(place.offset, error.message);
    }
    const found = frame.header.stream;
    if (stream !== null && found !== stream) return this.#pass(place.offset, `it belongs to the stream ${found}, and not to ${stream}`);
    this.#passed.end();
    return { frame, ...place };
  }

  #pass(offset: string, why: string): undefined {
    this.#passed.add(offset, why);
  }
}
