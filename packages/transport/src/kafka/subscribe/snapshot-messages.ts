import { EvertreeError, isEvertreeError } from '@evertree/core';
import type { Message, Reason, Reporter, SnapshotHeader } from '@evertree/core';
import { z } from 'zod';
import { parseJson, snapshotBeginSchema } from '../../wire/schemas.ts';
import type { SnapshotRecord } from '../control.ts';
import { headerOf } from '../records.ts';
import type { ReceivedRecord } from '../records.ts';
import { ValueParts } from '../parts.ts';
import { PassedOver } from '../passed-over.ts';

const endSchema = z.object({ chunks: z.int().min(0) });

export interface WantedSnapshot {
  readonly announced: SnapshotRecord;
  /** Why this site takes it. */
  readonly reason: Reason;
}

/** Makes the messages of one announced snapshot out of the records of `<topic>.snapshot`. It skips those of others. */
export class SnapshotMessages {
  readonly #wanted: WantedSnapshot;
  readonly #passed: PassedOver;
  readonly #assembly = new ValueParts((offset, why) => this.#passed.add(offset, why));
  #chunks = 0;
  /** The first record came. */
  #isComing = false;
  /** Its beginning was handed out. */
  #begun = false;

  constructor(wanted: WantedSnapshot, topic: string, report: Reporter) {
    this.#wanted = wanted;
    this.#passed = new PassedOver(topic, report);
  }

  /**
   * Takes the next record; returns the message that it completes.
   * @throws EvertreeError DAMAGED when this snapshot can't become whole any more
   */
  take(record: ReceivedRecord): Message | undefined {
    const { announced } = this.#wanted;
    if (record.key?.toString() !== announced.id) {
      if (BigInt(record.offset) > BigInt(announced.end)) throw this.#damaged('its end is missing');
      return undefined;
    }
    const type = headerOf(record, 'type');
    if (!this.#isComing && record.offset !== announced.begin) throw this.#damaged('its beginning is missing');
    this.#isComing = true;
    const { value } = record;
    if (value !== null && type === 'begin' && !this.#begun) return this.#begin({ ...record, value });
    if (!this.#begun) throw this.#damaged('its beginning is missing');
    if (value !== null && type === 'chunk') return this.#chunk({ ...record, value });
    if (value !== null && type === 'end') return this.#end(value);
    this.#passed.add(record.offset, 'it is no part of a snapshot');
    return undefined;
  }

  /** The header is the announced one; its marks are told here only. */
  #begin(record: ReceivedRecord & { readonly value: Buffer }): Message | undefined {
    const whole = this.#assembly.take(record);
    if (whole === undefined) return undefined;
    this.#begun = true;
    const { announced, reason } = this.#wanted;
    return { type: 'snapshot-begin', header: { ...announced.header, marks: this.#marksOf(whole.value) }, reason };
  }

  #marksOf(begin: Buffer): SnapshotHeader['marks'] {
    try {
      return parseJson(snapshotBeginSchema, begin, 'beginning').header.marks;
    } catch (error) {
      if (isEvertreeError(error)) throw this.#damaged(error.message);
      throw error;
    }
  }

  #chunk(record: ReceivedRecord & { readonly value: Buffer }): Message | undefined {
    const whole = this.#assembly.take(record);
    if (whole === undefined) return undefined;
    this.#chunks += 1;
    return { type: 'snapshot-chunk', bytes: whole.value };
  }

  #end(value: Buffer): Message {
    const { chunks } = parseJson(endSchema, value, 'snapshot end');
    const { announced } = this.#wanted;
    if (chunks !== this.#chunks || chunks !== announced.chunks) {
      throw this.#damaged(`${this.#chunks} chunks came, its end says ${chunks}, its announcement ${announced.chunks}`);
    }
    return { type: 'snapshot-end', chunks };
  }

  #damaged(why: string): EvertreeError {
    const { id } = this.#wanted.announced;
    return new EvertreeError('DAMAGED', `the snapshot ${id} can't be read whole: ${why}`, { id });
  }
}
