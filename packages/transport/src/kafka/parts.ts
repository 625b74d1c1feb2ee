import { FRAME_LIMIT_BYTES } from '@evertree/core';
import { Assembly } from '../wire/assembly.ts';
import { headerOf } from './records.ts';
import type { ReceivedRecord } from './records.ts';

/** The longest value of a record; less where the topic's `max.message.bytes` asks for it. */
export const PART_BYTES = 256 * 1024;
/** Bytes that the broker counts beside a record's value: the batch's header, key, headers. */
export const RECORD_OVERHEAD_BYTES = 4096;
export const PART_HEADER = 'part';

/** A value's pieces, with the header that each bears; one piece without a header where it fits. */
export function* splitValue(value: Buffer, partBytes: number): Generator<{ readonly value: Buffer; readonly part: string | undefined }> {
  if (value.length <= partBytes) {
    yield { value, part: undefined };
    return;
  }
  const count = Math.ceil(value.length / partBytes);
  for (let index = 0; index < count; index++) {
    yield { value: value.subarray(index * partBytes, (index + 1) * partBytes), part: `${index}/${count}/${value.length}` };
  }
}

/** A value as it was before it was split, and where its first record stands. */
export interface Whole {
  readonly value: Buffer;
  readonly offset: string;
}

/**
 * Puts the parts of values together. A part that does not follow drops what was begun: its frame comes again, or a gap
 * in the positions shows that it is missing. Memory is held for what has come only, up to FRAME_LIMIT_BYTES.
 */
export class ValueParts {
  readonly #strange: (offset: string, why: string) => void;
  readonly #assembly = new Assembly();
  /** The index that the next part has to bear. */
  #next = 0;
  /** Count of parts and bytes, as every part of the open value bears them. */
  #shape = '';
  /** Of the first part of the open value. */
  #offset = '';
  /** Reading began in the middle of the topic, perhaps of a value: the remaining parts of such a value are expected. */
  #midway = true;

  /** @param strange told of each part that belongs to no value */
  constructor(strange: (offset: string, why: string) => void = () => undefined) {
    this.#strange = strange;
  }

  /** Takes a record; returns a whole value with its only or its last part, and undefined while parts are missing. */
  take(record: ReceivedRecord & { readonly value: Buffer }): Whole | undefined {
    const header = headerOf(record, PART_HEADER);
    if (header === undefined) {
      this.#drop();
      this.#midway = false;
      return { value: record.value, offset: record.offset };
    }
    const match = /^(\d{1,9})\/(\d{1,9}\/(\d{1,9}))$/.exec(header);
    const index = Number(match?.[1]);
    const total = Number(match?.[3]);
    if (match === null) return this.#refuse(record.offset, `its header «${PART_HEADER}» is ${JSON.stringify(header.slice(0, 40))}`);
    if (total > FRAME_LIMIT_BYTES) {
      return this.#refuse(record.offset, `it is part of ${total} bytes, above the limit of ${FRAME_LIMIT_BYTES}`);
    }
    const shape = match[2] ?? '';
    if (index !== 0 && (index !== this.#next || shape !== this.#shape)) {
      return this.#refuse(record.offset, `it is part ${header} of what did not begin`);
    }
    if (index === 0) this.#begin(shape, total, record.offset);
    return this.#add(record, total);
  }

  /** Reading continues at another offset. */
  reset(): void {
    this.#drop();
    this.#midway = true;
  }

  #refuse(offset: string, why: string): undefined {
    this.#drop();
    if (!this.#midway) this.#strange(offset, why);
  }

  #drop(): void {
    this.#assembly.drop();
    this.#next = 0;
    this.#shape = '';
  }

  #begin(shape: string, totalBytes: number, offset: string): void {
    this.#assembly.begin(totalBytes);
    this.#midway = false;
    this.#next = 0;
    this.#shape = shape;
    this.#offset = offset;
  }

  #add({ value: piece, offset: last }: { readonly value: Buffer; readonly offset: string }, total: number): Whole | undefined {
    const bytes = this.#assembly.bytes + piece.length;
    if (bytes > total) return this.#refuse(last, `with it, parts of ${total} bytes have ${bytes}`);
    this.#next += 1;
    const value = this.#assembly.add(piece);
    if (value === undefined) return undefined;
    this.#drop();
    return { value, offset: this.#offset };
  }
}
