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
import type { BodyRest } from './frame.ts';
import type { BodyWriter, EpochNote, MarkNote } from './body.ts';
import type { Handover } from '../position.ts';
import { FIRST_PAIR, type Branch } from '../tree/branch.ts';
import { ByteWriter } from './byte-writer.ts';
import { hashKey, lanes } from '../tree/digest.ts';
import { KeyDictionary } from './key-dictionary.ts';
import { eachChild, forEachChild, TreeNode, type Child } from '../tree/node.ts';
import type { NodeShape } from '../tree/node-shape.ts';
import { slotAt } from '../tree/node-slots.ts';
import type { Path } from '../tree/path.ts';
import type { Value } from '../tree/value.ts';
import { isContainer, ValueWalk } from './value-walk.ts';

/** The first size of a writer's buffer, in bytes. */
const FIRST_CAPACITY = 256 * 1024;
/** A buffer that grew beyond this, in bytes, is not reused for the next body. */
const KEPT_CAPACITY = 1024 * 1024;

/** Members and items that are written between two pauses: some tenths of a millisecond. */
const ITEMS_A_STEP = 1_024;

/** Shapes whose keys' numbers a body keeps: of many objects, few have keys of their own. */
const KEPT_SHAPES = 64;

/** Counts the bodies of all writers. A node keeps the count of the last body that named it, and its number there. */
let frames = 0;

export class BinaryBodyWriter implements BodyWriter {
  readonly codec = 'binary';
  #out = new ByteWriter(FIRST_CAPACITY);
  #frame = ++frames;
  #nodes = ROOT_ID;
  #time = 0;
  #taken = false;
  readonly #room: number;
  /** Members and items that were written in steps. */
  #items = 0;
  readonly #dictionary = new KeyDictionary();
  /** The numbers of all keys of a shape: for one more object with these keys, none is looked up. */
  readonly #shapes = new Map<NodeShape, readonly number[]>();

  /** @param room bytes that are left free before the first body */
  constructor(room = 0) {
    this.#room = room;
    this.#out.length = room;
  }

  get length(): number {
    return this.#taken ? 0 : this.#out.length;
  }

  get keys(): number {
    return this.#taken ? 0 : this.#dictionary.size;
  }

  epoch(note: EpochNote): void {
    this.#begin();
    this.#out.text(note.site);
    this.#out.text(note.reason);
  }

  handover({ to, command }: Handover): void {
    this.#begin();
    this.#out.text(to);
    this.#out.text(command);
  }

  mark({ name, back, removed }: MarkNote): void {
    this.#begin();
    this.#out.text(name);
    this.#out.varint(back);
    this.#out.byte(removed ? 1 : 0);
  }

  changeSet(time: number, author: string | undefined, message: string | undefined, operations: number): void {
    if (this.#taken) this.#begin();
    const out = this.#out;
    // The frame's header has the first one's time.
    const delta = this.#time === 0 ? 0 : time - this.#time;
    this.#time = time;
    const flags =
      (operations === 1 ? ONE_OPERATION : 0) |
      (delta === 0 ? 0 : HAS_TIME) |
      (author === undefined ? 0 : HAS_AUTHOR) |
      (message === undefined ? 0 : HAS_MESSAGE);
    out.byte(flags);
    if (delta !== 0) out.varint(delta);
    if (author !== undefined) out.text(author);
    if (message !== undefined) out.text(message);
    if (operations !== 1) out.varint(operations);
  }

  operation(trail: readonly TreeNode[], path: Path, child: Child | undefined, keyLo?: number): void {
    const last = path.length - 1;
    if (last < 0) {
      this.#out.byte(0);
      this.#out.byte(0);
      this.#value(child!);
      return;
    }
    const parent = trail[last]!;
    const id = parent.frame === this.#frame ? parent.frameId : this.#define(trail, path, last);
    this.#out.varint(id);
    if (keyLo === undefined) this.#key(path[last]!);
    else this.#hashedKey(path[last]!, keyLo);
    if (child === undefined) this.#out.byte(DELETED);
    else this.#value(child);
  }

  /** As `operation`, with a pause after each 1,024 members and items in the child. A text is written in one step. */
  *operationInSteps(trail: readonly TreeNode[], path: Path, child: Child): Generator<undefined> {
    const last = path.length - 1;
    if (last < 0) {
      this.#out.byte(0);
      this.#out.byte(0);
    } else {
      const parent = trail[last]!;
      this.#out.varint(parent.frame === this.#frame ? parent.frameId : this.#define(trail, path, last));
      this.#key(path[last]!);
    }
    yield* this.#childInSteps(child);
  }

  /** Puts a child under a key of a node that `operation` or `define` named before. */
  put(node: TreeNode, key: string, child: Child): void {
    this.#out.varint(node.frameId);
    this.#key(key);
    this.#value(child);
  }

  /** As `put`, with a pause after each 1,024 members and items in the child. */
  *putInSteps(node: TreeNode, key: string, child: Child): Generator<undefined> {
    this.#out.varint(node.frameId);
    this.#key(key);
    yield* this.#childInSteps(child);
  }

  /** Names the node at the end of a trail (path has its keys), if it has no name in this frame yet. */
  name(trail: readonly TreeNode[], path: Path): void {
    if (trail[path.length]!.frame !== this.#frame) this.#define(trail, path, path.length);
  }

  take(): Uint8Array {
    this.#taken = true;
    return this.#out.written();
  }

  /** What was written, as the rest of a body. Nothing may be written after it. @param behind bytes left free behind it */
  takeRest(behind: number): BodyRest {
    const out = this.#out;
    out.reserve(behind);
    return { memory: out.bytes, from: this.#room, to: out.length };
  }

  #begin(): void {
    if (this.#out.bytes.length > KEPT_CAPACITY) this.#out = new ByteWriter(FIRST_CAPACITY);
    this.#out.length = 0;
    this.#frame = ++frames;
    this.#nodes = ROOT_ID;
    this.#time = 0;
    this.#taken = false;
    this.#dictionary.clear();
    if (this.#shapes.size > 0) this.#shapes.clear();
  }

  /** Names the nodes of a trail up to `level` that have no name yet. */
  #define(trail: readonly TreeNode[], path: Path, level: number): number {
    const root = trail[0]!;
    root.frame = this.#frame;
    root.frameId = ROOT_ID;
    let known = level;
    while (trail[known]!.frame !== this.#frame) known--;
    for (let at = known + 1; at <= level; at++) {
      this.#out.byte(0);
      this.#out.varint(trail[at - 1]!.frameId);
      const node = trail[at]!;
      this.#hashedKey(path[at - 1]!, node.keyLo);
      node.frame = this.#frame;
      node.frameId = ++this.#nodes;
    }
    return trail[level]!.frameId;
  }

  /** @returns the key's number in this body */
  #key(key: string): number {
    hashKey(key);
    return this.#hashedKey(key, lanes.lo);
  }

  #hashedKey(key: string, keyLo: number): number {
    const known = this.#dictionary.number(key, keyLo);
    this.#out.varint(known);
    if (known > 0) return known;
    this.#out.text(key);
    return this.#dictionary.size;
  }

  #value(value: Child | Value): void {
    const out = this.#out;
    switch (typeof value) {
      case 'number':
        this.#number(value);
        return;
      case 'string':
        out.byte(TEXT);
        out.text(value);
        return;
      case 'boolean':
        out.byte(value ? TRUE : FALSE);
        return;
      default:
        if (value === null) out.byte(NULL);
        else if (value instanceof TreeNode) this.#node(value);
        else if (Array.isArray(value)) this.#array(value);
        else this.#object(value as { readonly [key: string]: Value });
    }
  }

  #number(value: number): void {
    const out = this.#out;
    // Most whole numbers have 32 bits at most, and to test for these costs less than isSafeInteger.
    if (value >>> 0 === value && value < 256 - SMALL) {
      out.byte(SMALL + value);
    } else if (value >>> 0 === value) {
      out.byte(WHOLE);
      out.varint(value);
    } else if (!Number.isSafeInteger(value)) {
      out.byte(DOUBLE);
      out.double(value);
    } else if (value < 0) {
      out.byte(NEGATIVE);
      out.varint(-value);
    } else {
      out.byte(WHOLE);
      out.varint(value);
    }
  }

