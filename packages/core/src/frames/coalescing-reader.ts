import { ApplySink } from './apply-sink.ts';
import { ARRAY, DELETED, OBJECT, ROOT_ID, SMALL, WHOLE } from './binary-format.ts';
import { BinaryBodyReader, malformed, readBinaryBody } from './binary-reader.ts';
import type { ChangeSetHead, FrameNote } from './body.ts';
import { frameBody, type Frame } from './frame.ts';
import { lanes } from '../tree/digest.ts';
import { type PendingChanges, ROOT_SLOT } from './pending-changes.ts';
import type { Child } from '../tree/node.ts';
import type { Tree } from '../tree/tree.ts';

const FIRST_NUMBERS = 1_024;

/** What a body tells beside its operations. */
export interface BodySummary {
  readonly note: FrameNote | undefined;
  /** Commit time of its last change set, milliseconds since 1970. */
  readonly time: number;
  readonly operations: number;
}

/** The dictionaries of a frame, by its numbers. The arrays are used for one frame after the other. */
export class FrameNumbers {
  /** The numbers that the pending changes have for its keys. */
  keys = new Int32Array(FIRST_NUMBERS);
  /** The slots of its nodes, and the frame's numbers of their parents. */
  slots = new Int32Array(FIRST_NUMBERS);
  parents = new Int32Array(FIRST_NUMBERS);

  growKeys(): void {
    this.keys = doubled(this.keys);
  }

  growNodes(): void {
    this.slots = doubled(this.slots);
    this.parents = doubled(this.parents);
  }
}

function doubled(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(array.length * 2);
  larger.set(array);
  return larger;
}

class SummingSink extends ApplySink {
  time = 0;
  operations = 0;

  get summary(): BodySummary {
    return { note: this.note, time: this.time, operations: this.operations };
  }

  override changeSet({ time, operations }: ChangeSetHead): void {
    this.time = time;
    this.operations += operations;
  }
}

/** Applies a binary body to the tree, change by change. */
export function readAtOnce(frame: Frame, tree: Tree): BodySummary {
  const sink = new SummingSink(tree);
  readBinaryBody(frameBody(frame), frame.header, tree.generation, sink);
  return sink.summary;
}

interface CoalescingParts {
  readonly pending: PendingChanges;
  readonly numbers: FrameNumbers;
  readonly settle: () => void;
}

/** Reads a binary body into pending changes. From the first one that they refuse on, it applies the rest to the tree. */
export class CoalescingReader extends BinaryBodyReader {
  readonly #pending: PendingChanges;
  readonly #numbers: FrameNumbers;
  readonly #sink: SummingSink;
  readonly #frame: number;
  readonly #settle: () => void;
  #keyCount = 0;
  #isDirect = false;

  /**
   * @param number of the frame, for the pending changes
   * @param parts.settle makes the pending changes
   */
  constructor(frame: Frame, number: number, tree: Tree, parts: CoalescingParts) {
    const sink = new SummingSink(tree);
    super(frameBody(frame), tree.generation, sink);
    this.#sink = sink;
    this.#frame = number;
    this.#pending = parts.pending;
    this.#numbers = parts.numbers;
    this.#settle = parts.settle;
    this.#numbers.slots[ROOT_ID] = ROOT_SLOT;
  }

  get summary(): BodySummary {
    return this.#sink.summary;
  }

