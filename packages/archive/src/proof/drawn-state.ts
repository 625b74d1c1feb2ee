import { EvertreeError, type ExactPosition } from '@evertree/core';
import type { Opening } from '../encryption/sealing.ts';
import type { Archive } from '../reading/archive.ts';
import { FramesReader } from '../reading/frames-reader.ts';
import type { Restorable } from '../reading/line-history.ts';
import { ObjectSource } from '../reading/object-source.ts';

/** A state that was drawn from all that can be restored. */
export interface DrawnState {
  /** Draws the same state of the same archive again. */
  readonly seed: number;
  readonly line: string;
  readonly position: ExactPosition;
  /** Commit time, milliseconds since 1970. */
  readonly time: number;
  /** What the live site recorded there. */
  readonly digest: string;
}

/** Seeds are whole numbers below it. */
const SEED_LIMIT = 0x1_0000_0000;

export function drawSeed(fraction: number): number {
  return Math.floor(fraction * SEED_LIMIT);
}

/** Numbers in [0, 1) that a seed decides (mulberry32). */
export function fractionsOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / SEED_LIMIT;
  };
}

/**
 * Draws one of the states of an archive: each commit is as likely as any other, and the state is that at the end of its
 * frame, of which the live site recorded the digest.
 * @throws EvertreeError NOT_FOUND if nothing can be restored; those of reading the object that holds it
 */
export async function drawState(archive: Archive, opening: Opening, seed: number): Promise<DrawnState> {
  const fraction = fractionsOf(seed);
  const states = archive.states();
  // The tree before the first commit is no state that a restore gives.
  const commits = states.map(({ from, to }) => to.revision - Math.max(1, from.revision) + 1);
  let drawn = Math.floor(fraction() * commits.reduce((sum, each) => sum + each, 0));
  const state = states.find((_, index) => (drawn -= commits[index]!) < 0);
  if (state === undefined) throw new EvertreeError('NOT_FOUND', `${archive.target.name} has no state that can be restored`);
  return { seed, line: state.line, ...(await stateNear(archive, opening, state, state.to.revision + 1 + drawn)) };
}

async function stateNear(
  archive: Archive,
  opening: Opening,
  state: Restorable,
  revision: number,
): Promise<Omit<DrawnState, 'seed' | 'line'>> {
  const entry = state.stretches.find(({ base, last }) => base.revision < revision && revision <= last.revision);
  const image = state.images[0];
  const isImage = image !== undefined && revision <= image.position.revision && state.from.revision > 0;
  if (isImage || entry === undefined) {
    const { position, time, digest } = image!;
    return { position, time, digest };
  }
  const frames = await new FramesReader(
    new ObjectSource(archive.target, { archive: archive.id, isEncrypted: archive.isEncrypted, opening }),
    archive.stream!,
    state.line,
  ).all(entry);
  const { last, lastTime, digest } = frames.find(({ header }) => header.last.revision >= revision)!.header;
  return { position: last, time: lastTime, digest };
}
