import { ARRAY, DELETED, HAS_AUTHOR, HAS_MESSAGE, HAS_TIME, OBJECT, ONE_OPERATION, TEXT } from './binary-format.ts';
import { assertLevels, ArrayReading } from './array-reading.ts';
import { BinaryBodyReader, malformed, type BodyHead } from './binary-reader.ts';
import type { BodySink } from './body.ts';
import { digestSteps } from '../tree/array-digest.ts';
import { dropKept, isLong, keepEntering, keepLeaving, lanes, type LongValue } from '../tree/digest.ts';
import { assign, TreeNode, type Child } from '../tree/node.ts';
import { WHOLE, type PathSetNode } from './path-set.ts';

/** Receives of a body only what it wants. */
export interface SiftingSink extends SteppedSink {
  /**
   * What is wanted of a value that is put as a child of a node; node 0 for the root itself. Undefined: nothing, it is
   * skipped. Of objects no more than that is built.
   */
  wanted(node: number, key: string): PathSetNode | undefined;
}

/** Receives a body that is read in steps. */
export interface SteppedSink extends BodySink {
  /** The child that the next put or delete takes out: the digest of an array or a long text is computed in steps before. */
  standing?(node: number, key: string, keyLo: number): Child | undefined;
}

/** Operations between two pauses of `readInSteps`, and bytes: objects and texts may be long. */
const OPERATIONS_A_STEP = 256;
const BYTES_A_STEP = 4 * 1024;

/**
 * As readBinaryBody, in steps of 256 operations or 4 KiB: the generator pauses between them, also inside an object or
 * an array that is put. A text is read in one step, and digested in others. The digest of an array is computed as it is
 * read.
 * @param sieve the sink, if it does not want everything: what it does not want is not built
 * @param changeSets how many are read: those behind them are left out
 * @throws EvertreeError FORMAT_INVALID for malformed bytes; what the sink throws
 */
export function readInSteps(
  body: Buffer,
  head: BodyHead,
  generation: number,
  { sink, sieve, changeSets }: { readonly sink: SteppedSink; readonly sieve: SiftingSink | undefined; readonly changeSets: number },
): Generator<void> {
  return new BodySteps(new BinaryBodyReader(body, generation, sink), generation, sink, sieve).read(head, changeSets);
}

class BodySteps {
  readonly #from: BinaryBodyReader;
  readonly #generation: number;
  readonly #sink: SteppedSink;
  readonly #sieve: SiftingSink | undefined;
  /** The next pause comes where this many bytes were read. */
  #pauseAt = BYTES_A_STEP;
  /** Where the change is made that needs steps, by the dictionary's numbers; node 0 for the root itself. */
  #node = 0;
  #key = 0;
  /** What is put there. */
  #tag = OBJECT;
  /** The array or long text that it takes out. */
  #leaving: LongValue | undefined;

  constructor(from: BinaryBodyReader, generation: number, sink: SteppedSink, sieve: SiftingSink | undefined) {
    this.#from = from;
    this.#generation = generation;
    this.#sink = sink;
    this.#sieve = sieve;
  }

  *read(head: BodyHead, changeSets: number): Generator<void> {
    try {
      yield* this.#read(head, changeSets);
    } finally {
      dropKept();
    }
  }

  *#read(head: BodyHead, changeSets: number): Generator<void> {
    const from = this.#from;
    from.note(head);
    let time = head.firstTime;
    let left = OPERATIONS_A_STEP;
    for (let index = 0; index < changeSets; index++) {
      const flags = from.byte();
      if (flags > 15) throw malformed('unknown flags of a change set');
      if ((flags & HAS_TIME) !== 0) time += from.varint();
      const author = (flags & HAS_AUTHOR) === 0 ? undefined : from.text();
      const message = (flags & HAS_MESSAGE) === 0 ? undefined : from.text();
      const operations = (flags & ONE_OPERATION) === 0 ? from.varint() : 1;
      this.#sink.changeSet({ time, author, message, operations });
      for (let operation = 0; operation < operations; operation++) {
        if (this.#begin()) yield* this.#change();
        if (--left > 0 && from.at < this.#pauseAt) continue;
        left = OPERATIONS_A_STEP;
        yield* this.#pause();
      }
    }
    if (changeSets === head.count) from.assertEnd();
  }

  /** Reads an operation, but leaves one that may need steps to `#change`. @returns whether it does */
  #begin(): boolean {
    const from = this.#from;
    let node = from.varint();
    while (node === 0) {
      const parent = from.varint();
      if (parent === 0) return this.#put(0, 0);
      if (parent > from.nodes) throw malformed('an undefined node');
      const key = from.key(parent);
      this.#sink.define(parent, from.keys.text(key), from.keys.lo(key), from.keys.hi(key));
      from.nodes++;
      node = from.varint();
    }
    if (node > from.nodes) throw malformed('an undefined node');
    return this.#put(node, from.key(node));
  }

