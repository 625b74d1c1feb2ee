import { mixed, NumberTable } from './path-numbers.ts';

/** Texts that stand in a buffer, each with a number from 1, in the order in which they were added. */
export class TextNumbers {
  readonly #bytes: Buffer;
  readonly #table = new NumberTable();
  #starts = new Uint32Array(256);
  #lengths = new Uint32Array(256);
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
    for (let number = table.at(place); number !== 0; number = table.at(place)) {
      if (table.hasHash(place, hash) && this.#lengths[number] === length && this.#isSame(number, start)) return number;
      place = table.next(place);
    }
    this.#add(start, length);
    table.put(place, hash, this.#next++);
    return 0;
  }

  /** The number that was given last. */
  get last(): number {
    return this.#next - 1;
  }

  #isSame(number: number, start: number): boolean {
    const bytes = this.#bytes;
    const other = this.#starts[number]!;
    for (let at = this.#lengths[number]! - 1; at >= 0; at--) if (bytes[other + at] !== bytes[start + at]) return false;
    return true;
  }

  #add(start: number, length: number): void {
    if (this.#next === this.#starts.length) {
      const [starts, lengths] = [new Uint32Array(this.#next * 2), new Uint32Array(this.#next * 2)];
      starts.set(this.#starts);
      lengths.set(this.#lengths);
      this.#starts = starts;
      this.#lengths = lengths;
    }
    this.#starts[this.#next] = start;
    this.#lengths[this.#next] = length;
  }
}
