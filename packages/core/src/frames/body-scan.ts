import {
  ARRAY,
  DELETED,
  DOUBLE,
  FALSE,
  HAS_AUTHOR,
  HAS_MESSAGE,
  HAS_TIME,
  NEGATIVE,
  NULL,
  OBJECT,
  ONE_OPERATION,
  ROOT_ID,
  SMALL,
  TEXT,
  TRUE,
  WHOLE,
} from './binary-format.ts';
import { EvertreeError } from '../errors.ts';
import type { FrameHeader } from './frame.ts';
import { finishSteps } from '../turn.ts';
import { keyCache } from './key-cache.ts';
import { KeyPlaces } from './key-places.ts';
import { OpenValue } from './open-value.ts';
import type { Value } from '../tree/value.ts';

export interface BodyScanOptions {
  /**
   * The bytes are no whole body: they begin with a change set, or within the operations of one. The keys and nodes that
   * were defined before are unknown.
   */
  readonly isPart?: boolean;
  /** Is told each definition: its parent, and the number of its key. It defines the next node. */
  readonly defined?: (parent: number, key: number) => void;
}

/** Members and items that are stepped over, or made, between two pauses: some hundredths of a millisecond. */
const STEP_ITEMS = 256;

/** The most bytes of a varint: seven bits each, below 2^53. */
const VARINT_BYTES = 8;
/** A body of so many bytes is stepped over in a millisecond or two. */
const SHORT_BYTES = 256 * 1024;

/**
 * Steps through a binary body, and tells where everything stands in it. It makes no strings, nodes or values unless it is
 * asked for one, so that an index can read a body, and a reader one value of it, at little cost.
 *
 * Of a part of a body it does not know the keys that were spelled before: `value` then can't make an object whose keys
 * are among these.
 */
export class BodyScan {
  readonly body: Buffer;
  /** Where the next byte is read. */
  at = 0;
  /** The keys that were spelled so far. */
  readonly keys = new KeyPlaces();
  readonly #isWhole: boolean;
  readonly #defined: ((parent: number, key: number) => void) | undefined;
  #nodes = ROOT_ID;
  /** Members and items that were stepped over one by one: values of a few may follow one another. */
  #skipped = 0;

  // The change set of the last `changeSet`.
  /** Milliseconds since the change set before. */
  time = 0;
  author: string | undefined;
  message: string | undefined;
  operations = 0;

  // The operation of the last `operation`.
  /** The number of the node whose child it changes; 0 for the root itself. */
  node = 0;
  /** The number of the child's key; 0 for the root. */
  key = 0;
  tag = DELETED;

  constructor(body: Buffer, { isPart = false, defined }: BodyScanOptions = {}) {
    this.body = body;
    this.#isWhole = !isPart;
    this.#defined = defined;
  }

  /** Whether the operation puts an object or an array, which may be large. */
  get isContainer(): boolean {
    return this.tag === OBJECT || this.tag === ARRAY;
  }

  /** Whether it puts one that may take longer than a step to step over. */
  get isLong(): boolean {
    return this.isContainer && this.body.length > SHORT_BYTES;
  }

  get isDelete(): boolean {
    return this.tag === DELETED;
  }

  /** Steps over what the body of a frame begins with if it begins or ends its epoch, or sets a mark. */
  note({ beginsEpoch, endsEpoch, isMark }: Pick<FrameHeader, 'beginsEpoch' | 'endsEpoch' | 'isMark'>): void {
    if (beginsEpoch || endsEpoch) {
      this.#skipText();
      this.#skipText();
    } else if (isMark) {
      this.#skipText();
      this.varint();
      this.#byte();
    }
  }

