import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type EvertreeError, type Reporter, formatPosition, parseFrame } from '@evertree/core';

const FOLDER = 'quarantine';
const EXTENSION = '.evf';
/** When the folder is full the files in it stay: the first frames tell how the trouble began. */
const MOST_FRAMES = 64;
/** Hex digits of the frame's SHA-256 in its file's name. */
const HASH_DIGITS = 16;

/** Keeps frames that could not be applied in the site's directory, one file for each, for people to look at. */
export class Quarantine {
  readonly #folder: string;
  readonly #report: Reporter;

  constructor(directory: string, report: Reporter) {
    this.#folder = join(directory, FOLDER);
    this.#report = report;
  }

  /** Reports where the frame is kept, or why it is not. */
  keep(frame: Uint8Array, { code }: EvertreeError): void {
    const name = nameOf(frame);
    const file = join(this.#folder, name);
    try {
      mkdirSync(this.#folder, { recursive: true });
      const kept = readdirSync(this.#folder).filter(each => each.endsWith(EXTENSION));
      if (!kept.includes(name)) {
        if (kept.length >= MOST_FRAMES) throw new Error(`${MOST_FRAMES} frames are there already: move them elsewhere`);
        writeFileSync(file, frame);
      }
      this.#report({ level: 'warn', event: 'frame-kept', message: `the frame is kept in ${file}`, details: { file, code } });
    } catch (cause) {
      const message = `the frame could not be kept in ${file}: ${cause instanceof Error ? cause.message : String(cause)}`;
      this.#report({ level: 'warn', event: 'frame-not-kept', message, details: { file, error: cause } });
    }
  }
}

/**
 * Names a frame by its content, so that each frame has one file, which no other frame overwrites:
 * `4-1201-00112233445566ff-89abcdef01234567.evf`.
 */
function nameOf(frame: Uint8Array): string {
  const hash = createHash('sha256').update(frame).digest('hex').slice(0, HASH_DIGITS);
  return `${positionOf(frame)}-${hash}${EXTENSION}`;
}

function positionOf(frame: Uint8Array): string {
  try {
    const { last } = parseFrame(frame).header;
    return `${formatPosition(last)}-${last.epochId}`;
  } catch {
    // A frame may be in quarantine just because it can't be parsed.
    return 'unreadable';
  }
}
