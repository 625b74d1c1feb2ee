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
import type { BodySink } from './body.ts';
import type { FrameHeader } from './frame.ts';
import { lanes, LONG_TEXT } from '../tree/digest.ts';
import { EvertreeError } from '../errors.ts';
import { keyCache } from './key-cache.ts';
import { SpelledKeys } from './spelled-keys.ts';
import { textCache } from './text-cache.ts';
import { assign, TreeNode, type Child } from '../tree/node.ts';
import { define, type Value } from '../tree/value.ts';

/** What of a frame's header the body depends on. */
export type BodyHead = Pick<FrameHeader, 'count' | 'firstTime' | 'beginsEpoch' | 'endsEpoch' | 'isMark'>;

/** The head of a body of change sets alone: a snapshot's chunk. */
export const NO_NOTE = Object.freeze({ beginsEpoch: false, endsEpoch: false, isMark: false });

/** So many change sets at a time are announced to the sink: what they need stays in the nearest caches until then. */
const AHEAD_CHANGE_SETS = 32;

/**
 * Reads a binary body into a sink.
 * @throws EvertreeError FORMAT_INVALID for malformed bytes; what the sink throws
 */
export function readBinaryBody(body: Buffer, head: BodyHead, generation: number, sink: BodySink): void {
  new BinaryBodyReader(body, generation, sink).read(head);
}

/** Change sets between two pauses. */
const CHANGE_SETS_A_STEP = 256;

/** As readBinaryBody, with a pause after each 256 change sets: for short ones. `readInSteps` pauses inside long ones, too. */
export function readChangeSetsInSteps(body: Buffer, head: BodyHead, generation: number, sink: BodySink): Generator<void> {
  return new BinaryBodyReader(body, generation, sink).readInSteps(head);
}

/** Reads a binary body from its beginning; `binary-steps.ts` reads one in steps. */
export class BinaryBodyReader {
  readonly body: Buffer;
  readonly #generation: number;
  readonly #sink: BodySink;
  at = 0;
  nodes = ROOT_ID;
  readonly keys: SpelledKeys;
  /** Of the last change set that was read. */
  #time = 0;

  constructor(body: Buffer, generation: number, sink: BodySink) {
    this.body = body;
    this.keys = new SpelledKeys(body);
    this.#generation = generation;
    this.#sink = sink;
  }

  read(head: BodyHead): void {
    this.note(head);
    this.#changeSets(head, 0, head.count);
    this.assertEnd();
  }

  *readInSteps(head: BodyHead): Generator<void> {
    this.note(head);
    for (let from = 0; from < head.count; from += CHANGE_SETS_A_STEP) {
      if (from > 0) yield;
      this.#changeSets(head, from, Math.min(from + CHANGE_SETS_A_STEP, head.count));
    }
    this.assertEnd();
  }

