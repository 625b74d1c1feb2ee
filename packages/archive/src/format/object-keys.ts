import type { Position } from '@evertree/core';

/** The keys of an archive's objects: ARCHIVE.md, «Objects». Each has only digits, letters, `-`, `/`. */
export const HEAD_KEY = 'HEAD';
export const MANIFEST_PREFIX = 'manifest/';
export const TAIL_PREFIX = 'tail/';
export const STRETCH_PREFIX = 'stretch/';
export const IMAGE_PREFIX = 'image/';
export const PIN_PREFIX = 'pin/';
const DRILL_PREFIX = 'drill/';
export const VERIFIED_PREFIX = 'verified/';
export const PROBE_PREFIX = 'probe/';

export function manifestKey(sha256: string): string {
  return `${MANIFEST_PREFIX}${sha256}`;
}

/** What the keys of a tail's objects begin with, without the slash: the `path` of its note in the manifest. */
export function tailPath(epoch: number, epochId: string, site: string, run: string): string {
  return `${TAIL_PREFIX}${decimal(epoch, 10)}-${epochId}-${site}-${run}`;
}

export function tailKey(path: string, number: number): string {
  return `${path}/${decimal(number, 10)}`;
}

/** @param last where the stretch ends @param number from 1, counted by the run */
export function stretchKey(line: string, last: Position, run: string, number: number): string {
  return `${STRETCH_PREFIX}${line}/${positionKey(last)}-${run}-${decimal(number, 10)}`;
}

/** @param part from 1 */
export function imagePartKey(line: string, position: Position, run: string, part: number): string {
  return `${IMAGE_PREFIX}${line}/${positionKey(position)}-${run}/${decimal(part, 10)}`;
}

export function pinKey(id: string): string {
  return `${PIN_PREFIX}${id}`;
}

export function drillKey(id: string): string {
  return `${DRILL_PREFIX}${id}`;
}

export function verifiedKey(id: string): string {
  return `${VERIFIED_PREFIX}${id}`;
}

export function probeKey(id: string): string {
  return `${PROBE_PREFIX}${id}`;
}

function positionKey({ epoch, revision }: Position): string {
  return `${decimal(epoch, 10)}-${decimal(revision, 16)}`;
}

function decimal(value: number, digits: number): string {
  return String(value).padStart(digits, '0');
}
