import { EvertreeError, FRAME_MAGIC, frameLength } from '@evertree/core';
import type { ExactPosition, Hello, Message, SiteMessage } from '@evertree/core';
import { ROLE_LIMIT_BYTES, roleSchema } from '../wire/role-messages.ts';
import { decodeUtf8, helloSchema, historyBeginsSchema, parseJson, snapshotBeginSchema, SITE_LIMIT_BYTES } from '../wire/schemas.ts';

/** The first byte of a message that is no frame. PROTOCOL.md, «Messages». */
export const TYPE = {
  hello: 0x01,
  heartbeat: 0x02,
  acknowledge: 0x03,
  resend: 0x04,
  snapshotBegin: 0x05,
  snapshotChunk: 0x06,
  snapshotEnd: 0x07,
  part: 0x08,
  role: 0x09,
  historyBegins: 0x0a,
} as const;

export const HEARTBEAT = Buffer.of(TYPE.heartbeat);

const POSITION_BYTES = 20;
const ACKNOWLEDGE_BYTES = 1 + 2 * POSITION_BYTES;

/** What a whole message of the wire means. Parts are put together before (parts.ts). */
export type Decoded =
  | { readonly type: 'heartbeat' }
  | { readonly type: 'hello'; readonly hello: Hello; readonly heartbeatMs: number }
  | Exclude<SiteMessage, { readonly type: 'hello' }>;

/**
 * The message as one piece of bytes; a frame's are the frame's own, not a copy.
 * @param heartbeatMs what this end tells in its hello
 */
export function encodeMessage(message: Message, heartbeatMs: number): Buffer {
  switch (message.type) {
    case 'frame':
      return asBuffer(message.bytes);
    case 'hello':
      return encodeJson(TYPE.hello, { ...message.hello, heartbeatMs });
    case 'acknowledge':
      return encodeAcknowledge(message.site, message.applied, message.durable);
    case 'resend': {
      const bytes = Buffer.allocUnsafe(1 + POSITION_BYTES);
      bytes[0] = TYPE.resend;
      writePosition(bytes, message.after, 1);
      return bytes;
    }
    case 'history-begins':
      return encodeJson(TYPE.historyBegins, { base: message.base, epochs: message.epochs, last: message.last, reason: message.reason });
    case 'snapshot-begin':
      return encodeJson(TYPE.snapshotBegin, { header: message.header, reason: message.reason });
    case 'snapshot-chunk': {
      const bytes = Buffer.allocUnsafe(1 + message.bytes.length);
      bytes[0] = TYPE.snapshotChunk;
      bytes.set(message.bytes, 1);
      return bytes;
    }
    case 'snapshot-end': {
      const bytes = Buffer.allocUnsafe(5);
      bytes[0] = TYPE.snapshotEnd;
      bytes.writeUInt32LE(message.chunks, 1);
      return bytes;
    }
    case 'role':
      return encodeJson(TYPE.role, { from: message.from, to: message.to, message: message.message });
    default:
      throw violation(`a ${message.type} belongs to a log, and at the other end of this wire is a site`);
  }
}

/**
 * Reads a whole message. Frames and chunks refer to `bytes`.
 * @throws EvertreeError PROTOCOL_VIOLATION, FORMAT_INVALID or FORMAT_UNSUPPORTED (a frame's header)
 */