  #put(node: number, key: number): boolean {
    const from = this.#from;
    const tag = from.byte();
    const name = from.keys.text(key);
    const standing = node === 0 ? undefined : this.#sink.standing?.(node, name, from.keys.lo(key));
    this.#leaving = isLong(standing) ? standing : undefined;
    const isPutInSteps = tag === OBJECT || (node !== 0 && (tag === ARRAY || (tag === TEXT && from.atLongText)));
    if (isPutInSteps || this.#leaving !== undefined) {
      this.#node = node;
      this.#key = key;
      this.#tag = tag;
      return true;
    }
    if (node === 0) this.#sink.putRoot(from.value(tag));
    else if (tag === DELETED) this.#sink.delete(node, name, from.keys.lo(key), from.keys.hi(key));
    else if (this.#wanted(node, name) === undefined) from.skip(tag);
    else this.#sink.put(node, name, from.keys.lo(key), from.keys.hi(key), from.value(tag));
    return false;
  }

  *#change(): Generator<void> {
    const { keys } = this.#from;
    const [node, key, tag, leaving] = [this.#node, this.#key, this.#tag, this.#leaving];
    const wanted = tag === DELETED ? WHOLE : this.#wanted(node, node === 0 ? '' : keys.text(key));
    if (wanted === undefined) return yield* this.#skip(tag);
    if (node === 0) return this.#sink.putRoot(yield* this.#object(wanted));
    if (leaving !== undefined) yield* digestSteps(leaving);
    const { lo, hi } = lanes;
    const child = tag === DELETED ? undefined : yield* this.#value(tag, wanted);
    if (leaving !== undefined) keepLeaving(leaving, lo, hi);
    if (child === undefined) this.#sink.delete(node, keys.text(key), keys.lo(key), keys.hi(key));
    else this.#sink.put(node, keys.text(key), keys.lo(key), keys.hi(key), child);
  }

  #wanted(node: number, key: string): PathSetNode | undefined {
    return this.#sieve === undefined ? WHOLE : this.#sieve.wanted(node, key);
  }

  *#value(tag: number, wanted: PathSetNode): Generator<void, Child> {
    if (tag === OBJECT) return yield* this.#object(wanted);
    if (tag === ARRAY) return yield* this.#array();
    const leaf = this.#from.value(tag);
    if (isLong(leaf)) {
      yield* this.#pause();
      yield* digestSteps(leaf);
      keepEntering(leaf, lanes.lo, lanes.hi);
    }
    return leaf;
  }

  *#array(): Generator<void, Child> {
    const reading = new ArrayReading(this.#from);
    while (!reading.readTo(this.#pauseAt)) yield* this.#pause();
    keepEntering(reading.array, lanes.lo, lanes.hi);
    return reading.array;
  }

  *#object(top: PathSetNode): Generator<void, TreeNode> {
    const from = this.#from;
    const { keys } = from;
    const above: { readonly node: TreeNode; readonly wanted: PathSetNode; readonly key: number; readonly left: number }[] = [];
    let wanted = top;
    let node = new TreeNode(this.#generation);
    for (let left = from.varint(); ;) {
      while (left > 0) {
        left--;
        const key = from.key(0);
        const tag = from.byte();
        const inside = wanted.isWhole ? WHOLE : wanted.children.get(keys.text(key));
        if (inside === undefined) {
          yield* this.#skip(tag);
        } else if (tag === OBJECT) {
          above.push({ node, wanted, key, left });
          assertLevels(above.length);
          wanted = inside;
          node = new TreeNode(this.#generation);
          left = from.varint();
        } else {
          const isLongText = tag === TEXT && from.atLongText;
          const child = tag === ARRAY || isLongText ? yield* this.#value(tag, inside) : from.value(tag);
          assign(node, keys.text(key), keys.lo(key), keys.hi(key), undefined, child);
        }
        if (from.at >= this.#pauseAt) yield* this.#pause();
      }
      const outer = above.pop();
      if (outer === undefined) return node;
      const { key } = outer;
      assign(outer.node, keys.text(key), keys.lo(key), keys.hi(key), undefined, node);
      ({ node, wanted, left } = outer);
    }
  }

  /** Reads over a value. Its keys enter the dictionary nevertheless. */
  *#skip(tag: number): Generator<void> {
    const from = this.#from;
    if (tag !== OBJECT && tag !== ARRAY) return from.skip(tag);
    const levels = [{ isObject: tag === OBJECT, left: from.varint() }];
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      if (level.left-- === 0) {
        levels.pop();
        continue;
      }
      if (level.isObject) from.passKey();
      const inner = from.byte();
      if (inner === OBJECT || inner === ARRAY) {
        assertLevels(levels.length);
        levels.push({ isObject: inner === OBJECT, left: from.varint() });
      } else {
        from.skip(inner);
      }
      if (from.at >= this.#pauseAt) yield* this.#pause();
    }
  }

  *#pause(): Generator<void> {
    this.#pauseAt = this.#from.at + BYTES_A_STEP;
    yield;
  }
}