  protected override operation(): void {
    if (this.#isDirect) return super.operation();
    let node = this.varint();
    while (node === 0) {
      const parent = this.varint();
      if (parent === 0) {
        this.#goDirect();
        this.#sink.putRoot(this.value(this.byte()));
        return;
      }
      if (parent > this.nodes) throw malformed('an undefined node');
      const key = this.#key();
      if (!this.#define(parent, key)) {
        this.#goDirect();
        this.#sink.define(parent, this.keys.text(key), this.keys.lo(key), this.keys.hi(key));
        this.nodes++;
        // What follows is the rest of an operation, and as such looks like a whole one.
        return super.operation();
      }
      node = this.varint();
    }
    if (node > this.nodes) throw malformed('an undefined node');
    const key = this.#key();
    const tag = this.byte();
    if (this.#isDirect || !this.#change(node, key, tag)) this.#make(node, key, tag);
  }

  /** @returns whether the object may be named while changes are pending */
  #define(parent: number, key: number): boolean {
    const pending = this.#pending;
    if (pending.isFull && !this.#grow()) return false;
    const numbers = this.#numbers;
    const slot = pending.define(numbers.slots[parent]!, numbers.keys[key]!, this.#frame);
    if (slot === undefined) return false;
    const node = ++this.nodes;
    if (node >= numbers.slots.length) numbers.growNodes();
    numbers.slots[node] = slot;
    numbers.parents[node] = parent;
    return true;
  }

  /** @returns whether the change is pending; if it is not, its value is not read */
  #change(node: number, key: number, tag: number): boolean {
    const pending = this.#pending;
    if (pending.isFull && !this.#grow()) return false;
    const slot = pending.change(this.#numbers.slots[node]!, this.#numbers.keys[key]!, this.#frame);
    if (slot === undefined) return false;
    if (tag >= SMALL) pending.setNumber(slot, tag - SMALL);
    else if (tag === WHOLE) pending.setNumber(slot, this.varint());
    else if (tag === DELETED) return pending.remove(slot);
    else if (tag === OBJECT || tag === ARRAY) pending.set(slot, this.#valueWithKeys(tag));
    else pending.set(slot, this.value(tag));
    return true;
  }

  #grow(): boolean {
    if (!this.#pending.mayGrow) return false;
    const moved = this.#pending.grow();
    const { slots } = this.#numbers;
    for (let node = ROOT_ID + 1; node <= this.nodes; node++) slots[node] = moved[slots[node]!]!;
    return true;
  }

  #make(node: number, key: number, tag: number): void {
    this.#goDirect();
    const [text, lo, hi] = [this.keys.text(key), this.keys.lo(key), this.keys.hi(key)];
    if (tag === DELETED) this.#sink.delete(node, text, lo, hi);
    else this.#sink.put(node, text, lo, hi, this.value(tag));
  }

  /** Makes the pending changes, and applies what comes next to the tree itself. */
  #goDirect(): void {
    if (this.#isDirect) return;
    this.#spellKeys();
    this.#settle();
    for (let node = ROOT_ID + 1; node <= this.nodes; node++) {
      const named = this.#pending.named(this.#numbers.slots[node]!);
      this.#sink.adopt(node, named.node, this.#numbers.parents[node]!, named.level);
    }
    this.#pending.clear();
    this.#isDirect = true;
  }

  /** Reads a key and returns its number in the frame. */
  #key(): number {
    const numbers = this.#numbers;
    const id = this.varint();
    if (id !== 0) {
      if (id > this.#keyCount) throw malformed('an undefined key');
      return id;
    }
    const length = this.varint();
    const end = this.at + length;
    if (end > this.body.length) throw malformed('an end in the middle of a key');
    const key = ++this.#keyCount;
    if (key >= numbers.keys.length) numbers.growKeys();
    numbers.keys[key] = this.#pending.keys.number(this.body, this.at, end);
    this.at = end;
    return key;
  }

  /** Reads an object or an array. It may name keys that were spelled before, and spell others. */
  #valueWithKeys(tag: number): Child {
    this.#spellKeys();
    const child = this.value(tag);
    const numbers = this.#numbers;
    while (this.#keyCount < this.keys.length - 1) {
      const bytes = Buffer.from(this.keys.text(++this.#keyCount));
      if (this.#keyCount >= numbers.keys.length) numbers.growKeys();
      numbers.keys[this.#keyCount] = this.#pending.keys.number(bytes, 0, bytes.length);
    }
    return child;
  }

  /** Makes the strings of the keys that the frame spelled so far. */
  #spellKeys(): void {
    const { keys } = this.#pending;
    for (let key = this.keys.length; key <= this.#keyCount; key++) {
      const number = this.#numbers.keys[key]!;
      const text = keys.text(number, undefined);
      keys.hash(number);
      this.keys.push(text, lanes.lo, lanes.hi);
    }
  }
}
