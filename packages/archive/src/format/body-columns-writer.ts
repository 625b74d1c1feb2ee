import { ARRAY, DOUBLE, NEGATIVE, NULL, OBJECT, SMALL, TEXT, TRUE, WHOLE } from './body-tags.ts';
import { NUMBERED_TEXT_BYTES, VALUE_DEPTH_LIMIT, type ColumnWriters } from './column-list.ts';
import { releaseMemory } from './memory.ts';
import { DIFFERENCE_LIMIT, NumberPrediction } from './number-prediction.ts';
import { PathNumbers } from './path-numbers.ts';
import { PathFinder } from './path-finder.ts';
import { TextNumbers } from './text-numbers.ts';

/** A body that columns can't give back: its frame is kept as it is. */
export class UnfitBody extends Error {}

/** About as many bytes of frames come with each new path. */
const BYTES_A_PATH = 24;

/** Most definitions before one operation. */
const DEFINITIONS_LIMIT = 255;

/**
 * Writes binary bodies into columns: ARCHIVE.md, «Columns», says what goes where; FORMAT.md, «Binary body», has the
 * grammar. It takes only what can be written in no other way: anything else is an UnfitBody.
 */
export class BodyColumnsWriter {
  readonly #bytes: Buffer;
  readonly #columns: ColumnWriters;
  readonly #paths: PathNumbers;
  readonly #finder: PathFinder;
  readonly #keys: TextNumbers;
  readonly #texts: TextNumbers;
  readonly #numbers: NumberPrediction;
  #at = 0;
  #end = 0;
  /** The paths of the frame's nodes. */
  #nodePaths = new Uint32Array(1024);
  #nodes = 1;
  /** The keys of the frame's dictionary. */
  #frameKeys = new Uint32Array(1024);
  #keyCount = 0;
  /** Operations, and uses of keys, since the last exception of that kind. */
  #operationsSince = 0;
  #keysSince = 0;
  /** Of the operation under way. */
  #newPaths = 0;
  /** Whether the key that was read last is new to the object. */
  #isNewKey = false;

  constructor(bytes: Buffer, columns: ColumnWriters) {
    this.#bytes = bytes;
    this.#columns = columns;
    const expected = Math.ceil(bytes.length / BYTES_A_PATH);
    this.#paths = new PathNumbers(expected);
    this.#numbers = new NumberPrediction(this.#paths);
    this.#finder = new PathFinder(this.#paths, expected);
    this.#keys = new TextNumbers(columns.keys);
    this.#texts = new TextNumbers(columns.texts);
  }