  /** Reads the head of the next change set. */
  changeSet(): void {
    const flags = this.#byte();
    if (flags > 15) throw malformed('unknown flags of a change set');
    this.time = (flags & HAS_TIME) === 0 ? 0 : this.varint();
    this.author = (flags & HAS_AUTHOR) === 0 ? undefined : this.#text();
    this.message = (flags & HAS_MESSAGE) === 0 ? undefined : this.#text();
    this.operations = (flags & ONE_OPERATION) === 0 ? this.varint() : 1;
  }

  /** Reads the next operation up to its value. `value` or `skip` has to follow unless it is a delete. */
  operation(): void {
    let node = this.varint();
    while (node === 0) {
      const parent = this.varint();
      if (parent === 0) {
        this.node = 0;
        this.key = 0;
        this.tag = this.#byte();
        return;
      }
      if (this.#isWhole && parent > this.#nodes) throw malformed('an undefined node');
      const key = this.#key();
      this.#nodes++;
      this.#defined?.(parent, key);
      node = this.varint();
    }
    if (this.#isWhole && node > this.#nodes) throw malformed('an undefined node');
    this.node = node;
    this.key = this.#key();
    this.tag = this.#byte();
  }

  /** Steps over the value of the operation. Its keys are counted nevertheless. */
  skip(): void {
    this.#skip(this.tag);
  }

  /** As `skip`, with a pause after each 256 members or items of a large value. */
  *skipInSteps(): Generator<void> {
    // How many members or items of each open container are left, and which of these containers are objects.
    const left: number[] = [];
    const isObject: boolean[] = [];
    for (let tag = this.tag; ;) {
      if (tag === OBJECT || tag === ARRAY) {
        left.push(this.varint());
        isObject.push(tag === OBJECT);
      } else {
        this.#skip(tag);
      }
      while (left.at(-1) === 0) {
        left.pop();
        isObject.pop();
      }
      if (left.length === 0) return;
      left[left.length - 1]!--;
      if (isObject.at(-1) === true) this.#key();
      tag = this.#byte();
      if (++this.#skipped % STEP_ITEMS === 0) yield;
    }
  }

  /** The value of the operation; undefined if it has a key that was spelled before this part. */
  value(): Value | undefined {
    return this.isContainer ? finishSteps(this.valueInSteps()) : this.#scalar(this.tag);
  }

  /** As `value`, with a pause after each 256 members or items of a large value. */
  *valueInSteps(): Generator<void, Value | undefined> {
    const value = new OpenValue();
    let work = 0;
    try {
      for (let tag = this.tag; ; tag = this.#byte()) {
        if (tag === OBJECT) value.open({}, this.varint());
        else if (tag === ARRAY) value.open([], this.varint());
        else value.add(this.#scalar(tag));
        if (value.isWhole) return value.whole;
        if (value.wantsKey) value.key = this.#keyText();
        if (++work % STEP_ITEMS === 0) yield;
      }
    } catch (error) {
      if (error === UNKNOWN_KEY) return undefined;
      throw error;
    }
  }

  /**
   * Steps into the value of the operation, as long as it is an object: `value` then gives what is there. It pauses after
   * each 256 members.
   * @param keys in UTF-8
   * @returns how many of them it went along; -1 if there is nothing under one of them; undefined as `value`
   */
  *descend(keys: readonly Uint8Array[]): Generator<void, number | undefined> {
    for (const [level, key] of keys.entries()) {
      if (this.tag !== OBJECT) return level;
      const isThere = yield* this.#enter(key);
      if (isThere !== true) return isThere === false ? -1 : undefined;
    }
    return keys.length;
  }

  /** Steps to the member of an object with a key. */
  *#enter(key: Uint8Array): Generator<void, boolean | undefined> {
    for (let left = this.varint(); left > 0; left--) {
      if (++this.#skipped % STEP_ITEMS === 0) yield;
      const isSpelled = this.body[this.at] === 0;
      const number = this.#key();
      if (!this.#isWhole && !isSpelled) return undefined;
      const tag = this.#byte();
      if (this.#isKey(number, key)) {
        this.tag = tag;
        return true;
      }
      this.tag = tag;
      if (this.isLong) yield* this.skipInSteps();
      else this.skip();
    }
    return false;
  }

  #isKey(number: number, key: Uint8Array): boolean {
    const start = this.keys.start(number);
    if (this.keys.end(number) - start !== key.length) return false;
    for (let at = 0; at < key.length; at++) if (this.body[start + at] !== key[at]) return false;
    return true;
  }

  varint(): number {
    const { body } = this;
    let byte = body[this.at++];
    if (byte === undefined) throw malformed('an end in the middle');
    if (byte < 128) return byte;
    let value = byte & 127;
    let weight = 128;
    for (let count = 1; byte > 127; count++) {
      byte = body[this.at++];
      if (byte === undefined || count === VARINT_BYTES)
        throw malformed(byte === undefined ? 'an end in the middle' : 'a number above 2^53');
      value += (byte & 127) * weight;
      weight *= 128;
    }
    if (!Number.isSafeInteger(value)) throw malformed('a number above 2^53');
    return value;
  }

  #byte(): number {
    const byte = this.body[this.at++];
    if (byte === undefined) throw malformed('an end in the middle');
    return byte;
  }

  /** Where a text ends whose length comes next; `at` is where it begins then. */
  #textEnd(): number {
    const length = this.varint();
    const end = this.at + length;
    if (end > this.body.length) throw malformed('an end in the middle of a text');
    return end;
  }

  #skipText(): void {
    this.at = this.#textEnd();
  }

  #text(): string {
    const end = this.#textEnd();
    const text = this.body.toString('utf8', this.at, end);
    this.at = end;
    return text;
  }

