import type { Epoch, ExactPosition, FrameHeader, Hello } from '@evertree/core';
import { NewestTable } from '../newest-table.ts';
import { TailSearch } from '../publish/tail.ts';
import type { StreamClaims } from '../publish/tail.ts';
import type { ReceivedRecord } from '../records.ts';
import type { AnnouncedClaim } from '../control.ts';

/** What a topic is searched with. */
export interface SearchedTopic {
  /** Of the site that is being promoted. */
  readonly ours: Hello;
  /** Of the newest primary in `.control`. */
  readonly primary: Hello | undefined;
  /** Which reigns stand in the topic, as far as is known; what is found is added. */
  readonly claims: StreamClaims;
  /** Announced claims that may stand in the topic, at an offset that is not known. */
  readonly unplaced: readonly AnnouncedClaim[];
}

/**
 * Looks from a place in a topic backwards for the last frame that counts before it. It goes back further where a claim may
 * stand that nobody told the offset of. Pure: whoever searches reads from `from` to `end` and gives the records, until
 * `goesOn` is false.
 */
export class ClaimSearch {
  readonly #topic: SearchedTopic;
  readonly #search: TailSearch;

  /** @param low the topic's first offset; @param end the place */
  constructor(topic: SearchedTopic, low: bigint, end: bigint) {
    this.#topic = topic;
    this.#search = new TailSearch(low, end, topic.claims);
    const table = tableOf(topic);
    this.#search.limit(({ last }) => !table.isSuperseded(last));
  }

  get from(): bigint {
    return this.#search.from;
  }

  get end(): bigint {
    return this.#search.end;
  }

  take(records: readonly ReceivedRecord[]): void {
    this.#search.take(records);
  }

  /** The present step was read. @returns whether a further one is to be read */
  goesOn(): boolean {
    const mayHideClaim = this.#topic.unplaced.some(({ after }) => BigInt(after) < this.from);
    return (this.last === undefined || mayHideClaim) && this.#search.stepBack();
  }

  /** The last frame that counts. */
  get last(): FrameHeader | undefined {
    return this.#search.of(this.#topic.ours.stream).last;
  }
}

/** The newest table of epochs that is known: what lies beside it counts for nobody. */
export function tableOf({ ours, primary }: Pick<SearchedTopic, 'ours' | 'primary'>): NewestTable {
  const table = new NewestTable(ours.epochs);
  if (primary?.stream === ours.stream) table.hear(primary.epochs);
  return table;
}

/** The table of epochs of a history that ends at a position; empty if none is known that has its epoch. */
export function epochsFor({ ours, primary }: Pick<SearchedTopic, 'ours' | 'primary'>, { epoch, epochId }: ExactPosition): readonly Epoch[] {
  const tables = [ours.epochs, primary?.epochs ?? []];
  return tables.find(epochs => epochs.some(({ number, id }) => number === epoch && id === epochId)) ?? [];
}
