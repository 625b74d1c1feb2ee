import { hashKey } from './digest.ts';

/** Keys of more bytes than this are not kept. */
const LONGEST_BYTES = 40;
/** Keys kept at the most; a power of two. With the longest ones that is 8 MiB, most of it shared with the tree's own keys. */
const PLACES = 131_072;

/**
 * Keys that frames brought lately, by their bytes. Each frame spells its keys out anew, and making a string that V8 compares by pointer
 * costs ten times what finding it here does: measured, a third of applying a frame whose keys are many.
 */
class KeyCache {
  readonly #keys = Array.from<string | undefined>({ length: PLACES });

  /** The key that stands in `bytes` from `start` to `end`; its hash is left in `lanes`. */
  read(bytes: Buffer, start: number, end: number): string {
    if (end - start > LONGEST_BYTES) return hashed(bytes.toString('utf8', start, end));
    let place = end - start;
    for (let at = start; at < end; at++) place = Math.imul(place ^ bytes[at]!, 0x0100_0193);
    place = (place ^ (place >>> 15)) & (PLACES - 1);
    const known = this.#keys[place];
    if (known !== undefined && isSpelled(known, bytes, start, end)) return hashed(known);
    const key = internalize(bytes.toString('utf8', start, end));
    this.#keys[place] = key;
    return hashed(key);
  }
}

export const keyCache = new KeyCache();

/** Whether bytes spell an ASCII key; one with other characters is never found and made anew each time. */
function isSpelled(key: string, bytes: Buffer, start: number, end: number): boolean {
  if (key.length !== end - start) return false;
  for (let index = 0; index < key.length; index++) if (key.charCodeAt(index) !== bytes[start + index]) return false;
  return true;
}

function hashed(key: string): string {
  hashKey(key);
  return key;
}

/** V8's own copy of a text: comparing it with a key of the tree compares pointers. */
function internalize(text: string): string {
  for (const key in { [text]: 0 }) return key;
  return text;
}
