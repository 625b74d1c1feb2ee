import { isSpelled } from '../tree/spelled-key.ts';

/** Texts of more bytes than this are not kept: most of them never come again. */
const LONGEST_BYTES = 24;
/** How many texts are kept, a power of two. */
const PLACES = 4_096;

/**
 * Short texts that were read lately, by their bytes. Many leaves of a tree hold the same few words, and leaves with equal
 * texts then share one string: finding it costs a fifth of making it, and saves its 24 to 40 bytes of heap.
 */
class TextCache {
  readonly #texts = Array.from<string | undefined>({ length: PLACES });

  /** The text that `bytes` spell from `start` to `end`. */
  read(bytes: Buffer, start: number, end: number): string {
    if (end - start > LONGEST_BYTES) return bytes.toString('utf8', start, end);
    let place = end - start;
    for (let at = start; at < end; at++) place = Math.imul(place ^ bytes[at]!, 0x0100_0193);
    place = (place ^ (place >>> 15)) & (PLACES - 1);
    const known = this.#texts[place];
    if (known !== undefined && isSpelled(known, bytes, start, end)) return known;
    return (this.#texts[place] = bytes.toString('utf8', start, end));
  }
}

export const textCache = new TextCache();
