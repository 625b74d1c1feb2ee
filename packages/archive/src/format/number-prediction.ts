import { releaseMemory } from './memory.ts';
import type { PathNumbers } from './path-numbers.ts';

/** Differences at least this large are not coded: the number itself is. */
export const DIFFERENCE_LIMIT = 0x4000_0000;

const WIDE_BITS = 40;
const GUESSES = 4;

/**
 * Guesses the numbers of an object's values, for whoever writes columns and for whoever reads them: each calls `guess`,
 * then `learn`. ARCHIVE.md, «Columns», is normative.
 */
export class NumberPrediction {
  /** Know the number at each path. */
  readonly #paths: PathNumbers;
  // By key; 0 is for what is under no key.
  #atKey = new Float64Array(64);
  #costs = new Int32Array(64 * GUESSES);
  #before = 0;

  constructor(paths: PathNumbers) {
    this.#paths = paths;
  }

  /** @param path of an operation's own value; -1 for what is inside of one */
  guess(path: number, key: number): number {
    if (key >= this.#atKey.length) this.#growKeys(key);
    const costs = this.#costs;
    const first = key * GUESSES;
    let guess = this.#before;
    let least = costs[first + 1]!;
    if (costs[first + 2]! < least) {
      least = costs[first + 2]!;
      guess = this.#atKey[key]!;
    }
    if (costs[first + 3]! < least) {
      least = costs[first + 3]!;
      guess = 0;
    }
    if (path < 0) return guess;
    const atPath = this.#paths.value(path);
    return atPath === atPath && costs[first]! <= least ? atPath : guess;
  }

  learn(path: number, key: number, value: number): void {
    const costs = this.#costs;
    const first = key * GUESSES;
    if (path >= 0) {
      const atPath = this.#paths.value(path);
      if (atPath === atPath) costs[first] = costs[first]! - (costs[first]! >> 4) + bitsOf(value - atPath);
      this.#paths.setValue(path, value);
    }
    costs[first + 1] = costs[first + 1]! - (costs[first + 1]! >> 4) + bitsOf(value - this.#before);
    costs[first + 2] = costs[first + 2]! - (costs[first + 2]! >> 4) + bitsOf(value - this.#atKey[key]!);
    costs[first + 3] = costs[first + 3]! - (costs[first + 3]! >> 4) + bitsOf(value);
    this.#before = value;
    this.#atKey[key] = value;
  }

  /** Gives the memory back. Nothing may be asked afterwards. */
  release(): void {
    releaseMemory(this.#atKey);
    releaseMemory(this.#costs);
  }

  #growKeys(key: number): void {
    const length = Math.max(key + 1, this.#atKey.length * 2);
    const values = new Float64Array(length);
    values.set(this.#atKey);
    this.#atKey = values;
    const costs = new Int32Array(length * GUESSES);
    costs.set(this.#costs);
    this.#costs = costs;
  }
}

function bitsOf(difference: number): number {
  const size = Math.abs(difference);
  return size < DIFFERENCE_LIMIT ? 32 - Math.clz32(size) : WIDE_BITS;
}
