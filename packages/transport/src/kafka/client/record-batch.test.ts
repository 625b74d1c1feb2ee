import { zstdCompressSync } from 'node:zlib';
import { createRecordsBatch, crc32c, readRecordsBatch, Reader } from '@platformatic/kafka';
import { describe, expect, it } from 'vitest';
import type { SentRecord } from '../records.ts';
import { NO_ORIGIN, decodeBatches, encodeBatch, encodeRecords } from './record-batch.ts';
import type { Compression } from './record-batch.ts';

const NOW = 1_700_000_000_000;
const ORIGIN = { producerId: 77n, epoch: 3, sequence: 9 };
const APPEND_TIME = 8;
const TRANSACTIONAL = 16;
const CONTROL = 32;

const record = (value: string | null, more: Partial<SentRecord> = {}): SentRecord => ({
  key: Buffer.from('k'),
  value: value === null ? null : Buffer.from(value),
  headers: { evertree: '2', part: '0/1' },
  ...more,
});

async function batchOf(records: readonly SentRecord[], compression: Compression = 'none', offset = 0n): Promise<Buffer> {
  const batch = encodeBatch(await encodeRecords(records, compression, NOW), ORIGIN, bytes => crc32c(bytes));
  batch.writeBigInt64BE(offset, 0);
  return batch;
}

/** As the broker marks it. */
function marked(batch: Buffer, attributes: number): Buffer {
  const copy = Buffer.from(batch);
  copy.writeInt16BE(attributes, 21);
  return copy;
}

const valuesOf = async (bytes: Buffer, from: bigint, aborted: Parameters<typeof decodeBatches>[2] = []) =>
  (await decodeBatches(bytes, from, aborted)).records.map(({ value }) => String(value));

