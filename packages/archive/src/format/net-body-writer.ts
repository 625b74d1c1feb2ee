import { HAS_BELOW, HAS_VALUE, NET_DEPTH_LIMIT, NET_KEY_SHIFT } from '@evertree/core';
import { DOUBLE, NEGATIVE, TEXT, WHOLE } from './body-tags.ts';
import type { ByteColumnReader } from './column-reader.ts';
import { writeVarint } from './column-writer.ts';
import { releaseMemory } from './memory.ts';
import type { PathNumbers } from './path-numbers.ts';

/** What is expected of a path: the number of its key, and a number or an end. */
const BYTES_A_PATH = 6;
/** The most that is written between two looks at the room that is left, besides texts: some varints. */
const STEP_BYTES = 32;

/** So many paths are fetched at once. */
const FETCHED_AHEAD = 16;

/** Writes what changed at the paths of an object's frames altogether, as NetChanges have it. */
export class NetBodyWriter {
  readonly #paths: PathNumbers;
  readonly #keys: ByteColumnReader;
  readonly #frames: Buffer;
  #bytes: Buffer<ArrayBuffer>;
  #at = 0;
  #keyCount = 0;
  /** What is read only to be fetched is written here, so that it is read at all. */
  readonly #fetched = new Uint32Array(FETCHED_AHEAD);

  constructor(paths: PathNumbers, keys: ByteColumnReader, frames: Buffer) {
    this.#paths = paths;
    this.#keys = keys;
    this.#frames = frames;
    this.#bytes = Buffer.allocUnsafeSlow(paths.count * BYTES_A_PATH + keys.length + STEP_BYTES);
  }

  /** @returns undefined if a path is too deep */
  write(): Buffer | undefined {
    const order = this.#paths.ordered();
    // Keys that were spelled in a frame are spelled anew.
    this.#paths.beginFrame();
    const body = this.#writeAll(order) ? Buffer.from(this.#bytes.subarray(0, this.#at)) : undefined;
    releaseMemory(order);
    releaseMemory(this.#bytes);
    return body;
  }

  /** @returns false if a path is too deep */
  #writeAll(order: Uint32Array): boolean {
    const paths = this.#paths;
    // By depth: where the paths below one end, and what was put before that is gone, as an object above was replaced then.
    const ends = [order.length];
    const afters = [0];
    let level = 0;
    for (let at = 0; ;) {
      for (; at === ends[level]; level--) {
        this.#end();
        if (level === 0) return true;
      }
      if (at % FETCHED_AHEAD === 0) this.#fetch(order, at + FETCHED_AHEAD);
      const path = order[at]!;
      const put = paths.put(path);
      const after = afters[level]!;
      const since = put > after ? put : after;
      const leadsOn = paths.lastBelow(path) > since;
      const size = paths.size(path);
      if (put > after || leadsOn) this.#key(paths.key(path), (put > after ? HAS_VALUE : 0) | (leadsOn ? HAS_BELOW : 0));
      if (put > after) this.#value(put - 1);
      if (!leadsOn) at += size;
      else if (++level >= NET_DEPTH_LIMIT) return false;
      else {
        ends[level] = at + size;
        afters[level] = since;
        at++;
      }
    }
  }

  /** Reads of some paths at once what is needed soon. One after the other, the processor would wait for each. */
  #fetch(order: Uint32Array, start: number): void {
    const end = Math.min(start + FETCHED_AHEAD, order.length);
    const fetched = this.#fetched;
    for (let at = start; at < end; at++) fetched[at - start] = this.#paths.put(order[at]!);
    for (let at = start; at < end; at++) fetched[at - start] = this.#frames[fetched[at - start]!]!;
  }

  #end(): void {
    this.#room(STEP_BYTES);
    this.#bytes[this.#at++] = 0;
  }

  #key(key: number, flags: number): void {
    this.#room(STEP_BYTES);
    const number = this.#paths.keyNumber(key);
    this.#varint((number << NET_KEY_SHIFT) | flags);
    if (number !== 0) return;
    const [start, length] = [this.#paths.keyStart(key), this.#paths.keyLength(key)];
    this.#varint(length);
    this.#copy(this.#keys.bytes, start, length);
    this.#paths.setKeyNumber(key, ++this.#keyCount);
  }

  /** @param at where it stands in the frames */
  #value(at: number): void {
    const frames = this.#frames;
    const tag = frames[at]!;
    let end = at + 1;
    if (tag === DOUBLE) end += 8;
    else if (tag === WHOLE || tag === NEGATIVE || tag === TEXT) {
      let length = 0;
      for (let weight = 1, byte = 128; byte > 127; weight *= 128) length += ((byte = frames[end++]!) & 127) * weight;
      if (tag === TEXT) end += length;
    }
    this.#copy(frames, at, end - at);
  }

  #copy(source: Buffer, start: number, length: number): void {
    this.#room(length + STEP_BYTES);
    if (length > 32) source.copy(this.#bytes, this.#at, start, start + length);
    else for (let at = 0; at < length; at++) this.#bytes[this.#at + at] = source[start + at]!;
    this.#at += length;
  }

  /** Only behind a look at the room. */
  #varint(value: number): void {
    if (value < 128) this.#bytes[this.#at++] = value;
    else this.#at = writeVarint(this.#bytes, this.#at, value);
  }

  /** Makes sure that bytes may be written. */
  #room(count: number): void {
    if (this.#at + count <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(this.#bytes.length * 2 + count);
    this.#bytes.copy(larger, 0, 0, this.#at);
    releaseMemory(this.#bytes);
    this.#bytes = larger;
  }
}
