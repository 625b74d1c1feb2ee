import { createHash } from 'node:crypto';
import type { VerificationLevel } from './archive-finding.ts';
import type { NeededObject } from './line-history.ts';

/**
 * Which of the objects that were verified before are read again: all; one of some parts, so that each comes in its turn;
 * or those that were read longest ago, up to so many bytes.
 */
export type Rotation = 'all' | { readonly part: number; readonly of: number } | { readonly bytes: number };

/** What is remembered of an object that was verified. */
export interface VerifiedObject {
  /** The beginning of the sum at its end. */
  readonly sum: string;
  readonly level: VerificationLevel;
  /** When, by the target's time. */
  readonly time: number;
}

/** Where nothing else is said, all that is remembered is read again within so many verifications. */
const ROTATION_RUNS = 30;

/**
 * The objects that a verification reads: those that were not verified on its level, and some of the others.
 * @param remembered by key; only what is still of the same object
 */
export function dueObjects(
  objects: readonly NeededObject[],
  remembered: ReadonlyMap<string, VerifiedObject>,
  level: VerificationLevel,
  rotation: Rotation | undefined,
): Set<string> {
  const isKnown = ({ path }: NeededObject) => (remembered.get(path)?.level ?? -1) >= level;
  const due = new Set(objects.filter(object => !isKnown(object)).map(({ path }) => path));
  const known = objects.filter(isKnown);
  for (const { path } of again(known, remembered, rotation)) due.add(path);
  return due;
}

function again(
  known: readonly NeededObject[],
  remembered: ReadonlyMap<string, VerifiedObject>,
  rotation: Rotation | undefined,
): readonly NeededObject[] {
  if (rotation === 'all') return known;
  if (rotation !== undefined && 'part' in rotation) return known.filter(({ path }) => partOf(path, rotation.of) === rotation.part);
  const total = known.reduce((sum, { bytes }) => sum + bytes, 0);
  const limit = rotation === undefined ? Math.ceil(total / ROTATION_RUNS) : rotation.bytes;
  const oldest = known.toSorted((a, b) => remembered.get(a.path)!.time - remembered.get(b.path)!.time);
  let bytes = 0;
  return oldest.filter(object => {
    const isTaken = bytes < limit;
    bytes += object.bytes;
    return isTaken;
  });
}

/** An object stays in its part, whatever comes and goes beside it. From 1. */
function partOf(path: string, of: number): number {
  return (createHash('sha256').update(path).digest().readUInt32LE(0) % of) + 1;
}
