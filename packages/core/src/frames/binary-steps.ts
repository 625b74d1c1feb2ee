import { ARRAY, DELETED, HAS_AUTHOR, HAS_MESSAGE, HAS_TIME, OBJECT, ONE_OPERATION } from './binary-format.ts';
import { BinaryBodyReader, malformed, type BodyHead } from './binary-reader.ts';
import type { BodySink } from './body.ts';
import { assign, TreeNode, type Child } from '../tree/node.ts';
import type { Value } from '../tree/value.ts';

/** Receives of a body only what it wants. */
export interface SiftingSink extends BodySink {
  /** Whether `put` is wanted for a child of a node: else its value is skipped. */
  wants(node: number, key: string): boolean;
}

/** Operations between two pauses of `readInSteps`, and bytes: objects and texts may be long. */
const OPERATIONS_A_STEP = 256;
const BYTES_A_STEP = 16 * 1024;

/**
 * As readBinaryBody, in steps of 256 operations or 16 KiB: the generator pauses between them, also inside an object that
 * is put. A text or an array is read whole.
 * @param sieve the sink, if it does not want everything: what it does not want is not built
 * @param changeSets how many are read: those behind them are left out
 * @throws EvertreeError FORMAT_INVALID for malformed bytes; what the sink throws
 */
export function readInSteps(
  body: Buffer,
  head: BodyHead,
  generation: number,
  { sink, sieve, changeSets }: { readonly sink: BodySink; readonly sieve: SiftingSink | undefined; readonly changeSets: number },
): Generator<void> {
  return new BodySteps(new BinaryBodyReader(body, generation, sink), generation, sink, sieve).read(head, changeSets);
}

class BodySteps {
  readonly #from: BinaryBodyReader;
  readonly #generation: number;
  readonly #sink: BodySink;
  readonly #sieve: SiftingSink | undefined;
  /** The next pause comes where this many bytes were read. */
  #pauseAt = BYTES_A_STEP;
  /** Where the container is put that is read next, by the dictionary's numbers; node 0 for the root itself. */
  #node = 0;
  #key = 0;
  /** OBJECT or ARRAY. */
  #tag = OBJECT;

  constructor(from: BinaryBodyReader, generation: number, sink: BodySink, sieve: SiftingSink | undefined) {
    this.#from = from;
    this.#generation = generation;
    this.#sink = sink;
    this.#sieve = sieve;
  }

  *read(head: BodyHead, changeSets: number): Generator<void> {
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
        if (this.#begin()) yield* this.#putContainer();
        if (--left > 0 && from.at < this.#pauseAt) continue;
        left = OPERATIONS_A_STEP;
        yield* this.#pause();
      }
    }
    if (changeSets === head.count) from.assertEnd();
  }

  /** Reads an operation, but leaves an object or an array that it puts to #putContainer. @returns whether there is one */
  #begin(): boolean {
    const from = this.#from;
    let node = from.varint();
    while (node === 0) {
      const parent = from.varint();
      if (parent === 0) return this.#put(0, 0);
      if (parent > from.nodes) throw malformed('an undefined node');
      const key = from.key(parent);
      this.#sink.define(parent, from.keys[key]!, from.keyLo[key]!, from.keyHi[key]!);
      from.nodes++;
      node = from.varint();
    }
    if (node > from.nodes) throw malformed('an undefined node');
    return this.#put(node, from.key(node));
  }

  #put(node: number, key: number): boolean {
    const from = this.#from;
    const tag = from.byte();
    if (tag === OBJECT || (tag === ARRAY && node !== 0)) {
      this.#node = node;
      this.#key = key;
      this.#tag = tag;
      return true;
    }
    if (node === 0) this.#sink.putRoot(from.value(tag));
    else if (tag === DELETED) this.#sink.delete(node, from.keys[key]!, from.keyLo[key]!, from.keyHi[key]!);
    else if (this.#sieve?.wants(node, from.keys[key]!) === false) from.skip(tag);
    else this.#sink.put(node, from.keys[key]!, from.keyLo[key]!, from.keyHi[key]!, from.value(tag));
    return false;
  }

  *#putContainer(): Generator<void> {
    const { keys, keyLo, keyHi } = this.#from;
    const [node, key, tag] = [this.#node, this.#key, this.#tag];
    if (node === 0) this.#sink.putRoot(yield* this.#object());
    else if (this.#sieve?.wants(node, keys[key]!) !== false)
      this.#sink.put(node, keys[key]!, keyLo[key]!, keyHi[key]!, yield* tag === OBJECT ? this.#object() : this.#array());
    else if (tag === OBJECT) yield* this.#skipObject();
    else this.#from.skip(tag);
  }

  *#array(): Generator<void, Child> {
    const from = this.#from;
    const items: Value[] = [];
    for (let left = from.varint(); left > 0; left--) {
      items.push(from.plain(from.byte()));
      if (from.at >= this.#pauseAt) yield* this.#pause();
    }
    return Object.freeze(items) as Child;
  }

  *#object(): Generator<void, TreeNode> {
    const from = this.#from;
    const { keys, keyLo, keyHi } = from;
    const above: { readonly node: TreeNode; readonly key: number; readonly left: number }[] = [];
    let node = new TreeNode(this.#generation);
    for (let left = from.varint(); ;) {
      while (left > 0) {
        left--;
        const key = from.key(0);
        const tag = from.byte();
        if (tag === OBJECT) {
          above.push({ node, key, left });
          node = new TreeNode(this.#generation);
          left = from.varint();
        } else {
          const child = tag === ARRAY ? yield* this.#array() : from.value(tag);
          assign(node, keys[key]!, keyLo[key]!, keyHi[key]!, undefined, child);
        }
        if (from.at >= this.#pauseAt) yield* this.#pause();
      }
      const outer = above.pop();
      if (outer === undefined) return node;
      const { key } = outer;
      assign(outer.node, keys[key]!, keyLo[key]!, keyHi[key]!, undefined, node);
      ({ node, left } = outer);
    }
  }

  /** Its keys enter the dictionary nevertheless. */
  *#skipObject(): Generator<void> {
    const from = this.#from;
    for (let left = from.varint(); left > 0; left--) {
      from.key(0);
      const tag = from.byte();
      if (tag === OBJECT) left += from.varint();
      else from.skip(tag);
      if (from.at >= this.#pauseAt) yield* this.#pause();
    }
  }

  *#pause(): Generator<void> {
    this.#pauseAt = this.#from.at + BYTES_A_STEP;
    yield;
  }
}
