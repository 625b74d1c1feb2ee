import { z } from 'zod';
import { assertVersion, count, parseChecked, sha256, time } from './checked.ts';

/** ARCHIVE.md, «Pins», is normative; this file is its implementation. */
const FORMAT = 'evertree pin';
const VERSION = 1;

/** What an object below `pin/` says. */
export interface PinNote {
  /** SHA-256 of the manifest whose objects somebody reads. */
  readonly manifest: string;
  /** When it was made or renewed last, by the target's time. */
  readonly time: number;
  /** Until when it counts, by the target's time. */
  readonly expiresAt: number;
  /** What for, in one word: `restore`, `verify`, … */
  readonly purpose: string;
}

const SCHEMA = z.strictObject({
  format: z.literal(`${FORMAT} ${VERSION}`),
  manifest: sha256(),
  time: time(),
  expiresAt: count(),
  purpose: z.string(),
});

export function encodePin({ manifest, time: made, expiresAt, purpose }: PinNote): Buffer {
  return Buffer.from(`${JSON.stringify({ format: `${FORMAT} ${VERSION}`, manifest, time: made, expiresAt, purpose })}\n`, 'utf8');
}

/** @throws EvertreeError DAMAGED with key and value, FORMAT_UNSUPPORTED */
export function parsePin(bytes: Uint8Array, key: string): PinNote {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  assertVersion(text, FORMAT, VERSION, key);
  const { format: _, ...note } = parseChecked(SCHEMA, text, key);
  return note;
}
