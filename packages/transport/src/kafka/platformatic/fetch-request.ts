import type { Connection, Reader, Writer } from '@platformatic/kafka';
import type { Library } from './library.ts';
import type { AbortedTransaction } from './record-batch.ts';

const ANY_EPOCH = -1;
/** Each fetch is whole: no session at the broker that a lost answer would leave in doubt. */
const NO_SESSION = 0;
const NO_SESSION_EPOCH = -1;

export interface FetchQuestion {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly waitMs: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly isolationLevel: number;
}

export interface FetchAnswer {
  readonly low: bigint;
  readonly high: bigint;
  readonly aborted: readonly AbortedTransaction[];
  /** Batches, encoded. */
  readonly records: Buffer;
}

/** A fetch of one partition. Its answer keeps the records encoded: the library would unfold them without a bound. */
export class FetchRequest {
  readonly #library: Library;

  constructor(library: Library) {
    this.#library = library;
  }

  send(connection: Connection, question: FetchQuestion): Promise<FetchAnswer> {
    const { key, version } = this.#library.fetchV11.api;
    return new Promise((resolve, reject) => {
      connection.send<FetchAnswer>(
        key,
        version,
        () => this.#write(question),
        (_correlation, _key, _version, reader) => this.#read(reader, question.topic),
        false,
        false,
        (error, answer) => (error === null ? resolve(answer!) : reject(error)),
      );
    });
  }

  #write({ topic, partition, offset, waitMs, minBytes, maxBytes, isolationLevel }: FetchQuestion): Writer {
    const partitions = [
      { partition, currentLeaderEpoch: ANY_EPOCH, fetchOffset: offset, lastFetchedEpoch: ANY_EPOCH, partitionMaxBytes: maxBytes },
    ];
    const topics = [{ topicId: topic, partitions }];
    return this.#library.fetchV11.createRequest(waitMs, minBytes, maxBytes, isolationLevel, NO_SESSION, NO_SESSION_EPOCH, topics, [], '');
  }

  /** Fetch Response, version 11. What is skipped is always followed by what is read, which ends at the answer's end. */
  #read(reader: Reader, topic: string): FetchAnswer {
    reader.skip(4); // throttle time
    this.#check(reader.readInt16(), topic);
    reader.skip(4); // session
    assertOne(reader.readInt32(), topic);
    reader.readString(false);
    assertOne(reader.readInt32(), topic);
    return this.#readPartition(reader, topic);
  }

  #readPartition(reader: Reader, topic: string): FetchAnswer {
    reader.skip(4); // partition
    const errorCode = reader.readInt16();
    const high = reader.readInt64();
    reader.skip(8); // last stable offset
    const low = reader.readInt64();
    const aborted = reader.readNullableArray(each => ({ producerId: each.readInt64(), firstOffset: each.readInt64() }), false, false) ?? [];
    reader.skip(4); // preferred replica
    const records = reader.readNullableBytes(false) ?? Buffer.alloc(0);
    this.#check(errorCode, topic);
    return { low, high, aborted, records };
  }

  #check(errorCode: number, topic: string): void {
    if (errorCode !== 0) throw new this.#library.ProtocolError(errorCode, null, { topic });
  }
}

/** One partition of one topic was asked for. */
function assertOne(count: number, topic: string): void {
  if (count !== 1) throw new Error(`the broker answered a fetch of one partition of ${topic} with ${count}`);
}
