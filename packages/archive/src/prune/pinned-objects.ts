import { isEvertreeError } from '@evertree/core';
import { manifestKey, PIN_PREFIX } from '../format/object-keys.ts';
import { parsePin, type PinNote } from '../format/pin-codec.ts';
import { readManifest } from '../publishing/head-state.ts';
import { NamedObjects } from '../publishing/named-objects.ts';
import type { ListedObject, Target } from '../targets/target.ts';
import { PIN_LIFE_MS } from './pin.ts';

/** A pin that counts. */
export interface CountingPin {
  readonly key: string;
  /** Undefined if it can't be read: it may be of a later version, or damaged. */
  readonly note: PinNote | undefined;
}

/** What readers hold at a moment. */
export class PinnedObjects {
  readonly pins: readonly CountingPin[];
  /** Of pins that ended so long ago that their owners know that they lost them. */
  readonly expiredKeys: readonly string[];
  /** By the hash of the manifest; undefined where it can't be known what is named. */
  readonly #named: ReadonlyMap<string, NamedObjects | undefined>;

  private constructor(pins: readonly CountingPin[], expiredKeys: readonly string[], named: ReadonlyMap<string, NamedObjects | undefined>) {
    this.pins = pins;
    this.expiredKeys = expiredKeys;
    this.#named = named;
  }

  /** @param time the target's, from before HEAD was read */
  static async read(target: Target, time: number): Promise<PinnedObjects> {
    const pins: CountingPin[] = [];
    const expired: string[] = [];
    for await (const object of target.list(PIN_PREFIX)) {
      const pin = await readPin(target, object, time);
      if (pin === 'expired') expired.push(object.key);
      else if (pin !== 'gone' && (pin.note === undefined || pin.note.expiresAt > time)) pins.push(pin);
    }
    const named = new Map<string, NamedObjects | undefined>();
    for (const { note } of pins) {
      if (note !== undefined && !named.has(note.manifest)) named.set(note.manifest, await namedBy(target, note.manifest));
    }
    return new PinnedObjects(pins, expired, named);
  }

  /** Whether somebody may read an object. A pin that can't be understood holds everything. */
  holds(path: string): boolean {
    return this.pins.some(({ note }) => {
      if (note === undefined || path === manifestKey(note.manifest)) return true;
      return this.#named.get(note.manifest)?.has(path) ?? true;
    });
  }
}

async function readPin(target: Target, { key, modified }: ListedObject, time: number): Promise<CountingPin | 'expired' | 'gone'> {
  const object = await target.get(key);
  if (object === undefined) return 'gone';
  try {
    const note = parsePin(object.bytes, key);
    return note.expiresAt <= time - PIN_LIFE_MS ? 'expired' : { key, note };
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    // No pin counts for longer than its life after it was written.
    return modified <= time - 2 * PIN_LIFE_MS ? 'expired' : { key, note: undefined };
  }
}

async function namedBy(target: Target, sha256: string): Promise<NamedObjects | undefined> {
  try {
    const manifest = await readManifest(target, sha256);
    return manifest === undefined ? undefined : new NamedObjects(manifest);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    // What it named can't be told, so everything is held.
    return undefined;
  }
}

function isUnreadable(error: unknown): boolean {
  return isEvertreeError(error, 'DAMAGED') || isEvertreeError(error, 'FORMAT_UNSUPPORTED');
}