  /** @returns the sum of the change sets' times */
  write(start: number, end: number, count: number): number {
    const columns = this.#columns;
    this.#at = start;
    this.#end = end;
    this.#nodes = 1;
    this.#keyCount = 0;
    this.#paths.beginFrame();
    let time = 0;
    for (let index = 0; index < count; index++) {
      const flags = this.#byte();
      if (flags > 15) throw new UnfitBody();
      columns.sets.add(flags);
      if ((flags & 2) !== 0) {
        const delta = this.#varint();
        columns.times.add(delta);
        time += delta;
      }
      if ((flags & 4) !== 0) this.#text();
      if ((flags & 8) !== 0) this.#text();
      let operations = 1;
      if ((flags & 1) === 0) columns.sizes.add((operations = this.#varint()));
      for (; operations > 0; operations--) this.#operation();
    }
    if (this.#at !== end) throw new UnfitBody();
    return time;
  }

  /** Gives the memory back. Nothing may be written afterwards. */
  release(): void {
    for (const table of [this.#paths, this.#finder, this.#keys, this.#texts, this.#numbers]) table.release();
    releaseMemory(this.#nodePaths);
    releaseMemory(this.#frameKeys);
  }

  #operation(): void {
    const columns = this.#columns;
    this.#newPaths = 0;
    let target: number;
    let path = 0;
    let definitions = 0;
    let node = this.#varint();
    while (node === 0) {
      const parent = this.#varint();
      if (parent === 0) break;
      // Each definition goes on where the one before ended, and the first one at a node that has a number.
      if (definitions === 0) path = this.#pathOf(parent);
      else if (parent !== this.#nodes + definitions) throw new UnfitBody();
      path = this.#below(path, this.#key());
      if (++definitions > DEFINITIONS_LIMIT) throw new UnfitBody();
      node = this.#varint();
    }
    if (node === 0) {
      if (definitions > 0) throw new UnfitBody();
      target = 0;
    } else {
      if (definitions === 0) path = this.#pathOf(node);
      else if (node !== this.#nodes + definitions) throw new UnfitBody();
      if (definitions !== this.#paths.lacking(path)) this.#except(definitions);
      if (definitions > 0) this.#number(path, definitions);
      target = this.#below(path, this.#key());
    }
    columns.levels.add(this.#newPaths);
    if (this.#newPaths === 0) columns.targets.add(target);
    this.#operationsSince++;
    const tag = this.#byte();
    columns.tags.add(tag);
    if (tag !== 0) this.#value(tag, target, this.#paths.key(target), 0);
  }

  #except(definitions: number): void {
    this.#columns.redefined.add(this.#operationsSince);
    this.#columns.redefinitions.add(definitions);
    // This operation is counted yet.
    this.#operationsSince = -1;
  }

  /** Nodes that were defined get their numbers. */
  #number(path: number, definitions: number): void {
    this.#nodes += definitions;
    while (this.#nodes >= this.#nodePaths.length) this.#nodePaths = doubled(this.#nodePaths);
    for (let node = this.#nodes, left = definitions; left > 0; left--, node--) {
      this.#paths.setNode(path, node);
      this.#nodePaths[node] = path;
      path = this.#paths.parent(path);
    }
  }

  #pathOf(node: number): number {
    if (node === 1) {
      if (this.#paths.node(0) !== 1) throw new UnfitBody();
      return 0;
    }
    if (node > this.#nodes) throw new UnfitBody();
    const path = this.#nodePaths[node]!;
    if (this.#paths.node(path) !== node) throw new UnfitBody();
    return path;
  }

  #below(parent: number, key: number): number {
    const paths = this.#paths;
    const recent = paths.recent(parent, key);
    if (recent !== 0) return recent;
    const found = paths.mayHave(parent, key) ? this.#finder.find(parent, key) : 0;
    const path = found === 0 ? paths.add(parent, key) : found;
    paths.setRecent(path, parent, key);
    if (found !== 0) return found;
    this.#finder.add(path);
    if (this.#newPaths++ === 0) this.#columns.parents.add(parent);
    this.#columns.pathKeys.add(this.#isNewKey ? 0 : key);
    return path;
  }

  /** Reads a key. */
  #key(): number {
    const paths = this.#paths;
    const number = this.#varint();
    this.#isNewKey = false;
    this.#keysSince++;
    if (number !== 0) {
      if (number > this.#keyCount) throw new UnfitBody();
      const key = this.#frameKeys[number]!;
      if (paths.keyNumber(key) !== number) throw new UnfitBody();
      return key;
    }
    const start = this.#textStart();
    const key = this.#keys.find(this.#bytes, start, this.#at);
    if (key === 0) this.#spell(start);
    const found = this.#isNewKey ? this.#keys.last : key;
    if (paths.keyNumber(found) !== 0) {
      this.#columns.respelled.add(this.#keysSince - 1);
      this.#keysSince = 0;
    }
    const its = ++this.#keyCount;
    if (its === this.#frameKeys.length) this.#frameKeys = doubled(this.#frameKeys);
    this.#frameKeys[its] = found;
    paths.setKeyNumber(found, its);
    return found;
  }

  #spell(start: number): void {
    this.#isNewKey = true;
    this.#columns.keyLengths.add(this.#at - start);
    this.#columns.keys.addBytes(this.#bytes, start, this.#at);
  }

  #text(): void {
    const columns = this.#columns;
    const start = this.#textStart();
    const length = this.#at - start;
    const number = length > NUMBERED_TEXT_BYTES ? 0 : this.#texts.find(this.#bytes, start, this.#at);
    columns.textNumbers.add(number);
    if (number !== 0) return;
    columns.textLengths.add(length);
    columns.texts.addBytes(this.#bytes, start, this.#at);
  }

  /** @param path that of an operation's own value; -1 for what is inside of it */
  #value(tag: number, path: number, key: number, depth: number): void {
    if (tag >= SMALL || (tag >= NULL && tag <= TRUE)) return;
    if (tag === WHOLE || tag === NEGATIVE) this.#wholeNumber(tag, path, key);
    else if (tag === TEXT) this.#text();
    else if (tag === DOUBLE) this.#double();
    else if (tag === ARRAY || tag === OBJECT) this.#members(tag, key, depth + 1);
    else throw new UnfitBody();
  }

  #wholeNumber(tag: number, path: number, key: number): void {
    const size = this.#varint();
    const value = tag === WHOLE ? size : 0 - size;
    const difference = value - this.#numbers.guess(path, key);
    this.#numbers.learn(path, key, value);
    const { numbers } = this.#columns;
    if (difference >= 0 && difference < DIFFERENCE_LIMIT) numbers.add(difference * 2);
    else if (difference < 0 && difference > -DIFFERENCE_LIMIT) numbers.add(-difference * 2 - 1);
    else numbers.addWide(size);
  }

  #double(): void {
    const at = this.#at;
    this.#at += 8;
    if (this.#at > this.#end) throw new UnfitBody();
    this.#columns.doublesLow.add(this.#bytes.readUInt32LE(at));
    this.#columns.doublesHigh.add(this.#bytes.readUInt32LE(at + 4));
  }

  #members(tag: number, above: number, depth: number): void {
    if (depth > VALUE_DEPTH_LIMIT) throw new UnfitBody();
    const columns = this.#columns;
    let left = this.#varint();
    columns.members.add(left);
    for (; left > 0; left--) {
      let key = above;
      if (tag === OBJECT) {
        key = this.#key();
        columns.memberKeys.add(this.#isNewKey ? 0 : key);
      }
      const its = this.#byte();
      columns.tags.add(its);
      this.#value(its, -1, key, depth);
    }
  }

  #byte(): number {
    if (this.#at >= this.#end) throw new UnfitBody();
    return this.#bytes[this.#at++]!;
  }

  /** A varint that is no longer than it has to be. */
  #varint(): number {
    const bytes = this.#bytes;
    let at = this.#at;
    let byte = bytes[at++]!;
    let value = byte & 127;
    for (let weight = 128; byte > 127; weight *= 128) {
      byte = bytes[at++]!;
      value += (byte & 127) * weight;
      // The last byte of a longer one is not 0, and eight bytes have 56 bits.
      if (byte === 0 || at - this.#at > 8) throw new UnfitBody();
    }
    if (at > this.#end || value > Number.MAX_SAFE_INTEGER) throw new UnfitBody();
    this.#at = at;
    return value;
  }

  /** Reads the length of a text and steps over it. @returns where it begins */
  #textStart(): number {
    const length = this.#varint();
    const start = this.#at;
    if (length > this.#end - start) throw new UnfitBody();
    this.#at = start + length;
    return start;
  }
}

function doubled(numbers: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(numbers.length * 2);
  larger.set(numbers);
  return larger;
}
