import { isSpelled } from './spelled-key.ts';

/** The first and the largest number of places, powers of two; each takes 16 bytes. */
const FIRST_PLACES = 1_024;
const MOST_PLACES = 1_048_576;

/**
 * Inner nodes that were lately reached through one wide node, in places by their keys' hashes. A child that is found
 * here costs one access to memory, instead of one or two for each level of the trie: measured with 100,000 keys, a
 * commit and its application take a tenth less CPU each.
 *
 * Every entry is a child that the node has. So whoever removes or replaces an inner node says so here.
 */
export class RecentChildren<T extends object> {
  // A key, then its child.
  #places = emptyPlaces<T>(FIRST_PLACES);
  #mask = FIRST_PLACES - 1;
  /** How many entries replaced others since there are so many places. */
  #pushed = 0;

  get(hash: number, key: string): T | undefined {
    const place = (hash & this.#mask) << 1;
    return this.#places[place] === key ? (this.#places[place + 1] as T) : undefined;
  }

  /** The key that bytes spell, if it has a child here. @param hash of that key */
  spelledKey(hash: number, bytes: Uint8Array, start: number, end: number): string | undefined {
    const key = this.#places[(hash & this.#mask) << 1] as string | undefined;
    return key !== undefined && isSpelled(key, bytes, start, end) ? key : undefined;
  }

  /** Lists what is in the places of these hashes: a key may be another one's. */
  list(hashes: Int32Array, count: number, keys: (string | undefined)[], children: (T | undefined)[]): void {
    const places = this.#places;
    for (let at = 0; at < count; at++) {
      const place = (hashes[at]! & this.#mask) << 1;
      keys[at] = places[place] as string | undefined;
      children[at] = places[place + 1] as T | undefined;
    }
  }

  /** @param size how many children the node has: more places than that are of no use */
  set(hash: number, key: string, child: T, size: number): void {
    const place = (hash & this.#mask) << 1;
    const known = this.#places[place];
    if (known !== undefined && known !== key && ++this.#pushed > this.#mask >> 1) this.#grow(size);
    const free = (hash & this.#mask) << 1;
    this.#places[free] = key;
    this.#places[free + 1] = child;
  }

  /** The node lost this child, or has a copy of it instead. */
  forget(hash: number, child: T): void {
    const place = (hash & this.#mask) << 1;
    if (this.#places[place + 1] === child) this.#places[place] = this.#places[place + 1] = undefined;
  }

  /** Doubles the places. They are empty then. */
  #grow(size: number): void {
    this.#pushed = 0;
    const places = (this.#mask + 1) * 2;
    if (places > MOST_PLACES || places > size * 2) return;
    this.#places = emptyPlaces<T>(places);
    this.#mask = places - 1;
  }
}

function emptyPlaces<T>(places: number): (string | T | undefined)[] {
  return Array.from<string | T | undefined>({ length: places * 2 }).fill(undefined);
}
