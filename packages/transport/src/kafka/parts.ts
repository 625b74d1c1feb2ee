import { FRAME_LIMIT_BYTES } from '@evertree/core';
import { headerOf } from './records.ts';
import type { ReceivedRecord } from './records.ts';

/** The longest value of a record; less where the topic's `max.message.bytes` asks for it. */
export const PART_BYTES = 256 * 1024;
/** What the broker counts beside a record's value: the batch's header, key, headers. */
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
 * Puts the parts of values together. A part that does not follow drops what was begun: its frame comes again, or the positions tell.
 * Memory is held for what has come only, up to FRAME_LIMIT_BYTES.
 */
export class Assembly {
  readonly #strange: (offset: string, why: string) => void;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #next = 0;
  #shape = '';
  #offset = '';
  /** Reading began in the middle, maybe of a value: its rest is no wonder. */
  #adrift = true;

  /** @param strange told of each part that can be part of nothing */
  constructor(strange: (offset: string, why: string) => void = () => undefined) {
    this.#strange = strange;
  }

  /** Takes a record; returns a whole value with its only or its last part, and undefined while parts are missing. */
  take(record: ReceivedRecord & { readonly value: Buffer }): Whole | undefined {
    const header = headerOf(record, PART_HEADER);
    if (header === undefined) {
      this.#drop();
      this.#adrift = false;
      return { value: record.value, offset: record.offset };
    }
    const match = /^(\d{1,9})\/(\d{1,9}\/(\d{1,9}))$/.exec(header);
    const index = Number(match?.[1]);
    const total = Number(match?.[3]);
    if (match === null) return this.#refuse(record.offset, `its header «${PART_HEADER}» is ${JSON.stringify(header.slice(0, 40))}`);
    if (total > FRAME_LIMIT_BYTES)
      return this.#refuse(record.offset, `it is part of ${total} bytes, above the limit of ${FRAME_LIMIT_BYTES}`);
    if (index === 0) this.#begin(match[2] ?? '', record.offset);
    else if (index !== this.#next || match[2] !== this.#shape)
      return this.#refuse(record.offset, `it is part ${header} of what did not begin`);
    return this.#add(record, total);
  }

  /** Reading goes on elsewhere. */
  reset(): void {
    this.#drop();
    this.#adrift = true;
  }

  #refuse(offset: string, why: string): undefined {
    this.#drop();
    if (!this.#adrift) this.#strange(offset, why);
  }

  #drop(): void {
    this.#pieces = [];
    this.#bytes = 0;
    this.#next = 0;
    this.#shape = '';
  }

  #begin(shape: string, offset: string): void {
    this.#drop();
    this.#adrift = false;
    this.#shape = shape;
    this.#offset = offset;
  }

  #add({ value: piece, offset: last }: { readonly value: Buffer; readonly offset: string }, total: number): Whole | undefined {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    this.#next += 1;
    if (this.#bytes > total) return this.#refuse(last, `with it, parts of ${total} bytes have ${this.#bytes}`);
    if (this.#bytes < total) return undefined;
    const value = Buffer.concat(this.#pieces, total);
    const offset = this.#offset;
    this.#drop();
    return { value, offset };
  }
}
