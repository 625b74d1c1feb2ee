/** Offsets in a frame: FORMAT.md, «Frame». */
export const CODEC = 5;
export const FLAGS = 6;
export const EPOCH = 24;
export const BASE = 36;
export const BASE_REVISION = 48;
export const LAST_REVISION = 56;
export const DIGEST = 64;
export const FIRST_TIME = 72;
export const LAST_TIME = 80;
export const COUNT = 88;
export const BODY_LENGTH = 92;
export const PREVIOUS = 96;
export const BINARY = 1;

/** A number in 8 bytes; NaN for one above 2^53. */
export function readWide(bytes: Buffer, at: number): number {
  const high = bytes.readUInt32LE(at + 4);
  return high < 0x20_0000 ? bytes.readUInt32LE(at) + high * 0x1_0000_0000 : NaN;
}
