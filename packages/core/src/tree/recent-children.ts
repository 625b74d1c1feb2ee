import { isSpelled } from './spelled-key.ts';

/** The first and the largest number of places, powers of two; each takes 24 bytes. */
const FIRST_PLACES = 1_024;
const MOST_PLACES = 524_288;

/** A key may have any of so many places behind the one of its hash. If all are taken it replaces another key. */
const WAYS = 8;

/**
 * What a place holds: the hash of a key, the key and its child. Undefined if it is free.
 * Keys are compared after their hashes only: to compare two strings that differ, V8 reads both of them.
 */
const SLOTS = 3;
const KEY = 1;
const CHILD = 2;

/**
 * Inner nodes that were lately reached through one wide node, in places by their keys' hashes. A child that is found
 * here costs one access to memory, instead of one or two for each level of the trie: measured with 100,000 keys, a
 * commit and its application take a fifth less CPU each.
 *
 * Every entry is a child that the node has. So whoever removes or replaces an inner node says so here.
 */
export class RecentChildren<T extends object> {
  /** WAYS places more than the mask names, so that the places of a key always follow one another. */
  #slots = emptySlots<T>(FIRST_PLACES);
  #mask = FIRST_PLACES - 1;
  /** How many entries replaced others since there are so many places. */
  #pushed = 0;
  /** What `fetchRecent` read: it is kept so that V8 does not leave the reading out. */
  read = 0;

  get(hash: number, key: string): T | undefined {
    const slots = this.#slots;
    const first = (hash & this.#mask) * SLOTS;
    for (let slot = first; slot < first + WAYS * SLOTS; slot += SLOTS) {
      if (slots[slot] === hash && slots[slot + KEY] === key) return slots[slot + CHILD] as T;
    }
    return undefined;
  }

  /** The key that bytes spell, if it has a child here. @param hash of that key */
  spelledKey(hash: number, bytes: Uint8Array, start: number, end: number): string | undefined {
    const slots = this.#slots;
    const first = (hash & this.#mask) * SLOTS;
    for (let slot = first; slot < first + WAYS * SLOTS; slot += SLOTS) {
      if (slots[slot] !== hash) continue;
      const key = slots[slot + KEY] as string;
      if (isSpelled(key, bytes, start, end)) return key;
    }
    return undefined;
  }

  /** Lists what is remembered under these hashes: a key may be another one with the same hash. */
  list(hashes: Int32Array, count: number, keys: (string | undefined)[], children: (T | undefined)[]): void {
    const slots = this.#slots;
    for (let at = 0; at < count; at++) {
      const hash = hashes[at]!;
      const first = (hash & this.#mask) * SLOTS;
      let slot = first;
      while (slots[slot] !== hash && slot < first + WAYS * SLOTS) slot += SLOTS;
      const isKnown = slot < first + WAYS * SLOTS;
      keys[at] = isKnown ? (slots[slot + KEY] as string) : undefined;
      children[at] = isKnown ? (slots[slot + CHILD] as T) : undefined;
    }
  }

  /** @param size how many children the node has: more places than twice that are of no use */
  set(hash: number, key: string, child: T, size: number): void {
    const slot = this.#slotFor(hash, key, size);
    this.#slots[slot] = hash;
    this.#slots[slot + KEY] = key;
    this.#slots[slot + CHILD] = child;
  }

  /** The node lost this child, or has a copy of it instead. */
  forget(hash: number, child: T): void {
    const first = (hash & this.#mask) * SLOTS;
    for (let slot = first; slot < first + WAYS * SLOTS; slot += SLOTS) {
      if (this.#slots[slot] === hash && this.#slots[slot + CHILD] === child) this.#slots.fill(undefined, slot, slot + SLOTS);
    }
  }

  #slotFor(hash: number, key: string, size: number): number {
    const slots = this.#slots;
    const first = (hash & this.#mask) * SLOTS;
    let free = -1;
    for (let slot = first; slot < first + WAYS * SLOTS; slot += SLOTS) {
      const known = slots[slot];
      if (known === hash && slots[slot + KEY] === key) return slot;
      if (known === undefined && free < 0) free = slot;
    }
    if (free >= 0) return free;
    if (++this.#pushed > this.#mask >> 4 && this.#grow(size)) return (hash & this.#mask) * SLOTS;
    return first + (this.#pushed % WAYS) * SLOTS;
  }

  /** Doubles the places, which are free then. @returns whether it did */
  #grow(size: number): boolean {
    this.#pushed = 0;
    const places = (this.#mask + 1) * 2;
    if (places > MOST_PLACES || places > size * 2) return false;
    this.#slots = emptySlots<T>(places);
    this.#mask = places - 1;
    return true;
  }
}

type Slot<T> = number | string | T | undefined;

function emptySlots<T>(places: number): Slot<T>[] {
  const slots: Slot<T>[] = [];
  // With its length set first it is filled in a third of the time.
  slots.length = (places + WAYS) * SLOTS;
  return slots.fill(undefined);
}
