import { RequestError } from './problem.ts';

/** Bounds how many requests of a kind are under way at one time. */
export class Slots {
  readonly #limit: number;
  readonly #name: string;
  #count = 0;

  /** @param name of what is counted, in the plural */
  constructor(limit: number, name: string) {
    this.#limit = limit;
    this.#name = name;
  }

  get count(): number {
    return this.#count;
  }

  /** Counts `work` while it is under way. @throws RequestError OVERLOADED with Retry-After; what `work` throws */
  async during(work: () => Promise<void>): Promise<void> {
    if (this.#count >= this.#limit) {
      throw new RequestError('OVERLOADED', `${this.#count} ${this.#name} are open, the limit`, {}, { 'Retry-After': '5' });
    }
    this.#count++;
    try {
      await work();
    } finally {
      this.#count--;
    }
  }
}
