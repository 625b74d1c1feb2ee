import { ARRAY, DOUBLE, NEGATIVE, NULL, OBJECT, SMALL, TEXT, TRUE, WHOLE } from './body-tags.ts';
import { NUMBERED_TEXT_BYTES, VALUE_DEPTH_LIMIT, type ColumnReaders } from './column-list.ts';
import { MalformedColumns, type NumberColumnReader } from './column-reader.ts';
import { writeVarint } from './column-writer.ts';
import { releaseMemory } from './memory.ts';
import { NetBodyWriter } from './net-body-writer.ts';
import { NumberPrediction } from './number-prediction.ts';
import { FETCHED_PATHS, PathNumbers } from './path-numbers.ts';

/** Most bytes that are written between two looks at the room that is left: three numbers and some bytes. */
const STEP_BYTES = 32;
/** So much room has to be left behind the last body. */
export const SPARE_BYTES = STEP_BYTES;

/**
 * Writes binary bodies anew from columns, the same bytes that BodyColumnsWriter read. Every loop reads a column or writes
 * a byte, so that each of them ends: at the end of a column, or of the room.
 */
export class BodyColumnsReader {
  readonly #bytes: Buffer;
  readonly #columns: ColumnReaders;
  readonly #paths: PathNumbers;
  readonly #numbers: NumberPrediction;
  /** Where texts stand in their column. */
  readonly #texts: Spans;
  #at = 0;
  #nodes = 1;
  #keyCount = 0;
  #operationsLeft: number;
  #keysLeft: number;
  /** Paths whose nodes are to be defined, the lowest first. */
  readonly #lacking = new Uint32Array(256);
  /** Sum of the change sets' times in the body that was read last. */
  time = 0;
  /** Whether what the next body changes is gathered. */
  isGathering = false;
  /** Operations that were gathered. */
  gatheredOperations = 0;
  /** Whether they are such that `gathered` can give them. */
  #isGatherable = true;

  /** @param bytes get the bodies; the last SPARE_BYTES of them are never needed */
  constructor(bytes: Buffer, columns: ColumnReaders) {
    this.#bytes = bytes;
    this.#columns = columns;
    this.#paths = new PathNumbers(columns.pathKeys.length);
    this.#numbers = new NumberPrediction(this.#paths);
    this.#texts = new Spans(columns.textLengths.length);
    this.#operationsLeft = nextException(columns.redefined);
    this.#keysLeft = nextException(columns.respelled);
  }

  /** Writes a body. @returns where it ends */
  read(start: number, count: number): number {
    const columns = this.#columns;
    this.#at = start;
    this.#nodes = 1;
    this.#keyCount = 0;
    this.#paths.beginFrame();
    this.time = 0;
    for (let index = 0; index < count; index++) {
      this.#room(STEP_BYTES);
      const flags = columns.sets.read();
      this.#bytes[this.#at++] = flags;
      if ((flags & 2) !== 0) {
        const delta = columns.times.read();
        this.#varint(delta);
        this.time += delta;
      }
      if ((flags & 4) !== 0) this.#text();
      if ((flags & 8) !== 0) this.#text();
      let operations = 1;
      if ((flags & 1) === 0) this.#varint((operations = columns.sizes.read()));
      for (; operations > 0; operations--) this.#operation();
    }
    return this.#at;
  }