describe('a batch of records', () => {
  it('is what the library writes, byte for byte', async () => {
    const timestamps = [NOW, NOW + 5, NOW - 3];
    const ours = timestamps.map((time, index) => record('x'.repeat(index * 100), { timestamp: String(time) }));
    const theirs = ours.map(({ key, value, headers }, index) => ({
      topic: 't',
      partition: 0,
      key,
      value: value!,
      headers: new Map(Object.entries(headers).map(([name, text]) => [Buffer.from(name), Buffer.from(text)])),
      timestamp: BigInt(timestamps[index]!),
    }));
    const expected = createRecordsBatch(theirs, { producerId: 77n, producerEpoch: 3, partitionLeaderEpoch: -1 }).buffer;
    const { bytes } = { bytes: encodeBatch(await encodeRecords(ours, 'none', NOW), { ...ORIGIN, sequence: 0 }, each => crc32c(each)) };
    expect(bytes).toEqual(expected);
  });

  it.each<Compression>(['none', 'gzip', 'zstd'])('comes back whole, with %s', async compression => {
    const sent = [
      record('a', { timestamp: '1000' }),
      record(null, { timestamp: '70000000000' }),
      record('ä'.repeat(300), { headers: { ö: 'ü' } }),
    ];
    const { records, next } = await decodeBatches(await batchOf(sent, compression, 2n ** 40n), 0n, []);
    expect(next).toBe(2n ** 40n + 3n);
    expect(records.map(({ offset, timestamp }) => [offset, timestamp])).toEqual([
      [String(2 ** 40), '1000'],
      [String(2 ** 40 + 1), '70000000000'],
      [String(2 ** 40 + 2), String(NOW)],
    ]);
    expect(records.map(({ value }) => value && String(value))).toEqual(['a', null, 'ä'.repeat(300)]);
    expect(String(records[0]!.headers!['part'])).toBe('0/1');
    expect(String(records[2]!.headers!['ö'])).toBe('ü');
  });

  it.each<Compression>(['gzip', 'zstd'])('is folded with %s', async compression => {
    const sent = [record('a frame '.repeat(1_000))];
    expect((await batchOf(sent, compression)).length).toBeLessThan((await batchOf(sent)).length / 10);
  });

  it('is read by the library, too', async () => {
    const bytes = await batchOf([record('a'), record('b')], 'zstd');
    const { records, producerId, producerEpoch, firstSequence } = readRecordsBatch(Reader.from(bytes));
    expect(records.map(({ value }) => String(value))).toEqual(['a', 'b']);
    expect({ producerId, producerEpoch, firstSequence }).toEqual({ producerId: 77n, producerEpoch: 3, firstSequence: 9 });
  });

  it('without idempotence names no producer', async () => {
    const bytes = encodeBatch(await encodeRecords([record('a')], 'none', NOW), NO_ORIGIN, () => 0);
    expect(readRecordsBatch(Reader.from(bytes))).toMatchObject({ producerId: -1n, producerEpoch: -1, firstSequence: -1 });
  });

  it('gives what stands at and after an offset, and leaves out what is cut off at the end', async () => {
    const [one, two] = [await batchOf([record('a'), record('b')], 'none', 5n), await batchOf([record('c')], 'none', 7n)];
    expect(await valuesOf(Buffer.concat([one, two]), 6n)).toEqual(['b', 'c']);
    const cut = await decodeBatches(Buffer.concat([one, two.subarray(0, -1)]), 5n, []);
    expect({ count: cut.records.length, next: cut.next }).toEqual({ count: 2, next: 7n });
    expect(await decodeBatches(one.subarray(0, 20), 5n, [])).toEqual({ records: [], next: undefined });
  });

  it('leaves out markers and what aborted transactions wrote, and goes on behind them', async () => {
    const aborted = marked(await batchOf([record('no')], 'none', 0n), TRANSACTIONAL);
    const plain = await batchOf([record('plain')], 'none', 1n);
    const marker = marked(await batchOf([record('marker')], 'none', 2n), TRANSACTIONAL | CONTROL);
    const kept = marked(await batchOf([record('yes')], 'none', 3n), TRANSACTIONAL);
    const end = marked(await batchOf([record('marker')], 'none', 4n), TRANSACTIONAL | CONTROL);
    const bytes = Buffer.concat([aborted, plain, marker, kept, end]);
    const { records, next } = await decodeBatches(bytes, 0n, [{ producerId: ORIGIN.producerId, firstOffset: 0n }]);
    expect(records.map(({ value }) => String(value))).toEqual(['plain', 'yes']);
    expect(next).toBe(5n);
    expect(await valuesOf(bytes, 0n)).toEqual(['no', 'plain', 'yes']);
  });

  it('unfolds up to a bound only', async () => {
    const small = await batchOf([record('a')], 'zstd');
    const bomb = Buffer.concat([small.subarray(0, 61), zstdCompressSync(Buffer.alloc(65 * 1024 * 1024))]);
    bomb.writeInt32BE(bomb.length - 12, 8);
    await expect(decodeBatches(bomb, 0n, [])).rejects.toMatchObject({ code: 'ERR_BUFFER_TOO_LARGE' });
  });

  it('is left to the next fetch where those before it have unfolded to the bound', async () => {
    const large = await batchOf([record('a'.repeat(40 * 1024 * 1024))], 'zstd');
    const batches = [0n, 1n, 2n].map(offset => {
      const copy = Buffer.from(large);
      copy.writeBigInt64BE(offset, 0);
      return copy;
    });
    const { records, next } = await decodeBatches(Buffer.concat(batches), 0n, []);
    expect(records.map(({ offset }) => offset)).toEqual(['0', '1']);
    expect(next).toBe(2n);
    expect((await decodeBatches(Buffer.concat(batches), next!, [])).records.map(({ offset }) => offset)).toEqual(['2']);
  });

  it('has the time at which the broker took it, where the topic says so', async () => {
    const appended = marked(await batchOf([record('a', { timestamp: '1000' }), record('b', { timestamp: '2000' })]), APPEND_TIME);
    appended.writeBigInt64BE(5000n, 35);
    const { records } = await decodeBatches(appended, 0n, []);
    expect(records.map(({ timestamp }) => timestamp)).toEqual(['5000', '5000']);
  });

  it('names what it can not read', async () => {
    const batch = await batchOf([record('a')]);
    await expect(decodeBatches(marked(batch, 3), 0n, [])).rejects.toMatchObject({ apiId: 'UNSUPPORTED_COMPRESSION_TYPE' });
    const old = Buffer.from(batch);
    old[16] = 1;
    await expect(decodeBatches(old, 0n, [])).rejects.toMatchObject({ apiId: 'UNSUPPORTED_FOR_MESSAGE_FORMAT' });
    const broken = Buffer.from(batch);
    // The length of its key.
    broken[65] = 0x7e;
    await expect(decodeBatches(broken, 0n, [])).rejects.toThrow('a record ends behind its batch');
    const short = Buffer.from(batch);
    short.writeInt32BE(-100, 8);
    await expect(decodeBatches(short, 0n, [])).rejects.toMatchObject({ apiId: 'UNSUPPORTED_FOR_MESSAGE_FORMAT' });
  });

  it.each([
    ['of a record that ends before its fields', [0x01]],
    ['of a record that ends behind its batch', [0x7e]],
    ['with more than 32 bits', [0x80, 0x80, 0x80, 0x80, 0x80, 0x01]],
  ])('is refused for a length %s, however many records it tells of', async (_, length) => {
    const forged = await batchOf([record('a')]);
    Buffer.from(length).copy(forged, 61);
    forged.writeInt32BE(2 ** 31 - 1, 57);
    await expect(decodeBatches(forged, 0n, [])).rejects.toBeInstanceOf(RangeError);
  });
});
