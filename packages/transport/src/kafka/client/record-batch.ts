import { promisify } from 'node:util';
import { gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib';
import { UNFOLDED_LIMIT_BYTES } from './settings.ts';
import type { ReceivedRecord, SentRecord } from '../records.ts';
import { VarintReader, VarintWriter, sizeOfBytes, sizeOfInt, sizeOfLong } from './varints.ts';

/*
 * Kafka's batches of records, format 2. The clients' own encodings copy each record several times; that of
 * @platformatic/kafka unfolds without a bound, and compresses in the event loop's way.
 */

/** Where the fields of a batch are. */
const LENGTH_AT = 8;
const MAGIC_AT = 16;
const CHECKSUM_AT = 17;
const ATTRIBUTES_AT = 21;
const LAST_DELTA_AT = 23;
const FIRST_TIME_AT = 27;
const LAST_TIME_AT = 35;
const PRODUCER_AT = 43;
const EPOCH_AT = 51;
const SEQUENCE_AT = 53;
const COUNT_AT = 57;
const RECORDS_AT = 61;
/** What the length does not count: the offset and the length itself. */
const UNCOUNTED = 12;
const MAGIC = 2;

const CODEC_MASK = 7;
const APPEND_TIME = 8;
const TRANSACTIONAL = 16;
const CONTROL = 32;
const CODECS = { none: 0, gzip: 1, zstd: 4 } as const;
const CODEC_NAMES: Readonly<Record<number, string>> = { 2: 'snappy', 3: 'lz4' };

/** Bytes that are free in memory before a batch: the head of its request goes there, and the batch need not be copied. */
export const FRONT_BYTES = 1_024;

/** What a record takes beside its value, as a rule. */
const EXPECTED_BYTES = 192;

export type Compression = keyof typeof CODECS;

const bound = { maxOutputLength: UNFOLDED_LIMIT_BYTES };
const fold = { gzip: promisify(gzip), zstd: promisify(zstdCompress) };
const unfold = new Map<number, (bytes: Buffer, options: typeof bound) => Promise<Buffer>>([
  [CODECS.gzip, promisify(gunzip)],
  [CODECS.zstd, promisify(zstdDecompress)],
]);

/** Records on their way, encoded and compressed once, however often they are sent. */
export interface EncodedRecords {
  readonly bytes: Buffer;
  readonly count: number;
  readonly compression: Compression;
  readonly firstTime: number;
  readonly lastTime: number;
}

/** @param now the time of records that have none */
export async function encodeRecords(records: readonly SentRecord[], compression: Compression, now: number): Promise<EncodedRecords> {
  const expected = records.reduce((sum, { value }) => sum + (value?.length ?? 0) + EXPECTED_BYTES, 0);
  const writer = new VarintWriter(expected, FRONT_BYTES + RECORDS_AT);
  const firstTime = timeOf(records[0], now);
  let lastTime = firstTime;
  for (const [index, record] of records.entries()) {
    const time = timeOf(record, now);
    lastTime = Math.max(lastTime, time);
    writeRecord(writer, record, index, time - firstTime);
  }
  const plain = writer.taken();
  const bytes = compression === 'none' ? plain : await fold[compression](plain);
  return { bytes, count: records.length, compression, firstTime, lastTime };
}

function timeOf(record: SentRecord | undefined, now: number): number {
  return record?.timestamp === undefined ? now : Number(record.timestamp);
}

function writeRecord(writer: VarintWriter, { key, value, headers }: SentRecord, index: number, timeDelta: number): void {
  const names = Object.keys(headers);
  let size =
    1 + sizeOfLong(timeDelta) + sizeOfInt(index) + sizeOfBytes(key.length) + sizeOfBytes(value?.length ?? -1) + sizeOfInt(names.length);
  for (const name of names) size += sizeOfBytes(Buffer.byteLength(name)) + sizeOfBytes(Buffer.byteLength(headers[name]!));
  writer.int(size);
  writer.byte(0);
  writer.long(timeDelta);
  writer.int(index);
  writer.bytes(key);
  writer.bytes(value);
  writer.int(names.length);
  for (const name of names) {
    writer.text(name);
    writer.text(headers[name]!);
  }
}

/** The producer, and the number of the first record among all that it sends to the partition. */
export interface BatchOrigin {
  readonly producerId: bigint;
  readonly epoch: number;
  readonly sequence: number;
}

/** Without idempotence. */
export const NO_ORIGIN: BatchOrigin = Object.freeze({ producerId: -1n, epoch: -1, sequence: -1 });

/**
 * A batch with FRONT_BYTES free before it. It lies where its records lie, if they are not compressed.
 * @param checksum CRC-32C
 */
export function encodeBatch(records: EncodedRecords, origin: BatchOrigin, checksum: (bytes: Buffer) => number): Buffer {
  const batch = withFront(records.compression === 'none' ? records.bytes : copyWithFront(records.bytes, RECORDS_AT), RECORDS_AT);
  batch.fill(0, 0, RECORDS_AT);
  batch.writeInt32BE(batch.length - UNCOUNTED, LENGTH_AT);
  batch.writeInt32BE(-1, LENGTH_AT + 4);
  batch.writeInt8(MAGIC, MAGIC_AT);
  batch.writeInt16BE(CODECS[records.compression], ATTRIBUTES_AT);
  batch.writeInt32BE(records.count - 1, LAST_DELTA_AT);
  batch.writeBigInt64BE(BigInt(records.firstTime), FIRST_TIME_AT);
  batch.writeBigInt64BE(BigInt(records.lastTime), LAST_TIME_AT);
  batch.writeBigInt64BE(origin.producerId, PRODUCER_AT);
  batch.writeInt16BE(origin.epoch, EPOCH_AT);
  batch.writeInt32BE(origin.sequence, SEQUENCE_AT);
  batch.writeInt32BE(records.count, COUNT_AT);
  batch.writeUInt32BE(checksum(batch.subarray(ATTRIBUTES_AT)), CHECKSUM_AT);
  return batch;
}

/**
 * Bytes with others before them, which the caller writes.
 * @param bytes a batch that `encodeBatch` made, with at most FRONT_BYTES; or what this made of it, with what is left
 */
export function withFront(bytes: Buffer, count: number): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset - count, count + bytes.length);
}

