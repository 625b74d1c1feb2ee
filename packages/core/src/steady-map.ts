import { hashKey, lanes } from './tree/digest.ts';

/** The entries that one Map holds: to copy them takes V8 a millisecond. */
const FIRST_ENTRIES = 16_384;
/** A power of two. */
const PARTS = 256;

/**
 * A map of texts that grows without a long step. V8's own copies all of its entries whenever it makes room for twice as
 * many: 20 to 180 ms for 400,000. Here one Map holds the first entries, and as a rule all; those beyond are divided among
 * others by their keys' hashes. An item is never undefined.
 */
export class SteadyMap<Item> {
  readonly #first = new Map<string, Item>();
  #parts: readonly Map<string, Item>[] | undefined;

  get(key: string): Item | undefined {
    const item = this.#first.get(key);
    return item !== undefined || this.#parts === undefined ? item : partOf(this.#parts, key).get(key);
  }

  set(key: string, item: Item): void {
    if (this.#parts === undefined && this.#first.size === FIRST_ENTRIES) {
      this.#parts = Array.from({ length: PARTS }, () => new Map<string, Item>());
    }
    if (this.#parts === undefined || this.#first.has(key)) this.#first.set(key, item);
    else partOf(this.#parts, key).set(key, item);
  }

  /** The first ones in the order in which their keys came; so those of each part behind them. */
  *[Symbol.iterator](): Generator<readonly [string, Item], void, undefined> {
    yield* this.#first;
    for (const part of this.#parts ?? []) yield* part;
  }
}

function partOf<Item>(parts: readonly Map<string, Item>[], key: string): Map<string, Item> {
  hashKey(key);
  return parts[lanes.lo & (PARTS - 1)]!;
}
