import type { ByteColumnWriter } from './column-writer.ts';
import { releaseMemory } from './memory.ts';
import { mixed, NumberTable } from './number-table.ts';
import { larger } from './path-numbers.ts';

/** Of each text: where it stands in its column, its length, and its hash. */
const FIELDS = 4;
const LENGTH = 1;
const HASH = 2;

/** The texts of a column, each with a number from 1, in the order in which they were added. */
export class TextNumbers {
  readonly #column: ByteColumnWriter;
  readonly #table: NumberTable;
  #texts = new Int32Array(256 * FIELDS);
  #last = 0;

  constructor(column: ByteColumnWriter) {
    this.#column = column;
    this.#table = new NumberTable(0, number => this.#texts[number * FIELDS + HASH]!);
  }

  /** The number of a text; 0 if it was not there: it has the next number then, and is the next one in its column. */
  find(bytes: Buffer, start: number, end: number): number {
    const length = end - start;
    let hash = length;
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x0100_0193);
    hash = mixed(hash);
    const table = this.#table;
    let place = table.place(hash);
    for (; !table.isEmpty(place); place = table.next(place)) {
      const number = table.at(place, hash);
      if (number !== 0 && this.#isSame(number, hash, bytes, start, length)) return number;
    }
    const number = ++this.#last;
    this.#add(number, length, hash);
    table.put(place, hash, number);
    return 0;
  }

  /** The number that was given last. */
  get last(): number {
    return this.#last;
  }

  /** Gives the memory back, but for the texts. Nothing may be asked afterwards. */
  release(): void {
    this.#table.release();
    releaseMemory(this.#texts);
  }

  #isSame(number: number, hash: number, bytes: Buffer, start: number, length: number): boolean {
    const texts = this.#texts;
    const at = number * FIELDS;
    if (texts[at + HASH] !== hash || texts[at + LENGTH] !== length) return false;
    const column = this.#column.bytes;
    const other = texts[at]!;
    for (let index = length - 1; index >= 0; index--) if (column[other + index] !== bytes[start + index]) return false;
    return true;
  }

  #add(number: number, length: number, hash: number): void {
    const at = number * FIELDS;
    if (at >= this.#texts.length) this.#texts = larger(this.#texts, at + FIELDS);
    this.#texts[at] = this.#column.length;
    this.#texts[at + LENGTH] = length;
    this.#texts[at + HASH] = hash;
  }
}