  /** What the bodies changed that were gathered, as NetChanges have it; undefined if something of it can't be told. */
  gathered(): Buffer | undefined {
    const { members, keys } = this.#columns;
    if (!this.#isGatherable || members.length > 0) return undefined;
    return new NetBodyWriter(this.#paths, keys, this.#bytes).write();
  }

  /** Gives the memory back, but for the bodies. Nothing may be read afterwards. */
  release(): void {
    for (const table of [this.#paths, this.#numbers, this.#texts]) table.release();
  }

  #operation(): void {
    const columns = this.#columns;
    const target = this.#target(columns.levels.read());
    this.#room(STEP_BYTES);
    this.#operationsLeft--;
    const isException = this.#operationsLeft < 0;
    let key = 0;
    if (target === 0) {
      this.#bytes[this.#at++] = 0;
      this.#bytes[this.#at++] = 0;
    } else {
      const path = this.#paths.parent(target);
      const definitions = isException ? columns.redefinitions.read() : this.#paths.lacking(path);
      if (definitions > 0) this.#define(path, definitions);
      this.#varint(this.#paths.node(path));
      this.#key((key = this.#paths.key(target)));
    }
    if (isException) this.#operationsLeft = nextException(columns.redefined);
    const tag = columns.tags.read();
    this.#room(STEP_BYTES);
    if (this.isGathering) this.#gather(target);
    this.#bytes[this.#at++] = tag;
    if (tag !== 0) this.#value(tag, target, key, 0);
  }

  #gather(target: number): void {
    if (target === 0) this.#isGatherable = false;
    this.#paths.setPut(target, this.#at);
    this.gatheredOperations++;
  }

  /** The path of an operation. @param levels how many of the paths that lead to it are new */
  #target(levels: number): number {
    const { targets, parents, pathKeys } = this.#columns;
    let path = this.#nextPath(levels === 0 ? targets : parents);
    if (path >= this.#paths.count) throw new MalformedColumns('a path is not there');
    for (let left = levels; left > 0; left--) path = this.#paths.add(path, this.#knownKey(pathKeys.read()));
    return path;
  }

  /** The next path of a column. Now and then the paths behind it are fetched, too. */
  #nextPath(column: NumberColumnReader): number {
    if (column.at === column.count) column.fill();
    const { at, codes } = column;
    if (at % FETCHED_PATHS === 0) this.#paths.fetch(codes, at, Math.min(column.count, at + FETCHED_PATHS));
    return column.read();
  }

  #define(path: number, definitions: number): void {
    if (definitions > this.#lacking.length - 1) throw new MalformedColumns('there are too many definitions');
    const paths = this.#paths;
    let at = path;
    for (let index = 0; index < definitions; index++) {
      if (at === 0) throw new MalformedColumns('the root is defined');
      this.#lacking[index] = at;
      at = paths.parent(at);
    }
    let node = paths.node(at);
    if (node === 0) throw new MalformedColumns('a node is not defined');
    for (let index = definitions - 1; index >= 0; index--) {
      const its = this.#lacking[index]!;
      this.#room(STEP_BYTES);
      this.#bytes[this.#at++] = 0;
      this.#varint(node);
      this.#key(paths.key(its));
      node = ++this.#nodes;
      paths.setNode(its, node);
    }
  }

  /** The number of a key. @param stored 0 for a new one */
  #knownKey(stored: number): number {
    if (stored !== 0) {
      if (stored > this.#paths.keyCount) throw new MalformedColumns('a key is not there');
      return stored;
    }
    const { keys, keyLengths } = this.#columns;
    const length = keyLengths.read();
    return this.#paths.addKey(keys.take(length), length);
  }

  /** Writes a key as the frame has it: its number, or its text where it is spelled. */
  #key(key: number): void {
    this.#keysLeft--;
    const isException = this.#keysLeft < 0;
    const number = isException ? 0 : this.#paths.keyNumber(key);
    this.#room(STEP_BYTES);
    this.#varint(number);
    if (number !== 0) return;
    if (isException) this.#keysLeft = nextException(this.#columns.respelled);
    this.#spell(this.#columns.keys.bytes, this.#paths.keyStart(key), this.#paths.keyLength(key));
    this.#paths.setKeyNumber(key, ++this.#keyCount);
  }

