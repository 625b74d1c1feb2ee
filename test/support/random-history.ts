import { decodeFrame, type Frame, type Path, type Store, type Transaction, type Value } from '@evertree/core';

/** Keys that are hard on an index: empty, with separators, control characters, beyond ASCII, in either order of units and code points. */
const ODD_KEYS = [
  '',
  '/',
  '~',
  '~1',
  '__proto__',
  'constructor',
  '0',
  '\0',
  '\u0001',
  '\u0000\u0001',
  'é',
  'ÿ',
  '\uE000',
  '🌲',
  '🌲🌲',
  ' ',
];

/** A generator of numbers in [0, 1) that a seed decides. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** Commits whatever a history may hold, at random: the same for the same seed. */
export class RandomHistory {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seeded(seed);
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  key(): string {
    return this.below(4) === 0 ? this.pick(ODD_KEYS) : `k${this.below(12)}`;
  }

  path(): string[] {
    return Array.from({ length: 1 + this.below(4) }, () => this.key());
  }

  value(depth = 0): Value {
    const kind = this.below(depth > 2 ? 6 : 9);
    if (kind === 0) return this.pick([null, true, false, 0, 223, 224, -1, 2 ** 52, 1.5, -0.001]);
    if (kind < 4) return this.below(1_000_000);
    if (kind < 6) return `text ${this.key()} ${this.below(100)}`;
    if (kind === 6) return Array.from({ length: this.below(4) }, () => this.value(depth + 1));
    const size = kind === 7 || this.below(6) > 0 ? this.below(4) : this.below(60);
    return Object.fromEntries(Array.from({ length: size }, (_, n) => [size > 8 ? `w${n}` : this.key(), this.value(depth + 1)]));
  }

  /** One commit of one or several operations. It may change nothing, and then makes no change set. */
  commit(store: Store): void {
    const kind = this.below(60);
    const options = {
      ...(this.below(3) === 0 ? { author: `author ${this.below(3)}` } : {}),
      ...(this.below(5) === 0 ? { message: `🌲 message ${this.below(100)}` } : {}),
    };
    if (kind === 0) store.put([], { root: this.below(100), k1: this.value() }, options);
    else if (kind === 1) store.mark(this.pick(['one', 'two']), { ...options, move: true });
    else if (kind === 2) beginEpoch(store, this);
    else
      store.transact(tx => {
        for (let left = kind === 3 ? 300 : kind < 10 ? 1 + this.below(6) : 1; left > 0; left--) {
          const path = this.path();
          clearWay(tx, path);
          if (this.below(5) === 0) tx.delete(path);
          else tx.put(path, this.value());
        }
      }, options);
  }
}

function beginEpoch(store: Store, history: RandomHistory): void {
  if (store.position.revision === 0) return;
  const id = Array.from({ length: 16 }, () => history.below(16).toString(16)).join('');
  store.beginEpoch({ number: store.position.epoch + 1, id }, 'a test asked for it');
}

/** Deletes a leaf or an array that a path would lead through. */
function clearWay(tx: Transaction, path: Path): void {
  for (let level = 1; level < path.length; level++) {
    const above = tx.get(path.slice(0, level));
    if (typeof above === 'object' && above !== null && !Array.isArray(above)) continue;
    if (above !== undefined) tx.delete(path.slice(0, level));
    return;
  }
}

/** An operation of a history, as its frames tell it. */
export interface ToldTouch {
  readonly revision: number;
  readonly operation: number;
  readonly kind: 'put' | 'delete';
  readonly path: Path;
  readonly value: Value | undefined;
  readonly epoch: number;
  readonly time: number;
  readonly author: string | undefined;
  readonly message: string | undefined;
}

/** All operations of some frames, the oldest first. */
export function touchesOf(frames: readonly Frame[]): ToldTouch[] {
  return frames.flatMap(frame =>
    decodeFrame(frame).changeSets.flatMap(({ revision, time, author, message, operations }) =>
      operations.map((operation, index) => ({
        revision,
        operation: index,
        kind: operation.type,
        path: operation.path,
        value: operation.type === 'put' ? operation.value : undefined,
        epoch: frame.header.epoch,
        time,
        author,
        message,
      })),
    ),
  );
}

/** Whether a path is another one or below it. */
export function isAtOrBelow(path: Path, above: Path): boolean {
  return above.every((key, level) => path[level] === key);
}

/** The order of paths in an index: by their segments, each by its code points. */
export function comparePaths(a: Path, b: Path): number {
  for (let level = 0; level < Math.min(a.length, b.length); level++) {
    const order = Buffer.compare(Buffer.from(a[level]!), Buffer.from(b[level]!));
    if (order !== 0) return order;
  }
  return a.length - b.length;
}
