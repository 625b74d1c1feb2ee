import { isEvertreeError } from '@evertree/core';
import type { Commit, ErrorCode, ExactPosition, Store } from '@evertree/core';
import type { SimulatedSite } from './site.ts';
import type { TrapWatch } from './traps.ts';

/** One commit of a writer, told apart by its content: it put `/c/<id>`, or `/large/ids/<id>`. */
export interface LedgerEntry {
  readonly id: string;
  readonly site: string;
  readonly position: ExactPosition;
  /** It was told that the commit is on the disk of its site. */
  durable: boolean;
  /** It was told that so many secondaries hold it. */
  acknowledged: number;
  /** Why it was told neither. */
  refusal: ErrorCode | undefined;
  /** Every disk that held it went back in time: nobody can have it any more. */
  excused: boolean;
}

/** Makes a commit that puts the id of its entry. */
type MakeCommit = (store: Store) => Commit;

/** So long a writer waits for secondaries. */
const ACKNOWLEDGEMENT_MS = 2_000;

/** What a write may be refused with. */
const REFUSALS: ReadonlySet<string> = new Set(['NOT_PRIMARY', 'FENCED', 'STORAGE_FULL', 'STORAGE_FAILED', 'CLOSED', 'SWITCHING']);

/** What writers were promised. */
export class Ledger {
  readonly entries: LedgerEntry[] = [];
  /** Writes that were refused before anything was committed, by the error's code. */
  readonly refused = new Map<string, number>();
  /** Writes that were refused, whose commit is nowhere. */
  readonly #refusedIds = new Set<string>();
  readonly #committed: (site: SimulatedSite) => void;
  readonly #promised: (site: SimulatedSite, entry: LedgerEntry) => void;
  readonly #traps: TrapWatch;
  readonly #violated: (law: string, what: string) => void;
  #drawn = 0;

  /** @param promised told when a writer was told that its commit is safe */
  constructor(
    committed: (site: SimulatedSite) => void,
    promised: (site: SimulatedSite, entry: LedgerEntry) => void,
    traps: TrapWatch,
    violated: (law: string, what: string) => void,
  ) {
    this.#traps = traps;
    this.#committed = committed;
    this.#promised = promised;
    this.#violated = violated;
  }

  /** What some writer was promised. */
  get promised(): LedgerEntry[] {
    return this.entries.filter(entry => entry.durable || entry.acknowledged > 0);
  }

  /** Writers that were told that nothing of theirs was committed, by the ids of their commits. */
  get refusedIds(): string[] {
    const committed = new Set(this.entries.map(({ id }) => id));
    return [...this.#refusedIds].filter(id => !committed.has(id));
  }

  draw(site: string): string {
    return `${site}${this.#drawn++}`;
  }

  /** Its writer is told that nothing was committed. */
  refuse(id: string): void {
    this.#refusedIds.add(id);
  }

  /**
   * Commits at a site, and waits for what the writer wants to be told.
   * @param drawn of a write that waited before it began
   * @param make of a commit of another kind
   */
  write(site: SimulatedSite, secondaries: number, drawn?: string, make?: MakeCommit): LedgerEntry | undefined {
    const { running } = site;
    if (running === undefined || running.process.isStalled) return undefined;
    const id = drawn ?? this.draw(site.name);
    let commit: Commit;
    try {
      commit = make === undefined ? this.#commit(running.store, id) : make(running.store);
    } catch (error) {
      this.#refused(error, site.name);
      this.refuse(id);
      return undefined;
    }
    this.#committed(site);
    const { position } = running.store;
    const entry: LedgerEntry = { id, site: site.name, position, durable: false, acknowledged: 0, refusal: undefined, excused: false };
    this.entries.push(entry);
    this.#follow(entry, commit, secondaries, site);
    return entry;
  }

  #commit(store: Store, id: string): Commit {
    return store.transact(tx => {
      tx.put(`/c/${id}`, 1);
      tx.put(`/latest/${this.#drawn % 5}`, id);
      if (this.#drawn % 7 === 0) tx.delete(`/latest/${(this.#drawn * 3) % 5}`);
    });
  }

  #follow(entry: LedgerEntry, commit: Commit, secondaries: number, site: SimulatedSite): void {
    void this.#whenTold(site, entry, async () => {
      await commit.durable;
      entry.durable = true;
    });
    if (secondaries === 0) return;
    void this.#whenTold(site, entry, async () => {
      entry.acknowledged = await commit.acknowledged(secondaries, { timeoutMs: ACKNOWLEDGEMENT_MS });
    });
  }

  async #whenTold(site: SimulatedSite, entry: LedgerEntry, told: () => Promise<void>): Promise<void> {
    try {
      await told();
      this.#promised(site, entry);
    } catch (error) {
      if (!isEvertreeError(error)) throw error;
      entry.refusal ??= error.code;
      this.#traps.disappointed(error.code);
    }
  }

  #refused(error: unknown, site: string): void {
    const code = isEvertreeError(error) ? error.code : 'none';
    if (!REFUSALS.has(code)) this.#violated('writing', `a write at ${site} ended with ${String(error)}`);
    this.#traps.refused(code);
    this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
  }
}
