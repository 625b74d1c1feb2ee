import { hashKey, lanes } from './digest.ts';

/**
 * The most steps from one shape to another that are known at a time: a few MiB. Before one more, all are forgotten, or
 * objects with keys of their own, such as ids, would fill the memory. A shape that nodes have stays theirs; nodes that
 * come later share new ones.
 */
export const STEPS_LIMIT = 4_096;

/** So often a shape is asked for an index before it makes a table: one that a single node has is not worth it. */
export const ASKED_FIRST = 16;

const NONE: readonly number[] = [];

/**
 * The keys of a narrow node, in the order in which they were added. As a rule many nodes have the same shape, and it
 * stays in the processor's caches: which child belongs to a key is found without a look at the keys of the node itself.
 * It never changes.
 */
export class NodeShape {
  readonly keys: readonly string[];
  /**
   * Indices by keys. V8 keeps a hash of its own in each string, so that this takes a third of the time in which a key's
   * hash is computed.
   */
  #table: Map<string, number> | undefined;
  /** The keys' hashes, by index, once there is a table. */
  #lows = NONE;
  #highs = NONE;
  #asked = 0;
  /** The shapes with one key more that were asked for, by that key. */
  #next: Map<string, NodeShape> | undefined;
  /** The last one of these. */
  #lastKey: string | undefined;
  #last: NodeShape | undefined;

  private constructor(keys: readonly string[]) {
    this.keys = keys;
  }

  static readonly empty = new NodeShape([]);

  /** The index of a key; -1 if the shape does not have it. */
  indexOf(key: string): number {
    if (this.#table !== undefined) return this.#table.get(key) ?? -1;
    const { keys } = this;
    // A path leads through many objects of one key, which is compared in half the time that a table takes.
    if (keys.length === 1) return keys[0] === key ? 0 : -1;
    if (++this.#asked > ASKED_FIRST) this.#makeTable();
    return keys.indexOf(key);
  }

  /** Leaves the hash of the key at an index in `lanes`. */
  hashAt(index: number): void {
    if (this.#table === undefined) {
      hashKey(this.keys[index]!);
      return;
    }
    lanes.lo = this.#lows[index]!;
    lanes.hi = this.#highs[index]!;
  }

  /** The shape with another key behind these. */
  with(key: string): NodeShape {
    if (this.#lastKey === key) return this.#last!;
    const next = this.#next?.get(key) ?? this.#make(key);
    this.#lastKey = key;
    this.#last = next;
    return next;
  }

  /** The shape without the key at an index. */
  without(index: number): NodeShape {
    let shape = NodeShape.empty;
    for (let at = 0; at < this.keys.length; at++) if (at !== index) shape = shape.with(this.keys[at]!);
    return shape;
  }

  #make(key: string): NodeShape {
    if (steps === STEPS_LIMIT) {
      for (const shape of withSteps) shape.#forget();
      withSteps.length = steps = 0;
    }
    steps++;
    const next = new NodeShape(this.keys.toSpliced(this.keys.length, 0, key));
    if (this.#next === undefined) {
      this.#next = new Map();
      withSteps.push(this);
    }
    this.#next.set(key, next);
    return next;
  }

  #forget(): void {
    this.#next = this.#lastKey = this.#last = undefined;
  }

  #makeTable(): void {
    const hashes = this.keys.map(key => {
      hashKey(key);
      return { ...lanes };
    });
    this.#lows = hashes.map(({ lo }) => lo);
    this.#highs = hashes.map(({ hi }) => hi);
    this.#table = new Map(this.keys.map((key, index) => [key, index]));
  }
}

/** How many steps from one shape to another are known, and the shapes from which they lead. */
let steps = 0;
const withSteps: NodeShape[] = [];
