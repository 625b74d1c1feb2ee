import { mixed, NumberTable } from './number-table.ts';
import type { PathNumbers } from './path-numbers.ts';

/** So many paths wait to be put into the table: the processor then waits for the memory of all of them together. */
const WAITING_PATHS = 16;

/** Finds the paths of an object by the path above and the last key. */
export class PathFinder {
  readonly #paths: PathNumbers;
  readonly #table: NumberTable;
  readonly #waiting = new Uint32Array(WAITING_PATHS);
  #waitingCount = 0;

  /** @param expected how many paths it is made for; it grows beyond that */
  constructor(paths: PathNumbers, expected: number) {
    this.#paths = paths;
    this.#table = new NumberTable(expected, path => this.#hashOf(path));
  }

  /** @returns the path, or 0 if there is none */
  find(parent: number, key: number): number {
    const hash = pathHash(parent, key);
    const path = this.#search(hash, parent, key);
    if (path !== 0 || this.#waitingCount === 0) return path;
    this.#putWaiting();
    return this.#search(hash, parent, key);
  }

  /** Adds a path that is not there yet. */
  add(path: number): void {
    if (this.#waitingCount === WAITING_PATHS) this.#putWaiting();
    this.#waiting[this.#waitingCount++] = path;
  }

  /** Gives the memory back. Nothing may be asked afterwards. */
  release(): void {
    this.#table.release();
  }

  #search(hash: number, parent: number, key: number): number {
    const table = this.#table;
    for (let place = table.place(hash); !table.isEmpty(place); place = table.next(place)) {
      const path = table.at(place, hash);
      if (path !== 0 && this.#paths.is(path, parent, key)) return path;
    }
    return 0;
  }

  #putWaiting(): void {
    const table = this.#table;
    for (let index = 0; index < this.#waitingCount; index++) {
      const path = this.#waiting[index]!;
      const hash = this.#hashOf(path);
      let place = table.place(hash);
      while (!table.isEmpty(place)) place = table.next(place);
      table.put(place, hash, path);
    }
    this.#waitingCount = 0;
  }

  #hashOf(path: number): number {
    return pathHash(this.#paths.parent(path), this.#paths.key(path));
  }
}

function pathHash(parent: number, key: number): number {
  return mixed(Math.imul(parent, 0x9e37_79b1) + key);
}
