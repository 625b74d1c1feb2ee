/** Slots; a power of two. */
const PLACES = 8_192;

/** Copied for each dictionary, which takes far less time than to make one. */
const NO_KEYS = Array.from<string>({ length: PLACES }).fill('');

/**
 * The numbers of keys in a frame's dictionary, in slots by the low lane of their hash. It is no Map, because each frame
 * begins with an empty dictionary, and clearing this one costs nothing. A key replaces another in its slot; if the
 * other one comes again it is spelled again, under a new number, which costs its bytes.
 */
export class KeyDictionary {
  readonly #keys = NO_KEYS.slice();
  readonly #frames = new Uint32Array(PLACES);
  readonly #numbers = new Uint32Array(PLACES);
  #frame = 1;
  /** Keys that have a number. */
  size = 0;

  /** The number of a key in this frame's dictionary; 0 if it is not there yet: it is given the next number then. */
  number(key: string, keyLo: number): number {
    const place = keyLo & (PLACES - 1);
    if (this.#frames[place] === this.#frame && this.#keys[place] === key) return this.#numbers[place]!;
    this.#frames[place] = this.#frame;
    this.#keys[place] = key;
    this.#numbers[place] = ++this.size;
    return 0;
  }

  /** Begins an empty dictionary. */
  clear(): void {
    this.size = 0;
    if (++this.#frame < 0x1_0000_0000) return;
    this.#frame = 1;
    this.#frames.fill(0);
  }
}
