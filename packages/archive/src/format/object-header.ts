import type { ExactPosition } from '@evertree/core';
import { z } from 'zod';
import { count, hex, parseChecked, position, sha256, time } from './checked.ts';

/** What a sealed object says of its frames: positions, times, sizes and hashes. */
export interface FramesHeader {
  readonly archive: string;
  readonly line: string;
  readonly base: ExactPosition;
  readonly last: ExactPosition;
  readonly firstTime: number;
  readonly lastTime: number;
  readonly commits: number;
  /** Bytes of the payload before it was compressed. */
  readonly plainBytes: number;
  readonly previous: string;
  readonly chain: string;
  readonly digest: string;
  readonly marks: readonly number[];
  /** The sum of the tail's object before it; null for the first one of a tail, and for a stretch. */
  readonly after: string | null;
}

/** What a sealed object says of its part of an image. */
export interface ImagePartHeader {
  readonly archive: string;
  readonly line: string;
  readonly position: ExactPosition;
  /** From 1. */
  readonly part: number;
  readonly plainBytes: number;
}

/** The most bytes of a payload before it is compressed: one frame or one chunk of the largest size, and some. */
const PLAIN_LIMIT_BYTES = 512 * 1024 * 1024;

const FRAMES = z.strictObject({
  archive: hex(32),
  line: hex(16),
  base: position(),
  last: position(),
  firstTime: time(),
  lastTime: time(),
  commits: count().min(1),
  plainBytes: count().max(PLAIN_LIMIT_BYTES),
  previous: sha256(),
  chain: sha256(),
  digest: hex(16),
  marks: z.array(count()),
  after: sha256().nullable(),
}) satisfies z.ZodType<FramesHeader>;

const IMAGE_PART = z.strictObject({
  archive: hex(32),
  line: hex(16),
  position: position(),
  part: count().min(1),
  plainBytes: count().max(PLAIN_LIMIT_BYTES),
}) satisfies z.ZodType<ImagePartHeader>;

export function encodeFramesHeader(header: FramesHeader): string {
  const { archive, line, base, last, firstTime, lastTime, commits, plainBytes, previous, chain, digest, marks, after } = header;
  const positions = { base: exact(base), last: exact(last) };
  const times = { firstTime, lastTime, commits, plainBytes };
  return JSON.stringify({ archive, line, ...positions, ...times, previous, chain, digest, marks, after });
}

export function encodeImagePartHeader({ archive, line, position: at, part, plainBytes }: ImagePartHeader): string {
  return JSON.stringify({ archive, line, position: exact(at), part, plainBytes });
}

/** @throws EvertreeError DAMAGED with key and value */
export function parseFramesHeader(text: string, name: string): FramesHeader {
  return parseChecked(FRAMES, text, name);
}

/** @throws EvertreeError DAMAGED with key and value */
export function parseImagePartHeader(text: string, name: string): ImagePartHeader {
  return parseChecked(IMAGE_PART, text, name);
}

function exact({ epoch, epochId, revision }: ExactPosition): ExactPosition {
  return { epoch, epochId, revision };
}
