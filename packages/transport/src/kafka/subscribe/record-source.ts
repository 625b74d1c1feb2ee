import type { Fetched, PartitionReader } from '../broker.ts';
import type { ReceivedRecord } from '../records.ts';

/**
 * The records of a partition from any offset on. One fetch is always under way ahead of what is handed out, so that the
 * broker and this site work at the same time. At most two fetches are held.
 */
export class RecordSource {
  readonly #reader: Pick<PartitionReader, 'fetch'>;
  /** The records of a fetch; those from `#index` on are not taken yet. */
  #records: readonly ReceivedRecord[] = [];
  #index = 0;
  #next = -1n;
  #receivedBytes = 0;
  #ahead: { readonly offset: bigint; readonly answer: Promise<Fetched> } | undefined;

  /** @param reader connected; nobody else fetches from it */
  constructor(reader: Pick<PartitionReader, 'fetch'>) {
    this.#reader = reader;
  }

  /** Where the next fetch begins; the records before it have been fetched. */
  get next(): bigint {
    return this.#next;
  }

  /** Values taken so far. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** The next record is the one at this offset. */
  seek(offset: bigint): void {
    this.#records = [];
    this.#index = 0;
    this.#next = offset;
  }

  /** The next record of those that have been fetched. */
  take(): ReceivedRecord | undefined {
    const record = this.#records[this.#index++];
    this.#receivedBytes += record?.value?.length ?? 0;
    return record;
  }

  /**
   * Fetches what comes next, once everything fetched was taken; nothing after a while at the partition's end.
   * @param goesOn whether the fetch after it may begin at once
   * @returns the partition's end at that time
   * @throws what the reader throws
   */
  async fill(goesOn = true): Promise<bigint> {
    const offset = this.#next;
    const ahead = this.#ahead?.offset === offset ? this.#ahead.answer : undefined;
    if (ahead === undefined) await this.settle();
    this.#ahead = undefined;
    const { records, next, high } = await (ahead ?? this.#reader.fetch(offset));
    this.#records = records;
    this.#index = 0;
    this.#next = next;
    if (goesOn && records.length > 0) this.#fetchAhead(next);
    return high;
  }

  /** Waits for the end of a fetch that is not wanted any more: the reader answers one call at a time. */
  async settle(): Promise<void> {
    await this.#ahead?.answer.catch(() => undefined);
    this.#ahead = undefined;
  }

  #fetchAhead(offset: bigint): void {
    const answer = this.#reader.fetch(offset);
    // The next `fill` rejects with its failure.
    answer.catch(() => undefined);
    this.#ahead = { offset, answer };
  }
}