/** A copy with FRONT_BYTES free before it, and so many more. */
export function copyWithFront(bytes: Buffer, more = 0): Buffer {
  const memory = Buffer.allocUnsafe(FRONT_BYTES + more + bytes.length);
  bytes.copy(memory, FRONT_BYTES + more);
  return memory.subarray(FRONT_BYTES + more);
}

/** What a reader takes, and where it goes on. */
export interface DecodedRecords {
  readonly records: readonly ReceivedRecord[];
  /** Behind the last whole batch; undefined where there is none. */
  readonly next: bigint | undefined;
}

/** A transaction that was given up: what its producer wrote from this offset to its marker does not count. */
export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: bigint;
}

/**
 * The records at and after `from` of a fetch's batches. The last batch may be cut off: it is left out. So is what follows
 * once the batches have unfolded to UNFOLDED_LIMIT_BYTES: the next fetch brings it.
 * @param aborted in the order of their offsets
 * @throws an error with the `batchOffset` of the batch that can't be read, and with Kafka's own name of why, if it has one
 */
export async function decodeBatches(bytes: Buffer, from: bigint, aborted: readonly AbortedTransaction[]): Promise<DecodedRecords> {
  const records: ReceivedRecord[] = [];
  const filter = new TransactionFilter(aborted);
  let next: bigint | undefined;
  let unfoldedBytes = 0;
  for (let at = 0; at + UNCOUNTED <= bytes.length && unfoldedBytes < UNFOLDED_LIMIT_BYTES;) {
    const end = at + UNCOUNTED + bytes.readInt32BE(at + LENGTH_AT);
    if (end > bytes.length) break;
    const offset = bytes.readBigInt64BE(at);
    try {
      if (end - at < RECORDS_AT || bytes[at + MAGIC_AT] !== MAGIC) throw new UnreadableRecords('UNSUPPORTED_FOR_MESSAGE_FORMAT');
      const batch = bytes.subarray(at, end);
      at = end;
      const last = offset + BigInt(batch.readInt32BE(LAST_DELTA_AT));
      next = last + 1n;
      if (!filter.counts(batch, last) || last < from) continue;
      const plain = await unfolded(batch);
      unfoldedBytes += plain.length;
      readRecords(batch, plain, from, records);
    } catch (error) {
      throw error instanceof Error ? Object.assign(error, { batchOffset: offset }) : error;
    }
  }
  return { records, next };
}

