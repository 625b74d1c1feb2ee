import { crc32 } from 'node:zlib';
import { FRAME_CHECKSUM_BYTES, ORIGIN, PROTOCOL_VERSIONS, emptyDigest, parseFrame, readFrameHeader } from '@evertree/core';
import type { Fencing, FrameHeader, Hello } from '@evertree/core';
import { decodeClaim, isClaim, reignOf } from '../claims/claim.ts';
import type { Claim } from '../claims/claim.ts';
import { TopicClaims } from '../claims/topic-claims.ts';
import { headerOf } from '../records.ts';
import type { ReceivedRecord } from '../records.ts';
import { PART_HEADER } from '../parts.ts';
import type { LinkMemory } from './link-memory.ts';
import type { PublisherSettings } from './settings.ts';

/** Records of the first step, and the factor by which each step is longer than the one before. */
const FIRST_STEP_RECORDS = 32n;
const STEP_GROWTH = 8n;
/** Records looked back at before a topic counts as one without a frame of ours near its end. */
const TAIL_RECORDS = 65_536n;
/** The most streams that are told apart; a topic should have one. */
const MOST_STREAMS = 16;
/** The program's name in a topic's hello. */
const LOG_PROGRAM = 'Apache Kafka';

/** What the end of a topic holds. */
export interface Tail {
  /** The stream's furthest whole frame; undefined: none in what was looked at. */
  readonly last: FrameHeader | undefined;
  /** Records that are no frame, or are one of another stream. */
  readonly strange: number;
  /** The topic ends in the middle of a frame that is in parts. */
  readonly torn: boolean;
}

/** The topic's hello. Its position is the end of its last frame. @param fencedBy who leads there instead of whom it is said to */
export function topicHello(site: string, found: FrameHeader | undefined, fencedBy?: Fencing): Hello {
  return {
    protocols: PROTOCOL_VERSIONS,
    program: LOG_PROGRAM,
    site,
    role: 'secondary',
    stream: found?.stream ?? null,
    position: found?.last ?? ORIGIN,
    digest: found?.digest ?? emptyDigest(),
    epochs: [],
    durable: true,
    standing: 'secondary',
    standby: false,
    ...(fencedBy === undefined ? {} : { fencedBy }),
  };
}

/** Reports what stands at the topic's end beside whole frames of the stream. */
export function tellTail({ strange, torn }: Tail, { topic, report }: PublisherSettings, { once }: LinkMemory): void {
  if (strange > 0) {
    once.tell('strange', {
      level: 'warn',
      event: 'records-passed-over',
      message: `the end of the topic ${topic} has ${strange} records that are no frames of this stream; they are passed over`,
      details: { topic, records: strange },
    });
  }
  if (!torn) return;
  const message = `the topic ${topic} ends in the middle of a frame; the frame is sent again whole`;
  report({ level: 'info', event: 'torn-frame', message, details: { topic } });
}

/**
 * Looks for the last whole frame of a stream, from a topic's end backwards in growing steps: each step is read from its
 * beginning to the topic's end, because a frame may stand in parts. It says where to read (`from`), and takes what is
 * there.
 */
export class TailSearch {
  /** The offset after the last record that counts. */
  readonly end: bigint;
  /** Which reigns stand in the topic, as far as was read. */
  readonly claims: StreamClaims;
  readonly #low: bigint;
  #from: bigint;
  #step = FIRST_STEP_RECORDS;
  #scan: FrameScan;
  #counts: FrameFilter | undefined;

  /**
   * @param low the topic's first offset.
   * @param end the one after the last that counts.
   * @param claims what is known of the topic already
   */
  constructor(low: bigint, end: bigint, claims = new StreamClaims()) {
    this.#low = low;
    this.end = end;
    this.claims = claims;
    this.#scan = new FrameScan(claims);
    this.#from = end - FIRST_STEP_RECORDS > low ? end - FIRST_STEP_RECORDS : low;
  }

  /** Where the present step begins. */
  get from(): bigint {
    return this.#from;
  }

  take(records: readonly ReceivedRecord[]): void {
    for (const record of records) if (BigInt(record.offset) < this.end) this.#scan.take(record);
  }

