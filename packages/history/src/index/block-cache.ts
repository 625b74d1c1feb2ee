import type { RunBlock } from './run-block.ts';

interface CachedBlock {
  readonly block: RunBlock;
  readonly offset: number;
  readonly owner: Map<number, CachedBlock>;
}

/** The blocks of some runs that were used last, within a bound. */
export class BlockCache {
  readonly #limitBytes: number;
  /** The one that was used last comes last. */
  readonly #blocks = new Set<CachedBlock>();
  #bytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The part of the cache for one run, which no other run sees. */
  part(): CachePart {
    const owner = new Map<number, CachedBlock>();
    return {
      get: offset => {
        const cached = owner.get(offset);
        if (cached === undefined) return undefined;
        this.#blocks.delete(cached);
        this.#blocks.add(cached);
        return cached.block;
      },
      put: (offset, block) => this.#put({ block, offset, owner }),
      clear: () => {
        for (const cached of owner.values()) this.#drop(cached);
      },
    };
  }

  #put(cached: CachedBlock): void {
    const known = cached.owner.get(cached.offset);
    if (known !== undefined) this.#drop(known);
    cached.owner.set(cached.offset, cached);
    this.#blocks.add(cached);
    this.#bytes += cached.block.heldBytes;
    for (const oldest of this.#blocks) {
      if (this.#bytes <= this.#limitBytes) return;
      this.#drop(oldest);
    }
  }

  #drop(cached: CachedBlock): void {
    cached.owner.delete(cached.offset);
    this.#blocks.delete(cached);
    this.#bytes -= cached.block.heldBytes;
  }
}

/** The blocks of one run in a cache, by their offsets. */
export interface CachePart {
  get(offset: number): RunBlock | undefined;
  put(offset: number, block: RunBlock): void;
  clear(): void;
}
