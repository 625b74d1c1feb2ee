import type { AbortedTransaction } from './record-batch.ts';

export interface FetchAnswer {
  readonly low: bigint;
  readonly high: bigint;
  /** In the order of their offsets. */
  readonly aborted: readonly AbortedTransaction[];
  /** Batches, encoded. */
  readonly records: Buffer;
}

/** From these versions on an answer has fields that the ones before lack. */
const WITH_LOW = 5;
const WITH_SESSION = 7;
const WITH_REPLICA = 11;

/**
 * Fetch Response, versions 4 to 11, of one partition.
 * @param errorOf makes an error of Kafka's number
 * @throws for an answer that is no such thing
 */
export function readFetchAnswer(bytes: Buffer, version: number, topic: string, errorOf: (code: number) => Error): FetchAnswer {
  let at = 4; // throttle time
  const int16 = () => bytes.readInt16BE((at += 2) - 2);
  const int32 = () => bytes.readInt32BE((at += 4) - 4);
  const int64 = () => bytes.readBigInt64BE((at += 8) - 8);
  const check = (code: number) => {
    if (code !== 0) throw errorOf(code);
  };
  if (version >= WITH_SESSION) {
    check(int16());
    at += 4; // session
  }
  assertOne(int32(), topic);
  const nameBytes = int16();
  at += nameBytes;
  assertOne(int32(), topic);
  at += 4; // partition
  const errorCode = int16();
  const high = int64();
  at += 8; // last stable offset
  const low = version >= WITH_LOW ? int64() : 0n;
  const aborted: AbortedTransaction[] = [];
  for (let left = int32(); left > 0; left--) aborted.push({ producerId: int64(), firstOffset: int64() });
  if (version >= WITH_REPLICA) at += 4; // preferred replica
  const length = Math.max(0, int32());
  check(errorCode);
  if (at + length > bytes.length) throw new RangeError('an answer to a fetch is cut off');
  return { low, high, aborted, records: bytes.subarray(at, at + length) };
}

/** One partition of one topic was asked for. */
function assertOne(count: number, topic: string): void {
  if (count !== 1) throw new Error(`the broker answered a fetch of one partition of ${topic} with ${count}`);
}
