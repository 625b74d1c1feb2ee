import { createHash } from 'node:crypto';
import { type ExactPosition, isEvertreeError } from '@evertree/core';
import type { Identities } from '../encryption/identities.ts';
import { HEAD_KEY, MANIFEST_PREFIX } from '../format/object-keys.ts';
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

/** What was restored, and with what. */
interface PlantedState {
  readonly line: string;
  readonly position: ExactPosition;
  readonly identities: Identities | undefined;
}

/**
 * Flips a bit in a copy of one of the objects that a restore needs. Which one is drawn by its key, so that a seed draws the
 * same one whatever comes first. A restore also reads objects only to choose among lines, and goes on where those are
 * damaged: none of them is drawn. The target itself is never changed.
 */
export class FlipPlant {
  readonly #seed: number;
  /** HEAD and manifests as they were read: later ones may name other objects. */
  readonly #leading = new Map<string, TargetObject>();

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** A target that gives what `target` gives, for the restore. */
  watch(target: Target): Target {
    return new WatchedTarget(target, (key, fetched) => {
      if (fetched !== undefined && (key === HEAD_KEY || key.startsWith(MANIFEST_PREFIX))) this.#leading.set(key, fetched);
      return fetched;
    });
  }

  /**
   * Reads the altered copy in the place of the object, as a restore to a position does.
   * @returns undefined if the restore needs no object
   */
  async read(target: Target, state: PlantedState): Promise<PlantedFlip | undefined> {
    const restored = new WatchedTarget(target, (key, fetched) => this.#leading.get(key) ?? fetched);
    const key = this.#draw(await neededKeys(restored, state));
    const object = key === undefined ? undefined : await target.get(key);
    if (key === undefined || object === undefined) return undefined;
    const fraction = fractionsOf(this.#seed);
    const offset = Math.floor(fraction() * object.bytes.length);
    const bit = Math.floor(fraction() * 8);
    const bytes = Buffer.from(object.bytes);
    bytes[offset]! ^= 1 << bit;
    const planted = new WatchedTarget(restored, (each, fetched) => (each === key ? { ...object, bytes } : fetched));
    const problem = await problemIn(planted, key, state);
    return { object: key, offset, bit, found: problem !== undefined, problem };
  }

  #draw(keys: readonly string[]): string | undefined {
    const rank = (key: string) => createHash('sha256').update(`${this.#seed} ${key}`).digest('hex');
    return keys.toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1))[0];
  }
}

/** The objects of which a state is restored. */
async function neededKeys(target: Target, { line, position, identities }: PlantedState): Promise<string[]> {
  const archive = await Archive.open(target, { identities });
  const { image, stretches } = await archive.plan(position, { line });
  return [...(image?.parts ?? []), ...stretches].map(({ path }) => path);
}

/** What reading one object, and what leads to it, says of it. */
async function problemIn(target: Target, key: string, { line, position, identities }: PlantedState): Promise<string | undefined> {
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
