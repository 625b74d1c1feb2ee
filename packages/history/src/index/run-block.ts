import { compareKeys } from './path-key.ts';
import type { BlockPlace } from './run-format.ts';
import { UnsoundRun } from './run-format.ts';

/** What a block keeps in memory beside its bytes, and each entry of an inner block. */
const BLOCK_OVERHEAD_BYTES = 200;
const ENTRY_OVERHEAD_BYTES = 150;

/** Reads varints and bytes of a block's body. What goes beyond the body is damage: its checksum was right, yet. */
export class BodyReader {
  readonly body: Buffer;
  at: number;

  constructor(body: Buffer, at: number) {
    this.body = body;
    this.at = at;
  }

  get isAtEnd(): boolean {
    return this.at >= this.body.length;
  }

  varint(): number {
    const { body } = this;
    let byte = body[this.at++]!;
    if (byte < 128) return byte;
    let value = byte & 127;
    let weight = 128;
    do {
      byte = body[this.at++]!;
      value += (byte & 127) * weight;
      weight *= 128;
    } while (byte > 127);
    return value;
  }
}

/** An entry of an inner block: the block below it. */
export interface InnerEntry extends BlockPlace {
  readonly key: Buffer;
  /** Of the first entry below, less that of the run's base. */
  readonly revision: number;
  /** What the run has before that block. */
  readonly entries: number;
  readonly postings: number;
}

/** A block of a run, in memory. */
export class RunBlock {
  readonly body: Buffer;
  /** 0 for a leaf. */
  readonly height: number;
  /** Of an inner block; empty in a leaf. */
  readonly entries: readonly InnerEntry[];
  /** What it takes of the memory. */
  readonly heldBytes: number;

  /** @throws UnsoundRun */
  constructor(file: string, body: Buffer) {
    this.body = body;
    this.height = body[0]!;
    this.entries = this.height === 0 ? [] : readEntries(file, body);
    const keys = this.entries.reduce((sum, { key }) => sum + key.length + ENTRY_OVERHEAD_BYTES, 0);
    this.heldBytes = body.length + BLOCK_OVERHEAD_BYTES + keys;
  }

  /** The last entry that begins at or before a key and a revision; -1 if all begin after it. */
  search(key: Uint8Array, length: number, revision: number): number {
    let low = 0;
    let high = this.entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const entry = this.entries[middle]!;
      const order = compareKeys(entry.key, entry.key.length, key, length);
      if (order < 0 || (order === 0 && entry.revision <= revision)) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

function readEntries(file: string, body: Buffer): InnerEntry[] {
  const reader = new BodyReader(body, 1);
  const entries: InnerEntry[] = [];
  let before = Buffer.alloc(0);
  while (!reader.isAtEnd) {
    const shared = reader.varint();
    const rest = reader.varint();
    const key = Buffer.allocUnsafeSlow(shared + rest);
    before.copy(key, 0, 0, shared);
    body.copy(key, shared, reader.at, reader.at + rest);
    reader.at += rest;
    entries.push({
      key,
      revision: reader.varint(),
      offset: reader.varint(),
      bytes: reader.varint(),
      entries: reader.varint(),
      postings: reader.varint(),
    });
    before = key;
  }
  if (entries.length === 0) throw new UnsoundRun(file, 'an inner block is empty');
  return entries;
}
