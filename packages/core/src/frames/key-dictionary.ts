/** Keys whose numbers are remembered; a power of two. */
const PLACES = 8_192;

/**
 * The numbers that a frame's dictionary gave to keys, by the low lane of their hash. Not a map: each frame begins with an empty
 * dictionary, and a map of its keys would be filled anew each time. Two keys of one place push each other out; the one that comes back is spelled
 * again under a new number, which costs its bytes.
 */
export class KeyDictionary {
  readonly #keys = Array.from<string>({ length: PLACES }).fill('');
  readonly #frames = new Uint32Array(PLACES);
  readonly #numbers = new Uint32Array(PLACES);
  #frame = 1;
  #size = 0;

  /** The number of a key in this frame's dictionary; 0 if it is not there. It is, as the next number, from now on. */
  number(key: string, keyLo: number): number {
    const place = keyLo & (PLACES - 1);
    if (this.#frames[place] === this.#frame && this.#keys[place] === key) return this.#numbers[place]!;
    this.#frames[place] = this.#frame;
    this.#keys[place] = key;
    this.#numbers[place] = ++this.#size;
    return 0;
  }

  /** Begins an empty dictionary. */
  clear(): void {
    this.#size = 0;
    if (++this.#frame < 0x1_0000_0000) return;
    this.#frame = 1;
    this.#frames.fill(0);
  }
}
