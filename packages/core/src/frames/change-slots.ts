/** What a slot stands for. */
const FREE = 0;
/** It was just taken: whoever asked for it says what it stands for. */
export const FRESH = 1;
/** An object that frames name; its value is the index of the node. */
export const NAMED = 2;
/** A child that is a number, which is its value. */
export const NUMBER = 3;
/** Any other child; its value is an index among such children. */
export const OTHER = 4;
/** A child that goes. */
export const GONE = 5;

/** 32-bit words of one slot: the slot of its parent, the number of its key, its state, its frame; then a double. */
const WORDS = 6;
const PARENT = 0;
const KEY = 1;
const STATE = 2;
const FRAME = 3;
const DOUBLES = 3;
const VALUE = 2;

const FIRST_SLOTS = 4_096;
/** The most slots: 12 MiB. */
const MOST_SLOTS = 524_288;

/**
 * A slot for each path that pending changes go to, found by the slot of the parent and the key's number. All that is
 * read to find one lies in one cache line. A slot's number stays until `grow` or `clear`.
 */
export class ChangeSlots {
  #size = FIRST_SLOTS;
  /** How many may be taken: a full table would make finding slow. */
  #room = roomOf(FIRST_SLOTS);
  #buffer = new ArrayBuffer(FIRST_SLOTS * WORDS * 4);
  #words = new Int32Array(this.#buffer);
  #doubles = new Float64Array(this.#buffer);
  /** The slots that were taken, in that order: a parent comes before its children. */
  #order = new Int32Array(FIRST_SLOTS);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** No more may be taken before `grow` or `clear`. */
  get isFull(): boolean {
    return this.#count >= this.#room;
  }

  /** Whether more than half of the slots are taken that there may ever be. */
  get isHalfFull(): boolean {
    return this.#count > MOST_SLOTS / 2;
  }

  get mayGrow(): boolean {
    return this.#size < MOST_SLOTS;
  }

  /**
   * The slot for a child, taken if there was none.
   * @param parent the slot of its parent; -1 for the root
   * @param frame what `frameOf` will say if it is taken
   */
  find(parent: number, key: number, frame: number): number {
    const words = this.#words;
    const mask = this.#size - 1;
    const hash = Math.imul(parent, 0x9e37_79b1) ^ Math.imul(key, 0x85eb_ca6b);
    for (let slot = (hash ^ (hash >>> 15)) & mask; ; slot = (slot + 1) & mask) {
      const at = slot * WORDS;
      if (words[at + STATE] === FREE) {
        words[at + PARENT] = parent;
        words[at + KEY] = key;
        words[at + STATE] = FRESH;
        words[at + FRAME] = frame;
        this.#order[this.#count++] = slot;
        return slot;
      }
      if (words[at + PARENT] === parent && words[at + KEY] === key) return slot;
    }
  }

  /** The slot that was taken as the `index`th. */
  at(index: number): number {
    return this.#order[index]!;
  }

  parent(slot: number): number {
    return this.#words[slot * WORDS + PARENT]!;
  }

  key(slot: number): number {
    return this.#words[slot * WORDS + KEY]!;
  }

  state(slot: number): number {
    return this.#words[slot * WORDS + STATE]!;
  }

  frameOf(slot: number): number {
    return this.#words[slot * WORDS + FRAME]!;
  }

  value(slot: number): number {
    return this.#doubles[slot * DOUBLES + VALUE]!;
  }

  set(slot: number, state: number, value: number): void {
    this.#words[slot * WORDS + STATE] = state;
    this.#doubles[slot * DOUBLES + VALUE] = value;
  }

  /** Doubles the slots. Their numbers change. @returns the new ones, by the old ones */
  grow(): Int32Array {
    const old = { words: this.#words, doubles: this.#doubles, order: this.#order, size: this.#size, count: this.#count };
    this.#allot(old.size * 2);
    const moved = new Int32Array(old.size);
    for (let index = 0; index < old.count; index++) {
      const from = old.order[index]!;
      const at = from * WORDS;
      const parent = old.words[at + PARENT]!;
      const slot = this.find(parent < 0 ? parent : moved[parent]!, old.words[at + KEY]!, old.words[at + FRAME]!);
      this.set(slot, old.words[at + STATE]!, old.doubles[from * DOUBLES + VALUE]!);
      moved[from] = slot;
    }
    release(old);
    return moved;
  }

  clear(): void {
    if (this.#count > this.#size / 16) this.#words.fill(0);
    else for (let index = 0; index < this.#count; index++) this.#words[this.#order[index]! * WORDS + STATE] = FREE;
    this.#count = 0;
  }

  /** Only behind `clear`: has as few slots as at first, and gives the memory of the others back. */
  shrink(): void {
    if (this.#size === FIRST_SLOTS) return;
    const old = { words: this.#words, order: this.#order };
    this.#allot(FIRST_SLOTS);
    release(old);
  }

  #allot(size: number): void {
    this.#size = size;
    this.#room = roomOf(size);
    this.#buffer = new ArrayBuffer(size * WORDS * 4);
    this.#words = new Int32Array(this.#buffer);
    this.#doubles = new Float64Array(this.#buffer);
    this.#order = new Int32Array(size);
    this.#count = 0;
  }
}

/** At once: the collector lets tens of MiB of buffers gather before it looks. */
function release({ words, order }: { readonly words: Int32Array<ArrayBuffer>; readonly order: Int32Array<ArrayBuffer> }): void {
  for (const { buffer } of [words, order]) buffer.transfer(0);
}

function roomOf(slots: number): number {
  return (slots / 4) * 3;
}
