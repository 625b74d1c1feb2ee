import type { EpochName, ExactPosition } from '@evertree/core';
import { EvertreeError } from '@evertree/core';

/** A position of a history at which a copy of its directory begins, or ends. */
export interface Timestamp {
  readonly format: typeof TIMESTAMP_FORMAT;
  readonly stream: string;
  /** The site that gave it. */
  readonly site: string;
  readonly position: ExactPosition;
  /** Of the tree at `position`. */
  readonly digest: string;
  /** When it was given, by the site's clock; milliseconds since 1970. */
  readonly time: number;
  /** The highest epoch that the site had heard of. */
  readonly epoch: EpochName;
  /** Names the copy: the lease that holds the history for it. */
  readonly lease: string;
  /** In a second timestamp: where the copy began. Then its lease was held all the time. */
  readonly first: ExactPosition | null;
  /** All copies for which the history was held at that moment, whoever makes them. */
  readonly held: readonly HeldCopy[];
}

/** A copy for which the history is held. */
export interface HeldCopy {
  readonly lease: string;
  readonly position: ExactPosition;
}

export const TIMESTAMP_FORMAT = 'evertree timestamp 1';

/** Timestamps that a file may lie in the future: clocks differ. */
const FUTURE_LIMIT_MS = 86_400_000;
const STREAM = /^[0-9a-f]{32}$/;
const HEX_16 = /^[0-9a-f]{16}$/;

/**
 * Reads what a timestamp's file says.
 * @param name of the file, for errors
 * @param now milliseconds since 1970
 * @throws EvertreeError VALUE_INVALID for what is no timestamp, or can be none
 */
export function parseTimestamp(text: string, name: string, now: number): Timestamp {
  const value = parse(text);
  if (value?.['format'] !== TIMESTAMP_FORMAT) throw invalid(name, 'is no timestamp; "evertree timestamp fetch" writes one');
  const { stream, site, position, digest, time, epoch, lease, first, held } = value;
  if (typeof stream !== 'string' || !STREAM.test(stream)) throw invalid(name, 'names no stream');
  if (typeof site !== 'string' || typeof lease !== 'string' || lease === '') throw invalid(name, 'names no site, or no lease');
  if (!isPosition(position) || position.revision === 0) throw invalid(name, 'has no position');
  if (typeof digest !== 'string' || !HEX_16.test(digest)) throw invalid(name, 'has no digest');
  if (!isCount(time) || time > now + FUTURE_LIMIT_MS) throw invalid(name, 'is of a time that has not come; is the clock right here?');
  if (!isEpoch(epoch)) throw invalid(name, 'has no epoch');
  if (first !== null && !isPosition(first)) throw invalid(name, 'does not say whether it is a first timestamp or a second one');
  if (!Array.isArray(held) || !held.every(isHeld)) throw invalid(name, 'does not say for which copies the history is held');
  return { format: TIMESTAMP_FORMAT, stream, site, position, digest, time, epoch, lease, first, held };
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    // The caller says that it is no timestamp.
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isEpoch(value: unknown): value is EpochName {
  return isRecord(value) && isCount(value['number']) && value['number'] <= 0xffff_ffff && HEX_16.test(String(value['id']));
}

function isPosition(value: unknown): value is ExactPosition {
  return isRecord(value) && isEpoch({ number: value['epoch'], id: value['epochId'] }) && isCount(value['revision']);
}

function isHeld(value: unknown): value is HeldCopy {
  return isRecord(value) && typeof value['lease'] === 'string' && isPosition(value['position']);
}

function invalid(name: string, problem: string): EvertreeError {
  return new EvertreeError('VALUE_INVALID', `${name} ${problem}`, { file: name });
}