  /** Reads a key, and returns its number. */
  #key(): number {
    const number = this.varint();
    if (number !== 0) {
      if (this.#isWhole && number >= this.keys.length) throw malformed('an undefined key');
      return number;
    }
    const end = this.#textEnd();
    const spelled = this.keys.push(this.at, end);
    this.at = end;
    return spelled;
  }

  /** A key of an object, as text. */
  #keyText(): string {
    const isSpelled = this.body[this.at] === 0;
    const key = this.#key();
    if (!this.#isWhole && !isSpelled) throw UNKNOWN_KEY;
    return keyCache.find(this.body, this.keys.start(key), this.keys.end(key));
  }

  #skip(tag: number): void {
    if (tag >= SMALL) return;
    switch (tag) {
      case DELETED:
      case NULL:
      case FALSE:
      case TRUE:
        return;
      case WHOLE:
      case NEGATIVE:
        this.varint();
        return;
      case DOUBLE:
        this.at += 8;
        return;
      case TEXT:
        this.#skipText();
        return;
      case ARRAY:
        for (let left = this.varint(); left > 0; left--) this.#skip(this.#byte());
        return;
      case OBJECT:
        for (let left = this.varint(); left > 0; left--) {
          this.#key();
          this.#skip(this.#byte());
        }
        return;
      default:
        throw malformed(`an unknown kind of value (${tag})`);
    }
  }

  #scalar(tag: number): Value {
    if (tag >= SMALL) return tag - SMALL;
    switch (tag) {
      case NULL:
        return null;
      case FALSE:
        return false;
      case TRUE:
        return true;
      case WHOLE:
        return this.varint();
      case NEGATIVE:
        return -this.varint();
      case DOUBLE:
        return this.#double();
      case TEXT:
        return this.#text();
      default:
        throw malformed(`an unknown kind of value (${tag})`);
    }
  }

  #double(): number {
    if (this.at + 8 > this.body.length) throw malformed('an end in the middle of a number');
    const value = this.body.readDoubleLE(this.at);
    this.at += 8;
    return value;
  }
}

const UNKNOWN_KEY = new Error('a key was spelled before this part of the body');

function malformed(what: string): EvertreeError {
  return new EvertreeError('FORMAT_INVALID', `a frame's body has ${what}`);
}
