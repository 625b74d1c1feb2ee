import { releaseMemory } from './memory.ts';
import { larger, mixed, NumberTable } from './path-numbers.ts';

/** Texts that stand in a buffer, each with a number from 1, in the order in which they were added. */
export class TextNumbers {
  readonly #bytes: Buffer;
  readonly #table = new NumberTable(0, number => this.#hashes[number]!);
  #starts = new Int32Array(256);
  #lengths = new Int32Array(256);
  #hashes = new Int32Array(256);
  #next = 1;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** The number of a text; 0 if it was not there: it has the next number then. */
  find(start: number, end: number): number {
    const bytes = this.#bytes;
    const length = end - start;
    let hash = length;
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x0100_0193);
    hash = mixed(hash);
    const table = this.#table;
    let place = table.place(hash);
    for (; !table.isEmpty(place); place = table.next(place)) {
      const number = table.at(place, hash);
      if (number !== 0 && this.#hashes[number] === hash && this.#isSame(number, start, length)) return number;
    }
    this.#add(start, length, hash);
    table.put(place, hash, this.#next++);
    return 0;
  }

  /** Gives the memory back, but for the texts. Nothing may be asked afterwards. */
  release(): void {
    this.#table.release();
    for (const numbers of [this.#starts, this.#lengths, this.#hashes]) releaseMemory(numbers);
  }

  /** The number that was given last. */
  get last(): number {
    return this.#next - 1;
  }

  #isSame(number: number, start: number, length: number): boolean {
    if (this.#lengths[number] !== length) return false;
    const bytes = this.#bytes;
    const other = this.#starts[number]!;
    for (let at = length - 1; at >= 0; at--) if (bytes[other + at] !== bytes[start + at]) return false;
    return true;
  }

  #add(start: number, length: number, hash: number): void {
    const number = this.#next;
    if (number === this.#starts.length) {
      this.#starts = larger(this.#starts, number);
      this.#lengths = larger(this.#lengths, number);
      this.#hashes = larger(this.#hashes, number);
    }
    this.#starts[number] = start;
    this.#lengths[number] = length;
    this.#hashes[number] = hash;
  }
}