  /** Goes further back, where there is something and it is not too far; the next step is read from `from` on. */
  stepBack(): boolean {
    if (this.#from === this.#low || this.end - this.#from >= TAIL_RECORDS) return false;
    this.#step *= STEP_GROWTH;
    const from = this.end - this.#step;
    this.#from = from > this.#low ? from : this.#low;
    this.#scan = new FrameScan(this.claims, this.#counts);
    return true;
  }

  /** Only these frames count from now on; the present step is to be read once more. @returns false if that was so before */
  limit(counts: FrameFilter): boolean {
    if (this.#counts !== undefined) return false;
    this.#counts = counts;
    this.#scan = new FrameScan(this.claims, counts);
    return true;
  }

  /** What was found of this stream; without one, of any. */
  of(stream: string | null): Tail {
    const { streams, strange, torn } = this.#scan;
    const ours = stream === null ? undefined : streams.get(stream);
    const others = [...streams.keys()].filter(name => name !== stream);
    return { last: ours?.last, strange: strange + others.reduce((sum, name) => sum + streams.get(name)!.frames, 0), torn };
  }

  /** Claims that do not stand. */
  get void(): readonly Claim[] {
    return this.#scan.void;
  }

  /** The last frame of whatever stream. */
  get any(): FrameHeader | undefined {
    return this.#scan.last;
  }
}

/** Whether a frame counts. */
export type FrameFilter = (header: FrameHeader) => boolean;

/**
 * Which reigns stand in a topic, for each stream that it holds something of. Beyond MOST_STREAMS what is known of the one
 * that was asked for the longest ago is forgotten.
 */
export class StreamClaims {
  /** The one that was asked for last is the last. */
  readonly #streams = new Map<string, TopicClaims>();

  of(stream: string): TopicClaims {
    const known = this.#streams.get(stream) ?? new TopicClaims();
    this.#streams.delete(stream);
    this.#streams.set(stream, known);
    for (const oldest of this.#streams.keys()) {
      if (this.#streams.size <= MOST_STREAMS) break;
      this.#streams.delete(oldest);
    }
    return known;
  }
}

/** Reads records for the frames that are whole in them and count, without keeping any. */
export class FrameScan {
  readonly streams = new Map<string, { last: FrameHeader; frames: number }>();
  last: FrameHeader | undefined;
  strange = 0;
  /** Claims, whether they stand or not. */
  claims = 0;
  /** Those that do not. */
  readonly void: Claim[] = [];
  #begun: PartialFrame | undefined;
  readonly #known: StreamClaims;
  readonly #counts: FrameFilter;

  /** @param known takes what the records say of who leads */
  constructor(known: StreamClaims, counts: FrameFilter = () => true) {
    this.#known = known;
    this.#counts = counts;
  }

  get torn(): boolean {
    return this.#begun !== undefined;
  }

  take(record: ReceivedRecord): void {
    if (isClaim(record)) return this.#takeClaim(record);
    const part = headerOf(record, PART_HEADER);
    if (part === undefined) this.#begun = undefined;
    const header = record.value === null ? undefined : part === undefined ? wholeFrame(record.value) : this.#takePart(part, record.value);
    if (header === 'missing') return;
    if (header === undefined) this.strange += 1;
    else if (this.#isStanding(header, record) && this.#counts(header)) this.#found(header);
  }

  #takeClaim(record: ReceivedRecord): void {
    const claim = tryTo(() => decodeClaim(record));
    if (claim === undefined) {
      this.strange += 1;
      return;
    }
    this.claims += 1;
    if (this.#known.of(claim.stream).takeClaim(BigInt(record.offset), claim.epoch) === 'void') this.void.push(claim);
  }

  #isStanding(header: FrameHeader, record: ReceivedRecord): boolean {
    return this.#known.of(header.stream).takeFrame(BigInt(record.offset), header, reignOf(record)) === 'counts';
  }

  #takePart(part: string, value: Buffer): FrameHeader | 'missing' | undefined {
    const match = /^(\d{1,9})\/(\d{1,9})\/(\d{1,9})$/.exec(part);
    const [index, count, total] = (match ?? []).slice(1).map(Number);
    if (index === undefined || count === undefined || total === undefined) return undefined;
    const begun = index === 0 ? PartialFrame.begin(value, total) : this.#begun?.add(index, value);
    const state = begun?.state;
    this.#begun = state === 'missing' ? begun : undefined;
    // The remaining parts of a frame that began before this step, or that is sent again, are expected.
    return begun === undefined && index > 0 ? 'missing' : state;
  }

  #found(header: FrameHeader): void {
    const known = this.streams.get(header.stream);
    if (known === undefined && this.streams.size >= MOST_STREAMS) return;
    // Frames that a client wrote late, after it was given up, stand behind those that follow them.
    const last = known === undefined || isFurther(header, known.last) ? header : known.last;
    this.streams.set(header.stream, { last, frames: (known?.frames ?? 0) + 1 });
    this.last = last;
  }
}

/** Within one number of epochs a restart of the writer draws another id, which gives no precedence. */
function isFurther(header: FrameHeader, than: FrameHeader): boolean {
  return header.epoch === than.epoch ? header.last.revision >= than.last.revision : header.epoch > than.epoch;
}

/** A frame whose parts come one by one: its header, and the checksum so far. */
class PartialFrame {
  readonly #header: FrameHeader;
  readonly #total: number;
  #next = 1;
  #bytes: number;
  #checksum: number;
  /** The last bytes, which may be the frame's own checksum. */
  #end: Buffer;

  private constructor(header: FrameHeader, total: number, value: Buffer) {
    this.#header = header;
    this.#total = total;
    this.#bytes = value.length;
    this.#checksum = crc32(value.subarray(0, -FRAME_CHECKSUM_BYTES));
    this.#end = value.subarray(-FRAME_CHECKSUM_BYTES);
  }

  static begin(value: Buffer, total: number): PartialFrame | undefined {
    const header = tryTo(() => readFrameHeader(value));
    return header === undefined ? undefined : new PartialFrame(header, total, value);
  }

  /** Undefined for a part that does not follow: the frame stays torn. */
  add(index: number, value: Buffer): PartialFrame | undefined {
    if (index !== this.#next) return undefined;
    const rest = Buffer.concat([this.#end, value]);
    this.#checksum = crc32(rest.subarray(0, -FRAME_CHECKSUM_BYTES), this.#checksum);
    this.#end = rest.subarray(-FRAME_CHECKSUM_BYTES);
    this.#next += 1;
    this.#bytes += value.length;
    return this;
  }

  get state(): FrameHeader | 'missing' | undefined {
    if (this.#bytes < this.#total) return 'missing';
    return this.#bytes === this.#total && this.#end.readUInt32LE(0) === this.#checksum ? this.#header : undefined;
  }
}

function wholeFrame(value: Buffer): FrameHeader | undefined {
  return tryTo(() => parseFrame(value).header);
}

/** A record that is no frame is no error here: a topic may hold anything. */
function tryTo<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