export function decodeMessage(bytes: Buffer): Decoded {
  if (bytes.length >= 4 && bytes.readUInt32LE(0) === FRAME_MAGIC) {
    const length = frameLength(bytes);
    if (length !== bytes.length) throw violation(`a frame says that it has ${length} bytes and came with ${bytes.length}`);
    return { type: 'frame', bytes };
  }
  switch (bytes[0]) {
    case TYPE.hello: {
      const { heartbeatMs, ...hello } = parseJson(helloSchema, bytes.subarray(1), 'hello');
      return { type: 'hello', hello, heartbeatMs };
    }
    case TYPE.heartbeat:
      requireLength(bytes, 'heartbeat', 1);
      return { type: 'heartbeat' };
    case TYPE.acknowledge:
      return decodeAcknowledge(bytes);
    case TYPE.resend:
      requireLength(bytes, 'resend', 1 + POSITION_BYTES);
      return { type: 'resend', after: readPosition(bytes, 1) };
    case TYPE.snapshotBegin:
      return { type: 'snapshot-begin', ...parseJson(snapshotBeginSchema, bytes.subarray(1), 'snapshot-begin') };
    case TYPE.snapshotChunk:
      if (bytes.length < 2) throw violation('a snapshot-chunk is empty');
      return { type: 'snapshot-chunk', bytes: bytes.subarray(1) };
    case TYPE.snapshotEnd:
      requireLength(bytes, 'snapshot-end', 5);
      return { type: 'snapshot-end', chunks: bytes.readUInt32LE(1) };
    case TYPE.role:
      if (bytes.length > ROLE_LIMIT_BYTES) throw violation(`a role of ${bytes.length} bytes; the limit is ${ROLE_LIMIT_BYTES}`);
      return { type: 'role', ...parseJson(roleSchema, bytes.subarray(1), 'role') };
    case TYPE.historyBegins:
      return { type: 'history-begins', ...parseJson(historyBeginsSchema, bytes.subarray(1), 'history-begins') };
    case undefined:
      throw violation('an empty message');
    default:
      throw violation(`a message of the unknown type ${bytes[0]}`);
  }
}

export function violation(what: string): EvertreeError {
  return new EvertreeError('PROTOCOL_VIOLATION', what);
}

function encodeJson(type: number, value: unknown): Buffer {
  const text = JSON.stringify(value);
  const bytes = Buffer.allocUnsafe(1 + Buffer.byteLength(text));
  bytes[0] = type;
  bytes.write(text, 1);
  return bytes;
}

function encodeAcknowledge(site: string, applied: ExactPosition, durable: ExactPosition): Buffer {
  const bytes = Buffer.allocUnsafe(ACKNOWLEDGE_BYTES + Buffer.byteLength(site));
  bytes[0] = TYPE.acknowledge;
  writePosition(bytes, applied, 1);
  writePosition(bytes, durable, 1 + POSITION_BYTES);
  bytes.write(site, ACKNOWLEDGE_BYTES);
  return bytes;
}

function decodeAcknowledge(bytes: Buffer): Decoded {
  const siteBytes = bytes.length - ACKNOWLEDGE_BYTES;
  if (siteBytes < 1 || siteBytes > SITE_LIMIT_BYTES) throw violation(`an acknowledge of ${bytes.length} bytes`);
  return {
    type: 'acknowledge',
    site: decodeUtf8(bytes.subarray(ACKNOWLEDGE_BYTES)),
    applied: readPosition(bytes, 1),
    durable: readPosition(bytes, 1 + POSITION_BYTES),
  };
}

function writePosition(bytes: Buffer, position: ExactPosition, offset: number): void {
  bytes.writeUInt32LE(position.epoch, offset);
  bytes.write(position.epochId, offset + 4, 8, 'hex');
  bytes.writeUInt32LE(position.revision % 0x1_0000_0000, offset + 12);
  bytes.writeUInt32LE(Math.floor(position.revision / 0x1_0000_0000), offset + 16);
}

function readPosition(bytes: Buffer, offset: number): ExactPosition {
  const revision = bytes.readUInt32LE(offset + 12) + bytes.readUInt32LE(offset + 16) * 0x1_0000_0000;
  if (!Number.isSafeInteger(revision)) throw violation('a position with a revision above 2^53');
  return { epoch: bytes.readUInt32LE(offset), epochId: bytes.toString('hex', offset + 4, offset + 12), revision };
}

function requireLength(bytes: Buffer, name: string, length: number): void {
  if (bytes.length !== length) throw violation(`a ${name} of ${bytes.length} bytes; it has ${length}`);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
