import type { Divergence, Divergences, KeptDivergence, StoredFrame } from '@evertree/core';
import { addRevisions, DivergenceSummary, divergenceName } from '@evertree/core';
import { holdsAll, noRoom, unknownDivergence } from './kept.ts';

interface DivergenceInMemory {
  readonly kept: KeptDivergence;
  readonly frames: readonly StoredFrame[];
}

/** The divergences of a journal in memory. They end with the process. */
export class MemoryDivergences implements Divergences {
  readonly #assertOpen: () => void;
  readonly #maxBytes: number;
  /** By name, the oldest first. */
  readonly #entries = new Map<string, DivergenceInMemory>();

  constructor(assertOpen: () => void, maxBytes: number) {
    this.#assertOpen = assertOpen;
    this.#maxBytes = maxBytes;
  }

  list(): readonly KeptDivergence[] {
    return [...this.#entries.values()].map(({ kept }) => kept);
  }

  async keep(divergence: Divergence, keptAt: number): Promise<KeptDivergence> {
    this.#assertOpen();
    const name = divergenceName(divergence);
    const former = this.#entries.get(name)?.kept;
    if (former !== undefined && holdsAll(former, divergence)) return former;
    const { frames, bytes, summary } = await this.#gather(divergence, former);
    this.#assertOpen();
    const { base, last, missing } = divergence;
    const { commits, firstTime, lastTime, authors, paths, marks } = summary;
    const replayed = former?.replayed ?? [];
    const named = marks === undefined ? {} : { marks };
    const kept = { name, base, last, missing, commits, firstTime, lastTime, authors, paths, ...named, keptAt, bytes, replayed };
    this.#entries.set(name, { kept, frames });
    return kept;
  }

  read(name: string): AsyncIterable<StoredFrame> {
    this.#assertOpen();
    return framesOf(this.#entry(name));
  }

  async markReplayed(name: string, revisions: readonly number[]): Promise<void> {
    this.#assertOpen();
    const { kept, frames } = this.#entry(name);
    this.#entries.set(name, { kept: { ...kept, replayed: addRevisions(kept.replayed, revisions) }, frames });
  }

  async forget(name: string): Promise<boolean> {
    this.#assertOpen();
    return this.#entries.delete(name);
  }

  async #gather(divergence: Divergence, former: KeptDivergence | undefined) {
    const otherBytes = this.list().reduce((sum, kept) => sum + kept.bytes, 0) - (former?.bytes ?? 0);
    const frames: StoredFrame[] = [];
    const summary = new DivergenceSummary();
    let bytes = 0;
    for await (const stored of divergence.frames()) {
      frames.push(stored);
      summary.add(stored.frame);
      bytes += stored.frame.bytes.length;
      if (otherBytes + bytes > this.#maxBytes) throw noRoom(divergence, otherBytes, this.#maxBytes);
    }
    return { frames, bytes, summary };
  }

  #entry(name: string): DivergenceInMemory {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw unknownDivergence(name);
    return entry;
  }
}

async function* framesOf({ frames }: DivergenceInMemory): AsyncGenerator<StoredFrame, void, undefined> {
  yield* frames;
}
