import { zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { BrokerOptions } from '../broker.ts';
import { explain as explainKafkajs } from '../kafkajs/failures.ts';
import { explain as explainPlatformatic } from '../platformatic/failures.ts';
import { BatchReader } from './batch-reader.ts';
import { crc32c } from './crc32c.ts';
import type { Explain } from './failures.ts';
import { NO_ORIGIN, encodeBatch, encodeRecords } from './record-batch.ts';
import type { RecordWire } from './record-wire.ts';
import { UNFOLDED_LIMIT_BYTES } from './settings.ts';

const OPTIONS: BrokerOptions = { connection: { brokers: ['kafka.example:9092'] }, report: () => undefined, answerMs: 1_000 };
const CODEC_AT = 22;
const RECORDS_AT = 61;

async function batchAt(offset: bigint): Promise<Buffer> {
  const record = { key: Buffer.from('k'), value: Buffer.from('v'), headers: {} };
  const batch = encodeBatch(await encodeRecords([record], 'none', 1_000), NO_ORIGIN, crc32c);
  batch.writeBigInt64BE(offset, 0);
  return batch;
}

/** A topic whose next fetch brings these batches. */
function readerOf(batches: Buffer, explain: Explain): BatchReader {
  const wire: Partial<RecordWire> = {
    fetch: () => Promise.resolve({ low: 0n, high: 100n, aborted: [], records: batches }),
    forget: () => undefined,
  };
  return new BatchReader(OPTIONS, { topic: 't', partition: 0 }, wire as RecordWire, explain);
}

function withCodec(batch: Buffer, codec: number): Buffer {
  const copy = Buffer.from(batch);
  copy[CODEC_AT] = codec;
  return copy;
}

function unfoldingTo(bytes: number, batch: Buffer): Buffer {
  const bomb = withCodec(Buffer.concat([batch.subarray(0, RECORDS_AT), zstdCompressSync(Buffer.alloc(bytes))]), 4);
  bomb.writeInt32BE(bomb.length - 12, 8);
  return bomb;
}

function cutOff(batch: Buffer): Buffer {
  const copy = Buffer.from(batch);
  // The length of the first record.
  copy[RECORDS_AT] = 0x7e;
  return copy;
}

describe.each([
  ['kafkajs', explainKafkajs],
  ['@platformatic/kafka', explainPlatformatic],
])('a batch that a reader can not use, with %s,', (_client, explain) => {
  it.each([
    ['a codec that is not read', (batch: Buffer) => withCodec(batch, 3), 'FORMAT_UNSUPPORTED', true, /lz4.*not supported/],
    ['more than may be decompressed', (batch: Buffer) => unfoldingTo(UNFOLDED_LIMIT_BYTES + 1, batch), 'TOO_LARGE', true, /64 MiB/],
    ['a record that is cut off', cutOff, 'UNREACHABLE', false, /damaged/],
  ] as const)('is told with topic and offset, and what to do about it: %s', async (_what, spoil, code, lasting, words) => {
    const batches = Buffer.concat([await batchAt(41n), spoil(await batchAt(42n))]);
    const error = await readerOf(batches, explain)
      .fetch(41n)
      .catch((found: unknown) => found);
    expect(error).toMatchObject({ code, lasting, details: { broker: 'kafka.example:9092', topic: 't', offset: '42' } });
    const { message } = error as Error;
    expect(message).toMatch(/^the broker kafka\.example:9092, topic t, offset 42: /);
    expect(message).toMatch(words);
    expect(message).toContain('kafka-delete-records.sh');
  });
});
