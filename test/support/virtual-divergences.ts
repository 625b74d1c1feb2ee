import type { Divergence, Divergences, JournalState, KeptDivergence, StoredFrame, Stretch } from '@evertree/core';
import { addRevisions, DivergenceSummary, divergenceName, EvertreeError } from '@evertree/core';

/** A divergence in a `VirtualStorage`. */
export interface VirtualDivergence {
  readonly kept: KeptDivergence;
  readonly frames: readonly StoredFrame[];
}

type Divergent = Map<string, VirtualDivergence>;

/** What the divergences need of the log. */
interface SyncedLog {
  readonly state: JournalState;
  assertOpen(): void;
  sync(): Promise<void>;
}

/** The divergences of a `VirtualJournal`: each change takes one sync. */
export class VirtualDivergences implements Divergences {
  /** What may be kept; a test may lower it. */
  maxBytes = Infinity;
  /** By name, the oldest first; they survive a crash. */
  readonly #stored: Divergent;
  readonly #log: SyncedLog;

  constructor(stored: Divergent, log: SyncedLog) {
    this.#stored = stored;
    this.#log = log;
  }

  list(): readonly KeptDivergence[] {
    return [...this.#stored.values()].map(({ kept }) => kept);
  }

  async keep(divergence: Divergence, keptAt: number): Promise<KeptDivergence> {
    const { base, last, missing } = divergence;
    const name = divergenceName(divergence);
    const known = this.#stored.get(name)?.kept;
    if (known !== undefined && endOf(known.missing) <= endOf(missing)) return known;
    const frames: StoredFrame[] = [];
    const summary = new DivergenceSummary();
    for await (const stored of divergence.frames()) {
      frames.push(stored);
      summary.add(stored.frame);
    }
    const bytes = frames.reduce((sum, { frame }) => sum + frame.bytes.length, 0);
    const others = this.list().filter(kept => kept.name !== name);
    const isOver = others.reduce((sum, kept) => sum + kept.bytes, bytes) > this.maxBytes;
    if (isOver || this.#log.state === 'full') throw new EvertreeError('STORAGE_FULL', `no room to keep the divergence ${name}`, { name });
    await this.#sync();
    const { commits, firstTime, lastTime, authors, paths, marks } = summary;
    const named = marks === undefined ? {} : { marks };
    const replayed = known?.replayed ?? [];
    const kept = { name, base, last, missing, commits, firstTime, lastTime, authors, paths, ...named, keptAt, bytes, replayed };
    this.#stored.set(name, { kept, frames });
    return kept;
  }

  read(name: string): AsyncIterable<StoredFrame> {
    this.#log.assertOpen();
    const { frames } = this.#known(name);
    return (async function* () {
      yield* frames;
    })();
  }

  async markReplayed(name: string, revisions: readonly number[]): Promise<void> {
    this.#known(name);
    await this.#sync();
    const { kept, frames } = this.#known(name);
    this.#stored.set(name, { kept: { ...kept, replayed: addRevisions(kept.replayed, revisions) }, frames });
  }

  async forget(name: string): Promise<boolean> {
    await this.#sync();
    return this.#stored.delete(name);
  }

  async #sync(): Promise<void> {
    this.#log.assertOpen();
    await this.#log.sync();
  }

  #known(name: string): VirtualDivergence {
    const found = this.#stored.get(name);
    if (found === undefined) throw new EvertreeError('NOT_FOUND', `no divergence ${name}`, { name });
    return found;
  }
}

function endOf(missing: Stretch | undefined): number {
  return missing?.last.revision ?? 0;
}
