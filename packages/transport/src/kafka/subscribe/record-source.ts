import type { Fetched, PartitionReader } from '../broker.ts';
import type { ReceivedRecord } from '../records.ts';

const NOWHERE = -1n;

/**
 * The records of a partition from any offset on. One fetch is always under way ahead of what is handed out, so that the broker works
 * while this site does: what is held is two fetches at most.
 */
export class RecordSource {
  readonly #reader: Pick<PartitionReader, 'fetch'>;
  #records: readonly ReceivedRecord[] = [];
  #index = 0;
  #next = NOWHERE;
  #ahead: { readonly offset: bigint; readonly answer: Promise<Fetched> } | undefined;

  constructor(reader: Pick<PartitionReader, 'fetch'>) {
    this.#reader = reader;
  }

  /** Where the next fetch begins; what lies before has been handed out, or is about to be. */
  get next(): bigint {
    return this.#next;
  }

  /** The next record goes from here on. */
  seek(offset: bigint): void {
    this.#records = [];
    this.#index = 0;
    this.#next = offset;
  }

  /** The next record of those that have been fetched. */
  take(): ReceivedRecord | undefined {
    return this.#records[this.#index++];
  }

  /**
   * Fetches what comes next, once everything fetched was taken; nothing after a while at the partition's end.
   * @param goesOn the fetch after it can begin at once
   * @returns the partition's end at that time
   * @throws what the reader throws
   */
  async fill(goesOn = true): Promise<bigint> {
    const offset = this.#next;
    const ahead = this.#ahead;
    this.#ahead = undefined;
    // The reader does one thing at a time: what was fetched ahead in vain has to come to its end.
    if (ahead !== undefined && ahead.offset !== offset) await ahead.answer.catch(() => undefined);
    const { records, next, high } = await (ahead?.offset === offset ? ahead.answer : this.#reader.fetch(offset));
    this.#records = records;
    this.#index = 0;
    this.#next = next;
    if (goesOn && records.length > 0) this.#fetchAhead(next);
    return high;
  }

  /** Waits for what was fetched ahead: until then the reader can't be asked for anything else. */
  async settle(): Promise<void> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    await ahead?.answer.catch(() => undefined);
  }

  #fetchAhead(offset: bigint): void {
    const answer = this.#reader.fetch(offset);
    // Who fills next hears of its failure.
    answer.catch(() => undefined);
    this.#ahead = { offset, answer };
  }
}