/** Kafka's own name says why records can't be read, where either client's errors have it. */
class UnreadableRecords extends Error {
  readonly apiId: string;
  readonly type: string;

  constructor(name: string, words = 'the records of a fetch can not be read') {
    super(words);
    this.apiId = name;
    this.type = name;
  }
}

/** Passes over markers, and over what aborted transactions wrote. */
class TransactionFilter {
  /** Those that may still begin. */
  readonly #aborted: AbortedTransaction[];
  /** Producers whose present transaction was aborted. */
  readonly #open = new Set<bigint>();

  constructor(aborted: readonly AbortedTransaction[]) {
    this.#aborted = [...aborted];
  }

  counts(batch: Buffer, last: bigint): boolean {
    const attributes = batch.readInt16BE(ATTRIBUTES_AT);
    while (this.#aborted[0] !== undefined && this.#aborted[0].firstOffset <= last) this.#open.add(this.#aborted.shift()!.producerId);
    const producerId = batch.readBigInt64BE(PRODUCER_AT);
    if ((attributes & CONTROL) !== 0) {
      this.#open.delete(producerId);
      return false;
    }
    return (attributes & TRANSACTIONAL) === 0 || !this.#open.has(producerId);
  }
}

async function unfolded(batch: Buffer): Promise<Buffer> {
  const codec = batch.readInt16BE(ATTRIBUTES_AT) & CODEC_MASK;
  const bytes = batch.subarray(RECORDS_AT);
  if (codec === CODECS.none) return bytes;
  const work = unfold.get(codec);
  if (work === undefined)
    throw new UnreadableRecords('UNSUPPORTED_COMPRESSION_TYPE', `the codec ${CODEC_NAMES[codec] ?? codec} is not supported`);
  return work(bytes, bound);
}

function readRecords(batch: Buffer, bytes: Buffer, from: bigint, into: ReceivedRecord[]): void {
  const base = Number(batch.readBigInt64BE(0));
  const firstTime = Number(batch.readBigInt64BE(FIRST_TIME_AT));
  // With `message.timestamp.type=LogAppendTime` the broker leaves the records as they were sent.
  const isAppendTime = (batch.readInt16BE(ATTRIBUTES_AT) & APPEND_TIME) !== 0;
  const appended = isAppendTime ? Number(batch.readBigInt64BE(LAST_TIME_AT)) : undefined;
  const reader = new VarintReader(bytes);
  for (let left = batch.readInt32BE(COUNT_AT); left > 0; left--) {
    const length = reader.int();
    const end = reader.position + length;
    reader.skip(1);
    const sent = firstTime + reader.long();
    const timestamp = appended ?? sent;
    const offset = base + reader.int();
    const key = reader.bytes();
    const value = reader.bytes();
    if (offset >= from) into.push({ key, value, headers: readHeaders(reader), offset: String(offset), timestamp: String(timestamp) });
    reader.endAt(end);
  }
}

function readHeaders(reader: VarintReader): NonNullable<ReceivedRecord['headers']> {
  const headers: Record<string, Buffer | (Buffer | string)[]> = {};
  for (let left = reader.int(); left > 0; left--) {
    const name = String(reader.bytes() ?? '');
    const value = reader.bytes() ?? Buffer.alloc(0);
    const before = headers[name];
    headers[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }
  return headers;
}