  *#childInSteps(child: Child): Generator<undefined> {
    if (!(child instanceof TreeNode)) {
      yield* this.#valueInSteps(child);
      return;
    }
    this.#head(OBJECT, child.size);
    if (child.branch !== undefined) {
      yield* this.#branchInSteps(child.branch);
      return;
    }
    for (const [key, member] of eachChild(child)) {
      this.#key(key);
      if (isContainer(member as Value)) yield* this.#childInSteps(member);
      else this.#value(member);
      if (++this.#items % ITEMS_A_STEP === 0) yield;
    }
  }

  *#branchInSteps(branch: Branch<Child>): Generator<undefined> {
    for (let slot = FIRST_PAIR; slot < branch.length; slot += 2) {
      const key = branch[slot];
      const child = branch[slot + 1];
      if (key === undefined) {
        yield* this.#branchInSteps(child as Branch<Child>);
      } else {
        this.#key(key as string);
        if (isContainer(child as Value)) yield* this.#childInSteps(child as Child);
        else this.#value(child as Child);
        if (++this.#items % ITEMS_A_STEP === 0) yield;
      }
    }
  }

  *#valueInSteps(value: Value): Generator<undefined> {
    this.#valueOrHead(value);
    if (!isContainer(value)) return;
    const walk = new ValueWalk(value);
    while (walk.next()) {
      if (walk.key !== undefined) this.#key(walk.key);
      this.#valueOrHead(walk.value);
      if (++this.#items % ITEMS_A_STEP === 0) yield;
    }
  }

  /** Of an array or an object only what stands before its items or members. */
  #valueOrHead(value: Value): void {
    if (!isContainer(value)) this.#value(value);
    else if (Array.isArray(value)) this.#head(ARRAY, value.length);
    else this.#head(OBJECT, Object.keys(value).length);
  }

  #head(tag: number, count: number): void {
    this.#out.byte(tag);
    this.#out.varint(count);
  }

  #array(items: readonly Value[]): void {
    this.#head(ARRAY, items.length);
    for (const item of items) this.#value(item);
  }

  #object(object: { readonly [key: string]: Value }): void {
    const keys = Object.keys(object);
    this.#head(OBJECT, keys.length);
    for (const key of keys) {
      this.#key(key);
      this.#value(object[key]!);
    }
  }

  #node(node: TreeNode): void {
    this.#head(OBJECT, node.size);
    const { shape } = node;
    if (shape === undefined) {
      forEachChild(node, (key, child) => {
        this.#key(key);
        this.#value(child);
      });
      return;
    }
    const known = this.#shapes.get(shape);
    const numbers: number[] = [];
    for (let index = 0; index < node.size; index++) {
      if (known === undefined) numbers.push(this.#key(shape.keys[index]!));
      else this.#out.varint(known[index]!);
      this.#value(slotAt(node, index)!);
    }
    if (known === undefined && this.#shapes.size < KEPT_SHAPES) this.#shapes.set(shape, numbers);
  }
}
