import { Reader, fetchV11 } from '@platformatic/kafka';
import type { Connection } from '@platformatic/kafka';
import { describe, expect, it } from 'vitest';
import { FetchRequest } from './fetch-request.ts';
import type { FetchAnswer } from '../client/fetch-answer.ts';
import { loadLibrary } from './library.ts';
import { decodeBatches } from '../client/record-batch.ts';

// As a broker of Kafka 4.3 answered.
const HEAD = '000000000000000000000000000100086361707475726564';
/** Its first record is of a transaction that was aborted. */
const ABORTED = Buffer.from(
  `${HEAD}0000000100000000000000000000000000040000000000000004000000000000000000000001` +
    '00000000000000010000000000000000ffffffff0000004700000000000000000000003b00000000023342b0f9' +
    '00100000000000000000000003e800000000000003e800000000000000010000000000000000000112000000026b046e6f00',
  'hex',
);
const AT_THE_END = Buffer.from(
  `${HEAD}0000000100000000000000000000000000040000000000000004000000000000000000000000ffffffff00000000`,
  'hex',
);
const OUT_OF_RANGE = Buffer.from(`${HEAD}00000001000000000001${'ff'.repeat(32)}00000000`, 'hex');

const question = { topic: 'captured', partition: 0, offset: 0n, waitMs: 500, minBytes: 1, maxBytes: 1024, isolationLevel: 1 };
const library = await loadLibrary();

/** What becomes of an answer, as the library's connection hands it over. */
function answered(bytes: Buffer): Promise<FetchAnswer> {
  const connection = {
    send(key: number, version: number, _write: unknown, parse: Parse, _flexible: unknown, _tagged: unknown, done: Done) {
      try {
        done(null, parse(1, key, version, Reader.from(bytes)));
      } catch (error) {
        done(error as Error);
      }
    },
  };
  return new FetchRequest(library).send(connection as unknown as Connection, question);
}

type Parse = (correlationId: number, key: number, version: number, reader: Reader) => FetchAnswer;
type Done = (error: Error | null, answer?: FetchAnswer) => void;

describe('the answer to a fetch', () => {
  it('has what the library reads of it, and the records encoded', async () => {
    const answer = await answered(ABORTED);
    const theirs = fetchV11.parseResponse(1, 1, 11, Reader.from(ABORTED)).responses[0]!.partitions[0]!;
    expect([answer.low, answer.high, answer.aborted]).toEqual([theirs.logStartOffset, theirs.highWatermark, theirs.abortedTransactions]);
    expect(answer).toMatchObject({ low: 0n, high: 4n, aborted: [{ producerId: 1n, firstOffset: 0n }] });
    const { records } = await decodeBatches(answer.records, 0n, []);
    expect(records).toMatchObject([{ value: Buffer.from('no'), offset: '0', timestamp: '1000' }]);
    expect(await decodeBatches(answer.records, 0n, answer.aborted)).toEqual({ records: [], next: 1n });
  });

  it('at the end of a topic has no records', async () => {
    expect(await answered(AT_THE_END)).toEqual({ low: 0n, high: 4n, aborted: [], records: Buffer.alloc(0) });
  });

  it("that is an error has Kafka's name", async () => {
    await expect(answered(OUT_OF_RANGE)).rejects.toMatchObject({ apiId: 'OFFSET_OUT_OF_RANGE' });
  });

  it('is an error wherever it is cut off', async () => {
    for (let length = 0; length < ABORTED.length; length++) await expect(answered(ABORTED.subarray(0, length))).rejects.toThrow();
  });

  it('is an error where it tells of no partition, or of several', async () => {
    for (const count of [-1, 0, 2, 2 ** 31 - 1]) {
      const forged = Buffer.from(AT_THE_END);
      forged.writeInt32BE(count, 10);
      await expect(answered(forged)).rejects.toThrow('answered a fetch of one partition');
    }
  });
});
