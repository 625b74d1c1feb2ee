import { EvertreeError } from '@evertree/core';
import type { Message, Reporter } from '@evertree/core';
import { z } from 'zod';
import { parseJson } from '../../wire/schemas.ts';
import type { SnapshotRecord } from '../control.ts';
import { headerOf } from '../records.ts';
import type { ReceivedRecord } from '../records.ts';
import { ValueParts } from '../parts.ts';
import { PassedOver } from '../passed-over.ts';

const endSchema = z.object({ chunks: z.int().min(0) });

/** Makes the messages of one announced snapshot out of the records of `<topic>.snapshot`. It skips those of others. */
export class SnapshotMessages {
  readonly announced: SnapshotRecord;
  readonly #passed: PassedOver;
  readonly #assembly = new ValueParts((offset, why) => this.#passed.add(offset, why));
  #chunks = 0;
  #begun = false;

  constructor(announced: SnapshotRecord, topic: string, report: Reporter) {
    this.announced = announced;
    this.#passed = new PassedOver(topic, report);
  }

  /**
   * Takes the next record; returns the message that it completes. The first record completes none: the announcement
   * says what snapshot-begin would.
   * @throws EvertreeError DAMAGED when this snapshot can't become whole any more
   */
  take(record: ReceivedRecord): Message | undefined {
    const { announced } = this;
    if (record.key?.toString() !== announced.id) {
      if (BigInt(record.offset) > BigInt(announced.end)) throw this.#damaged('its end is missing');
      return undefined;
    }
    const type = headerOf(record, 'type');
    if (record.offset === announced.begin && type === 'begin') {
      this.#begun = true;
      return undefined;
    }
    if (!this.#begun) throw this.#damaged('its beginning is missing');
    const { value } = record;
    if (value !== null && type === 'chunk') return this.#chunk({ ...record, value });
    if (value !== null && type === 'end') return this.#end(value);
    this.#passed.add(record.offset, 'it is no part of a snapshot');
    return undefined;
  }

  #chunk(record: ReceivedRecord & { readonly value: Buffer }): Message | undefined {
    const whole = this.#assembly.take(record);
    if (whole === undefined) return undefined;
    this.#chunks += 1;
    return { type: 'snapshot-chunk', bytes: whole.value };
  }

  #end(value: Buffer): Message {
    const { chunks } = parseJson(endSchema, value, 'snapshot end');
    const { announced } = this;
    if (chunks !== this.#chunks || chunks !== announced.chunks) {
      throw this.#damaged(`${this.#chunks} chunks came, its end says ${chunks}, its announcement ${announced.chunks}`);
    }
    return { type: 'snapshot-end', chunks };
  }

  #damaged(why: string): EvertreeError {
    return new EvertreeError('DAMAGED', `the snapshot ${this.announced.id} can't be read whole: ${why}`, { id: this.announced.id });
  }
}
