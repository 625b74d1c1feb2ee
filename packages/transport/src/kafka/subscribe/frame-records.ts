import { formatPosition, isEvertreeError, parseFrame } from '@evertree/core';
import type { Frame, Reporter } from '@evertree/core';
import { decodeClaim, isClaim, reignOf } from '../claims/claim.ts';
import type { TopicClaims } from '../claims/topic-claims.ts';
import type { NewestTable } from '../newest-table.ts';
import { ValueParts } from '../parts.ts';
import type { Whole } from '../parts.ts';
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
 * over. A frame counts or not by its last record: there it is whole.
 */
export class FrameRecords {
  readonly #passed: PassedOver;
  readonly #table: NewestTable;
  readonly #claims: TopicClaims;
  readonly #assembly = new ValueParts((offset, why) => this.#passed.add(offset, why));

  constructor(topic: string, report: Reporter, table: NewestTable, claims: TopicClaims) {
    this.#table = table;
    this.#claims = claims;
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
    if (isClaim(record)) return this.#takeClaim(record, stream);
    const whole = this.#assembly.take({ ...record, value });
    return whole && this.#parse(whole, record, stream);
  }

  /** Takes from a record only what it says of who leads. */
  glance(record: ReceivedRecord, stream: string | null): void {
    if (isClaim(record)) return this.#takeClaim(record, stream);
    const reign = reignOf(record);
    if (reign !== undefined) this.#claims.takeClaim(BigInt(record.offset), reign);
  }

  #takeClaim(record: ReceivedRecord, stream: string | null): undefined {
    try {
      const { stream: found, epoch, site } = decodeClaim(record);
      if (stream !== null && found !== stream)
        return this.#pass(record.offset, `it is a claim in the stream ${found}, and not in ${stream}`);
      if (this.#claims.takeClaim(BigInt(record.offset), epoch) !== 'void') return undefined;
      return this.#pass(record.offset, `${site} claims epoch ${epoch.number} (${epoch.id}), which is not above what came before it`);
    } catch (error) {
      if (!isEvertreeError(error)) throw error;
      return this.#pass(record.offset, error.message);
    }
  }

  #parse({ value, offset }: Whole, record: ReceivedRecord, stream: string | null): PlacedFrame | undefined {
    let frame: Frame;
    try {
      frame = parseFrame(value);
    } catch (error) {
      if (!isEvertreeError(error)) throw error;
      return this.#pass(offset, error.message);
    }
    const found = frame.header.stream;
    if (stream !== null && found !== stream) return this.#pass(offset, `it belongs to the stream ${found}, and not to ${stream}`);
    const { last } = frame.header;
    if (this.#claims.takeFrame(BigInt(record.offset), frame.header, reignOf(record)) === 'superseded') {
      return this.#pass(offset, `it ends at ${formatPosition(last)}, and was written under an epoch that another had ended in the topic`);
    }
    this.#table.read(frame.header);
    if (this.#table.isSuperseded(last)) return this.#pass(offset, `it ends at ${formatPosition(last)}, which a promotion left behind`);
    this.#passed.end();
    return { type: 'frame', frame, offset, end: record.offset };
  }

  #pass(offset: string, why: string): undefined {
    this.#passed.add(offset, why);
  }
}