  #text(): void {
    const { textNumbers, textLengths, texts } = this.#columns;
    const number = textNumbers.read();
    if (number !== 0) {
      if (number > this.#texts.count) throw new MalformedColumns('a text is not there');
      this.#spell(texts.bytes, this.#texts.starts[number]!, this.#texts.lengths[number]!);
      return;
    }
    const length = textLengths.read();
    const start = texts.take(length);
    if (length <= NUMBERED_TEXT_BYTES) this.#texts.add(start, length);
    this.#spell(texts.bytes, start, length);
  }

  #spell(source: Buffer, start: number, length: number): void {
    this.#room(length + STEP_BYTES);
    this.#varint(length);
    if (length > 32) source.copy(this.#bytes, this.#at, start, start + length);
    else for (let at = 0; at < length; at++) this.#bytes[this.#at + at] = source[start + at]!;
    this.#at += length;
  }

  #value(tag: number, path: number, key: number, depth: number): void {
    if (tag >= SMALL || (tag >= NULL && tag <= TRUE)) return;
    if (tag === WHOLE || tag === NEGATIVE) this.#wholeNumber(tag, path, key);
    else if (tag === TEXT) this.#text();
    else if (tag === DOUBLE) this.#double();
    else if (tag === ARRAY || tag === OBJECT) this.#members(tag, key, depth + 1);
    else throw new MalformedColumns('a value is of an unknown kind');
  }

  #wholeNumber(tag: number, path: number, key: number): void {
    const { numbers, wide } = this.#columns;
    const code = numbers.code();
    const guess = this.#numbers.guess(path, key);
    const sign = tag === WHOLE ? 1 : -1;
    const folded = code - 1;
    const size = code === 0 ? wide.readWide() : sign * (guess + (folded % 2 === 0 ? folded / 2 : -(folded + 1) / 2));
    if (!(size >= 0 && size <= Number.MAX_SAFE_INTEGER)) throw new MalformedColumns('a number has the wrong sign');
    this.#numbers.learn(path, key, tag === WHOLE ? size : 0 - size);
    this.#varint(size);
  }

  #double(): void {
    const at = this.#at;
    this.#bytes.writeUInt32LE(this.#columns.doublesLow.read() >>> 0, at);
    this.#bytes.writeUInt32LE(this.#columns.doublesHigh.read() >>> 0, at + 4);
    this.#at = at + 8;
  }

  #members(tag: number, above: number, depth: number): void {
    if (depth > VALUE_DEPTH_LIMIT) throw new MalformedColumns('a value is too deep');
    const columns = this.#columns;
    let left = columns.members.read();
    this.#varint(left);
    for (; left > 0; left--) {
      let key = above;
      if (tag === OBJECT) this.#key((key = this.#knownKey(columns.memberKeys.read())));
      const its = columns.tags.read();
      this.#room(STEP_BYTES);
      this.#bytes[this.#at++] = its;
      this.#value(its, -1, key, depth);
    }
  }

  /** Only behind a check of the room. */
  #varint(value: number): void {
    if (value < 128) this.#bytes[this.#at++] = value;
    else this.#at = writeVarint(this.#bytes, this.#at, value);
  }

  /** Makes sure that bytes may be written. */
  #room(count: number): void {
    if (this.#at + count > this.#bytes.length) throw new MalformedColumns('there are more frames than the header says');
  }
}

/** Where texts stand in a buffer, by number from 1. */
class Spans {
  readonly starts: Uint32Array;
  readonly lengths: Uint32Array;
  count = 0;

  constructor(most: number) {
    this.starts = new Uint32Array(1 + most);
    this.lengths = new Uint32Array(1 + most);
  }

  add(start: number, length: number): number {
    const number = ++this.count;
    this.starts[number] = start;
    this.lengths[number] = length;
    return number;
  }

  release(): void {
    releaseMemory(this.starts);
    releaseMemory(this.lengths);
  }
}

/** More than an object has. Infinity would make all that is counted a number with a fraction, which costs more. */
const NEVER = 0x3fff_ffff;

/** How many come before the next exception. */
function nextException(column: NumberColumnReader): number {
  return column.isAtEnd ? NEVER : column.read();
}
