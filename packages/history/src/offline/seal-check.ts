import type { ExactPosition } from '@evertree/core';
import { formatExactPosition, samePosition } from '@evertree/core';
import type { FoundSeal, StoredRecord } from '@evertree/journal/files';
import type { DamageList } from './damage.ts';

/** Entries of a seal are at least so far apart. */
const SEAL_STEP_BYTES = 64 * 1024;

/** Compares a seal with the records before it. */
export class SealCheck {
  readonly #found: FoundSeal | undefined;
  readonly #path: string;
  readonly #list: DamageList;
  /** Entries that were met. */
  #met = 0;

  constructor(found: FoundSeal | undefined, path: string, list: DamageList) {
    this.#found = found;
    this.#path = path;
    this.#list = list;
  }

  record({ frame: { header } }: StoredRecord, offset: number): void {
    const entry = this.#found?.seal.entries[this.#met];
    if (entry?.offset !== offset) return;
    const before = this.#found!.seal.entries[this.#met - 1];
    this.#met++;
    const isFar = before === undefined || offset - before.offset >= SEAL_STEP_BYTES;
    if (entry.revision !== header.base.revision || entry.time !== header.firstTime || !isFar)
      this.#damage('its index is not that of its records');
  }

  end(last: ExactPosition, lastTime: number, offset: number): void {
    if (this.#found === undefined) return;
    const { seal } = this.#found;
    if (offset !== this.#found.offset) this.#damage('there are bytes between the last record and the seal');
    else if (!samePosition(seal.last, last))
      this.#damage(`it says that the segment ends at ${formatExactPosition(seal.last)}, not at ${formatExactPosition(last)}`);
    else if (seal.lastTime !== lastTime) this.#damage(`it says that the last commit is of ${seal.lastTime}, not of ${lastTime}`);
    else if (this.#met < seal.entries.length) this.#damage('its index leads to places where no record begins');
  }

  #damage(problem: string): void {
    this.#list.damage(this.#path, this.#found!.offset, `the seal: ${problem}`);
  }
}
