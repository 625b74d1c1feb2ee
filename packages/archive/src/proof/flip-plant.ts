import { createHash } from 'node:crypto';
import { type ExactPosition, isEvertreeError } from '@evertree/core';
import type { Identities } from '../encryption/identities.ts';
import { HEAD_KEY, IMAGE_PREFIX, MANIFEST_PREFIX, STRETCH_PREFIX, TAIL_PREFIX } from '../format/object-keys.ts';
import { Archive } from '../reading/archive.ts';
import { FramesReader } from '../reading/frames-reader.ts';
import { ObjectSource } from '../reading/object-source.ts';
import type { Target, TargetObject } from '../targets/target.ts';
import { fractionsOf } from './drawn-state.ts';
import { WatchedTarget } from './watched-target.ts';

/** A bit that was flipped in a copy of an object, and whether reading it found that. */
export interface PlantedFlip {
  readonly object: string;
  readonly offset: number;
  /** From 0, the lowest. */
  readonly bit: number;
  readonly found: boolean;
  /** What reading said; undefined if it found nothing. */
  readonly problem: string | undefined;
}

/**
 * Keeps a copy of one of the objects that a restore fetches, and of what leads to it. The object is drawn by its key, so
 * that a seed draws the same one whatever comes first. The target itself is never changed.
 */
export class FlipPlant {
  readonly #seed: number;
  /** HEAD and manifests as they were read: later ones may name other objects. */
  readonly #leading = new Map<string, TargetObject>();
  #kept: { readonly key: string; readonly rank: string; readonly object: TargetObject } | undefined;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** A target that gives what `target` gives, and of which one object is kept. */
  watch(target: Target): Target {
    return new WatchedTarget(target, (key, fetched) => {
      if (fetched !== undefined) this.#take(key, fetched);
      return fetched;
    });
  }

  /**
   * Reads the altered copy in the place of the object, as a restore to a position does.
   * @returns undefined if no object was fetched
   */
  async read(
    target: Target,
    state: { readonly line: string; readonly position: ExactPosition; readonly identities: Identities | undefined },
  ): Promise<PlantedFlip | undefined> {
    const kept = this.#kept;
    if (kept === undefined) return undefined;
    const fraction = fractionsOf(this.#seed);
    const { key, object } = kept;
    const offset = Math.floor(fraction() * object.bytes.length);
    const bit = Math.floor(fraction() * 8);
    const bytes = Buffer.from(object.bytes);
    bytes[offset]! ^= 1 << bit;
    const planted = new WatchedTarget(target, (each, fetched) =>
      each === key ? { ...object, bytes } : (this.#leading.get(each) ?? fetched),
    );
    const problem = await problemIn(planted, key, state);
    return { object: key, offset, bit, found: problem !== undefined, problem };
  }

  #take(key: string, object: TargetObject): void {
    if (key === HEAD_KEY || key.startsWith(MANIFEST_PREFIX)) this.#leading.set(key, object);
    const isTail = key.startsWith(TAIL_PREFIX);
    if (!isTail && !key.startsWith(STRETCH_PREFIX) && !key.startsWith(IMAGE_PREFIX)) return;
    // Of tails more is fetched than a restore needs, but never less than their first objects.
    const rank = isTail ? `tail ${key}` : createHash('sha256').update(`${this.#seed} ${key}`).digest('hex');
    if (this.#kept !== undefined && rank >= this.#kept.rank) return;
    // Its reader gives the memory of what it got back.
    this.#kept = { key, rank, object: { bytes: Buffer.from(object.bytes), tag: object.tag } };
  }
}

/** What reading one object, and what leads to it, says of it. */
async function problemIn(
  target: Target,
  key: string,
  { line, position, identities }: Parameters<FlipPlant['read']>[1],
): Promise<string | undefined> {
  const archive = await Archive.open(target, { identities });
  const seen = archive.problems.find(({ object }) => object === key);
  if (seen !== undefined) return seen.text;
  try {
    const plan = await archive.plan(position, { line });
    const part = plan.image?.parts.findIndex(({ path }) => path === key) ?? -1;
    const stretch = plan.stretches.find(({ path }) => path === key);
    if (stretch !== undefined)
      await new FramesReader(
        new ObjectSource(target, { archive: archive.id, isEncrypted: archive.isEncrypted, opening: identities }),
        plan.stream,
        line,
      ).all(stretch);
    else if (part >= 0) await archive.imageParts(plan, part).next();
    return undefined;
  } catch (error) {
    if (isEvertreeError(error, 'DAMAGED') && error.details['object'] === key) return error.message;
    throw error;
  }
}
