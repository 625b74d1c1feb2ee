import { isEvertreeError } from '../errors.ts';
import { raiseHeard, takenUpTo, type EpochName, type Fencing } from '../lineage.ts';
import { NO_EPOCH_ID, type Epoch, type ExactPosition } from '../position.ts';
import type { Clock, Reporter } from '../seams/host.ts';
import type { SiteIdentity } from '../seams/journal.ts';
import type { Hello } from '../seams/transport.ts';

/** What of a store is looked at. */
export interface HearingStore {
  readonly stream: string | null;
  readonly epochs: readonly Epoch[];
  readonly position: ExactPosition;
  readonly fencedBy: Fencing | undefined;
  readonly journal: { readonly identity: Pick<SiteIdentity, 'site' | 'heard' | 'hear'> };
  readonly clock: Pick<Clock, 'soon'>;
  readonly report: Reporter;
}

/**
 * The highest number of an epoch that the hellos of other sites told of: one that began or was promised, or one that a
 * handover leaves to another site. It fences nobody. A site begins its epochs above it, whatever became of the link that
 * told of it.
 *
 * What neither the history nor `fencedBy` tells after a restart is recorded, soon after it was heard: a crash before that
 * is as if the hello had not come.
 */
export class HeardEpochs {
  readonly #store: HearingStore;
  /** NO_EPOCH_ID: not only one promise has that number. */
  #highest: EpochName;
  /** One write at a time; what is heard meanwhile comes with the next. */
  #isRecording = false;

  /** @param store hellos of other streams than its own do not count */
  constructor(store: HearingStore) {
    this.#store = store;
    this.#highest = store.journal.identity.heard ?? { number: 0, id: NO_EPOCH_ID };
  }

  get number(): number {
    return this.#highest.number;
  }

  hear({ stream, epochs, position, fencedBy }: Hello): void {
    const { journal, clock } = this.#store;
    if (stream === null || stream !== this.#store.stream) return;
    // What is left to this site nobody else begins.
    const others = epochs.map(({ end, ...epoch }) => (end === undefined || end.to === journal.identity.site ? epoch : { ...epoch, end }));
    this.#note({ number: takenUpTo({ epochs: others, last: position }), id: NO_EPOCH_ID });
    if (fencedBy !== undefined) this.#note(fencedBy);
    if (this.#isRecording || !this.#isNews) return;
    this.#isRecording = true;
    // What the same hello fences this site by is recorded first: mostly nothing is left to record then.
    clock.soon(() => void this.#record());
  }

  /** Whether the epoch has to take another number. A promise of that very epoch, told by who gave it, does not count. */
  surpass({ number, id }: EpochName): boolean {
    return this.#highest.number > number || (this.#highest.number === number && this.#highest.id !== id);
  }

  #note(epoch: EpochName): void {
    this.#highest = raiseHeard(this.#highest, epoch) ?? this.#highest;
  }

  /** Whether a restart would not know it. */
  get #isNews(): boolean {
    const { epochs, position: last, fencedBy, journal } = this.#store;
    const known = Math.max(takenUpTo({ epochs, last }), fencedBy?.number ?? 0);
    return this.number > known && raiseHeard(journal.identity.heard, this.#highest) !== undefined;
  }

  /** Never rejects. What could not be recorded is tried again at the next hello. */
  async #record(): Promise<void> {
    const { journal, report } = this.#store;
    const { identity } = journal;
    try {
      for (let written: EpochName | undefined; this.#highest !== written && this.#isNews;) {
        written = this.#highest;
        await identity.hear(written);
      }
    } catch (error) {
      if (isEvertreeError(error, 'CLOSED')) return;
      const why = error instanceof Error ? error.message : String(error);
      const message = `the disk of ${identity.site} could not record that epoch ${this.number} was heard of: ${why}`;
      report({ level: 'warn', event: 'heard-not-recorded', message, details: { number: this.number, error } });
    } finally {
      this.#isRecording = false;
    }
  }
}
