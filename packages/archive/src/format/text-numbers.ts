import { releaseMemory } from './memory.ts';
import { NumberTable } from './path-numbers.ts';

/** Texts that stand in a buffer, each with a number from 1, in the order in which they were added. */
export class TextNumbers {
  readonly #bytes: Buffer;
  readonly #table = new NumberTable(0);
  #starts = new Uint32Array(256);
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
    const table = this.#table;
    let place = table.place(hash, length);
    for (let number = table.at(place); number !== 0; number = table.at(place)) {
      if (table.has(place, hash, length) && this.#isSame(number, start, length)) return number;
      place = table.next(place);
    }
    this.#add(start);
    table.put(place, this.#next++, hash, length);
    return 0;
  }

  /** Gives the memory back, but for the texts. Nothing may be asked afterwards. */
  release(): void {
    this.#table.release();
    releaseMemory(this.#starts);
  }

  /** The number that was given last. */
  get last(): number {
    return this.#next - 1;
  }

  #isSame(number: number, start: number, length: number): boolean {
    const bytes = this.#bytes;
    const other = this.#starts[number]!;
    for (let at = length - 1; at >= 0; at--) if (bytes[other + at] !== bytes[start + at]) return false;
    return true;
  }

  #add(start: number): void {
    if (this.#next === this.#starts.length) {
      const starts = new Uint32Array(this.#next * 2);
      starts.set(this.#starts);
      releaseMemory(this.#starts);
      this.#starts = starts;
    }
    this.#starts[this.#next] = start;
  }
}
