import type { SnapshotHeader } from '@evertree/core';
import { z } from 'zod';
import { count, damagedObject, hex, parseChecked, position, sha256, time } from './checked.ts';

/** ARCHIVE.md, «Sealed object»: what the parts of an image hold. */
const LENGTH_BYTES = 4;

const HEADER = z.strictObject({
  stream: hex(32),
  position: position(),
  digest: hex(16),
  chain: sha256(),
  epochs: z.array(
    z.strictObject({
      number: count(),
      id: hex(16),
      site: z.string(),
      base: position(),
      reason: z.string(),
      time: time(),
      end: z.strictObject({ to: z.string(), command: z.string() }).exactOptional(),
    }),
  ),
  marks: z.array(
    z.strictObject({
      name: z.string(),
      position: position(),
      markedAt: position(),
      time: time(),
      author: z.string().exactOptional(),
      message: z.string().exactOptional(),
    }),
  ),
  time: time(),
}) satisfies z.ZodType<SnapshotHeader>;

/** The head of an image, as its first part begins with it. */
export function encodeImageHead(header: SnapshotHeader): Uint8Array[] {
  const { stream, position: at, digest, chain, epochs, marks, time: committed } = header;
  const text = JSON.stringify({ stream, position: at, digest, chain, epochs, marks, time: committed });
  return encodeChunk(Buffer.from(text, 'utf8'));
}

/** A chunk behind its length. The chunk is not copied. */
export function encodeChunk(chunk: Uint8Array): Uint8Array[] {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(chunk.length);
  return [length, chunk];
}

/** The chunks of a part. @throws EvertreeError DAMAGED */
export function* readChunks(payload: Buffer, name: string): Generator<Buffer> {
  for (let offset = 0; offset < payload.length;) {
    const start = offset + LENGTH_BYTES;
    const end = start > payload.length ? Infinity : start + payload.readUInt32LE(offset);
    if (end > payload.length) throw damagedObject(name, 'a chunk is longer than the payload', { offset });
    yield payload.subarray(start, end);
    offset = end;
  }
}

/** @throws EvertreeError DAMAGED with key and value */
export function parseImageHead(chunk: Buffer, name: string): SnapshotHeader {
  return parseChecked(HEADER, chunk.toString('utf8'), name);
}
