import type { StoredFrame } from '@evertree/core';

/** The newest stable frames, in memory, so that readers that keep up never touch the disk. */
export class FrameTail {
  readonly #limitBytes: number;
  readonly #limitFrames: number;
  /** The slots before `#first` are empty. They are cut off when they are more than half. */
  #frames: (StoredFrame | undefined)[] = [];
  #first = 0;
  #bytes = 0;

  constructor(limitBytes: number, limitFrames = Infinity) {
    this.#limitBytes = limitBytes;
    this.#limitFrames = limitFrames;
  }

  push(stored: StoredFrame): void {
    this.#frames.push(stored);
    this.#bytes += frameBytes(stored);
    while (this.#isOver()) {
      this.#bytes -= frameBytes(this.#frames[this.#first]!);
      this.#frames[this.#first++] = undefined;
    }
    if (this.#first * 2 > this.#frames.length) {
      this.#frames = this.#frames.slice(this.#first);
      this.#first = 0;
    }
  }

  #isOver(): boolean {
    const count = this.#frames.length - this.#first;
    return count > 0 && (this.#bytes > this.#limitBytes || count > this.#limitFrames);
  }

  clear(): void {
    this.#frames = [];
    this.#first = 0;
    this.#bytes = 0;
  }

  /** Forgets the frames after `revision`, which ends one of them. */
  dropAfter(revision: number): void {
    const end = this.#search(revision);
    for (const stored of this.#frames.splice(end)) this.#bytes -= frameBytes(stored!);
  }

  /** The last frame for which `test` is true. */
  findLast(test: (stored: StoredFrame) => boolean): StoredFrame | undefined {
    for (let index = this.#frames.length - 1; index >= this.#first; index--) {
      const stored = this.#frames[index]!;
      if (test(stored)) return stored;
    }
    return undefined;
  }

  /** The oldest frame held. */
  oldest(): StoredFrame | undefined {
    return this.#frames[this.#first];
  }

  /** The frame that follows `revision`, if it is held. */
  after(revision: number): StoredFrame | undefined {
    const found = this.#frames[this.#search(revision)];
    return found?.frame.header.base.revision === revision ? found : undefined;
  }

  /** The frame with the change set of `revision`, if it is held. */
  holding(revision: number): StoredFrame | undefined {
    const index = this.#search(revision) - 1;
    const found = index < this.#first ? undefined : this.#frames[index];
    return found !== undefined && found.frame.header.last.revision >= revision ? found : undefined;
  }

  /** Index of the first frame whose base is at or after `revision`. */
  #search(revision: number): number {
    let low = this.#first;
    let high = this.#frames.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#frames[middle]!.frame.header.base.revision < revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function frameBytes(stored: StoredFrame): number {
  return stored.frame.bytes.length + (stored.trailer?.length ?? 0);
}