  /** Reads the change sets that come next. */
  #changeSets(head: BodyHead, from: number, to: number): void {
    let time = from === 0 ? head.firstTime : this.#time;
    for (let index = from; index < to; index++) {
      if (index % AHEAD_CHANGE_SETS === 0) this.#sink.ahead?.(this.body, this.at, Math.min(AHEAD_CHANGE_SETS, head.count - index));
      const flags = this.byte();
      if (flags > 15) throw malformed('unknown flags of a change set');
      if ((flags & HAS_TIME) !== 0) time += this.varint();
      const author = (flags & HAS_AUTHOR) === 0 ? undefined : this.text();
      const message = (flags & HAS_MESSAGE) === 0 ? undefined : this.text();
      const operations = (flags & ONE_OPERATION) === 0 ? this.varint() : 1;
      this.#sink.changeSet({ time, author, message, operations });
      for (let operation = 0; operation < operations; operation++) this.operation();
    }
    this.#time = time;
  }

  assertEnd(): void {
    if (this.at !== this.body.length) throw malformed('bytes behind the last change set');
  }

  note({ beginsEpoch, endsEpoch, isMark }: BodyHead): void {
    if (beginsEpoch) this.#sink.epoch({ site: this.text(), reason: this.text() });
    if (endsEpoch) this.#sink.handover({ to: this.text(), command: this.text() });
    if (!isMark) return;
    const [name, back, removed] = [this.text(), this.varint(), this.byte()];
    if (removed > 1) throw malformed('a mark that is neither set nor removed');
    this.#sink.mark({ name, back, removed: removed === 1 });
  }

  protected operation(): void {
    let node = this.varint();
    while (node === 0) {
      const parent = this.varint();
      if (parent === 0) {
        this.#sink.putRoot(this.value(this.byte()));
        return;
      }
      if (parent > this.nodes) throw malformed('an undefined node');
      const key = this.key(parent);
      this.#sink.define(parent, this.keys.text(key), this.keys.lo(key), this.keys.hi(key));
      this.nodes++;
      node = this.varint();
    }
    if (node > this.nodes) throw malformed('an undefined node');
    const key = this.key(node);
    const tag = this.byte();
    if (tag === DELETED) this.#sink.delete(node, this.keys.text(key), this.keys.lo(key), this.keys.hi(key));
    else this.#sink.put(node, this.keys.text(key), this.keys.lo(key), this.keys.hi(key), this.value(tag));
  }

  /** Reads over a value after its first byte. Its keys enter the dictionary nevertheless. */
  skip(tag: number): void {
    switch (tag) {
      case WHOLE:
      case NEGATIVE:
        this.varint();
        return;
      case DOUBLE:
        this.#double();
        return;
      case TEXT: {
        const length = this.varint();
        this.at += length;
        return;
      }
      case ARRAY:
        for (let left = this.varint(); left > 0; left--) this.skip(this.byte());
        return;
      case OBJECT:
        for (let left = this.varint(); left > 0; left--) {
          this.passKey();
          this.skip(this.byte());
        }
        return;
      default:
        if (tag < SMALL && tag !== NULL && tag !== FALSE && tag !== TRUE) throw malformed(`an unknown kind of value (${tag})`);
    }
  }

  byte(): number {
    const byte = this.body[this.at++];
    if (byte === undefined) throw malformed('an end in the middle');
    return byte;
  }

  varint(): number {
    let byte = this.byte();
    if (byte < 128) return byte;
    let value = byte & 127;
    let weight = 128;
    do {
      byte = this.byte();
      value += (byte & 127) * weight;
      weight *= 128;
    } while (byte > 127 && weight < 0x1_0000_0000_0000);
    if (byte > 127) {
      value += this.byte() * weight;
    }
    if (!Number.isSafeInteger(value)) throw malformed('a number above 2^53');
    return value;
  }

  /** Whether the text that comes next may be a long one. */
  get atLongText(): boolean {
    const { at } = this;
    const length = this.varint();
    this.at = at;
    return length > LONG_TEXT;
  }

  text(): string {
    const length = this.varint();
    const end = this.at + length;
    if (end > this.body.length) throw malformed('an end in the middle of a text');
    const text = textCache.read(this.body, this.at, end);
    this.at = end;
    return text;
  }

  /**
   * Reads a key and returns its number; a new key enters the dictionary.
   * @param parent the node that has it; 0 inside a value
   */
  key(parent: number): number {
    const id = this.varint();
    if (id !== 0) {
      if (id >= this.keys.length) throw malformed('an undefined key');
      return id;
    }
    const end = this.#keyEnd();
    const known = parent === 0 ? undefined : this.#sink.spelledKey(parent, this.body, this.at, end);
    const key = known ?? keyCache.read(this.body, this.at, end);
    this.at = end;
    return this.keys.push(key, lanes.lo, lanes.hi);
  }

  /** Reads over a key inside a value; a new one enters the dictionary. */
  passKey(): void {
    const id = this.varint();
    if (id >= this.keys.length) throw malformed('an undefined key');
    if (id !== 0) return;
    const end = this.#keyEnd();
    this.keys.pass(this.at, end);
    this.at = end;
  }

  /** Where a key ends whose length comes next; `at` is where it begins then. */
  #keyEnd(): number {
    const length = this.varint();
    const end = this.at + length;
    if (end > this.body.length) throw malformed('an end in the middle of a key');
    return end;
  }

  /** Reads a value after its first byte; objects become nodes. */
  value(tag: number): Child {
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
        return this.text();
      case ARRAY:
        return this.#array() as Child;
      case OBJECT:
        return this.#node();
      default:
        throw malformed(`an unknown kind of value (${tag})`);
    }
  }

  #double(): number {
    if (this.at + 8 > this.body.length) throw malformed('an end in the middle of a number');
    const value = this.body.readDoubleLE(this.at);
    this.at += 8;
    if (!Number.isFinite(value)) throw malformed('a number that JSON does not have');
    return value;
  }

  #node(): TreeNode {
    const node = new TreeNode(this.#generation);
    const size = this.varint();
    for (let index = 0; index < size; index++) {
      const key = this.key(0);
      const child = this.value(this.byte());
      assign(node, this.keys.text(key), this.keys.lo(key), this.keys.hi(key), undefined, child);
    }
    return node;
  }

  /** Reads an array. Objects inside it are plain, and all of it is frozen. */
  #array(): Value {
    const items: Value[] = [];
    const length = this.varint();
    for (let index = 0; index < length; index++) items.push(this.plain(this.byte()));
    return Object.freeze(items);
  }

  /** Reads an item of an array after its first byte; objects are plain, and frozen. */
  plain(tag: number): Value {
    if (tag !== OBJECT) return this.value(tag) as Value;
    const object: { [key: string]: Value } = {};
    const size = this.varint();
    for (let index = 0; index < size; index++) {
      const key = this.keys.text(this.key(0));
      define(object, key, this.plain(this.byte()));
    }
    return Object.freeze(object);
  }
}

export function malformed(what: string): EvertreeError {
  return new EvertreeError('FORMAT_INVALID', `a frame's body has ${what}`);
}
