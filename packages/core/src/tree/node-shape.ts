import { hashKey, lanes } from './digest.ts';

/**
 * The most steps from one shape to another that are known at a time: a few MiB. Before one more, all are forgotten, or
 * objects with keys of their own, such as ids, would fill the memory. A shape that nodes have stays theirs; nodes that
 * come later share new ones.
 */
export const STEPS_LIMIT = 4_096;

/**
 * The keys of a narrow node, in the order in which they were added. As a rule many nodes have the same shape, and it
 * stays in the processor's caches: which child belongs to a key is found without a look at the keys of the node itself.
 * It never changes.
 */
export class NodeShape {
  readonly keys: readonly string[];
  /**
   * Pairs of a key and its index in `keys`, in places by the keys' hashes; undefined until somebody asks. A key has the
   * first free place from that of its hash on, and half of the places at least are free.
   */
  #places: (string | number | undefined)[] | undefined;
  /** The shapes with one key more that were asked for, by that key. */
  #next: Map<string, NodeShape> | undefined;
  /** The last one of these. */
  #lastKey: string | undefined;
  #last: NodeShape | undefined;

  private constructor(keys: readonly string[]) {
    this.keys = keys;
  }

  static readonly empty = new NodeShape([]);

  /** The index of a key; -1 if the shape does not have it. @param keyLo low lane of the key's hash */
  indexOf(key: string, keyLo: number): number {
    const places = this.#places ?? this.#makePlaces();
    const mask = places.length - 2;
    for (let place = (keyLo << 1) & mask; ; place = (place + 2) & mask) {
      const found = places[place];
      if (found === undefined) return -1;
      if (found === key) return places[place + 1] as number;
    }
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

  #makePlaces(): (string | number | undefined)[] {
    let length = 4;
    while (length < this.keys.length * 4) length *= 2;
    const places: (string | number | undefined)[] = [];
    while (places.length < length) places.push(undefined);
    for (const [index, key] of this.keys.entries()) {
      hashKey(key);
      let place = (lanes.lo << 1) & (length - 2);
      while (places[place] !== undefined) place = (place + 2) & (length - 2);
      places[place] = key;
      places[place + 1] = index;
    }
    this.#places = places.slice();
    return this.#places;
  }
}

/** How many steps from one shape to another are known, and the shapes from which they lead. */
let steps = 0;
const withSteps: NodeShape[] = [];
