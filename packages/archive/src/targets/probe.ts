import type { Clock, Random } from '@evertree/core';
import { isEvertreeError } from '@evertree/core';
import { PROBE_PREFIX } from '../format/object-keys.ts';
import type { Target } from './target.ts';

/** What whoever asks for a target may do there. */
export type TargetRight = 'create' | 'read' | 'replace' | 'list' | 'remove';

/** What a target was seen to do. */
export interface TargetProbe {
  /** It refused every write whose condition did not hold. Without that only one writer is safe. */
  readonly conditions: boolean;
  /** Writes that it made although their conditions did not hold, in words. */
  readonly ignored: readonly string[];
  readonly rights: Readonly<Record<TargetRight, boolean>>;
  /** What it said of each right that is missing. */
  readonly refusals: readonly string[];
  /** How far the target's clock is ahead of this machine's. */
  readonly clockSkewMs: number;
}

const ID_BYTES = 16;
/** Writers that create one key at once. */
const RACERS = 4;

/**
 * Writes, reads, lists and removes objects that mean nothing, and looks whether the target refuses what it has to.
 * @throws EvertreeError if the target can't be used at all; a missing right is told in the result
 */
export function probeTarget(target: Target, host: { readonly clock: Clock; readonly random: Random }): Promise<TargetProbe> {
  return new Probing(target, host).run();
}

class Probing {
  readonly #target: Target;
  readonly #clock: Clock;
  /** What all keys of this probe begin with. */
  readonly #prefix: string;
  readonly #rights: Record<TargetRight, boolean> = { create: false, read: false, replace: false, list: false, remove: false };
  readonly #refusals: string[] = [];
  readonly #ignored: string[] = [];

  constructor(target: Target, { clock, random }: { readonly clock: Clock; readonly random: Random }) {
    this.#target = target;
    this.#clock = clock;
    this.#prefix = `${PROBE_PREFIX}${Buffer.from(random.bytes(ID_BYTES)).toString('hex')}`;
  }

  async run(): Promise<TargetProbe> {
    const keys = ['create', 'race', 'replace'].map(name => `${this.#prefix}-${name}`) as [string, string, string];
    await this.#try('read', () => this.#target.get(keys[0]));
    try {
      await this.#try('create', () => this.#create(keys[0]));
      if (this.#rights.create) await this.#race(keys[1]);
      await this.#try('replace', () => this.#replace(keys[2]));
      await this.#try('list', () => this.#list());
    } finally {
      await this.#try('remove', () => this.#target.remove(keys));
    }
    return {
      conditions: this.#ignored.length === 0 && this.#rights.create && this.#rights.replace,
      ignored: this.#ignored,
      rights: this.#rights,
      refusals: this.#refusals,
      clockSkewMs: await this.#skew(),
    };
  }

  async #try(right: TargetRight, act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
      this.#rights[right] = true;
    } catch (error) {
      if (!isEvertreeError(error, 'FORBIDDEN')) throw error;
      this.#refusals.push(error.message);
    }
  }

  async #create(key: string): Promise<void> {
    await this.#target.create(key, bytesOf('first'));
    const second = await this.#target.create(key, bytesOf('second'));
    const isKept = !this.#rights.read || (await this.#holds(key, 'first'));
    if (second !== 'exists' || !isKept) this.#ignored.push('it wrote an object anew that was to be created once (If-None-Match)');
  }

  async #race(key: string): Promise<void> {
    const outcomes = await Promise.all(Array.from({ length: RACERS }, (_, racer) => this.#target.create(key, bytesOf(`racer ${racer}`))));
    const winner = outcomes.indexOf('created');
    const isSole = winner >= 0 && outcomes.filter(outcome => outcome === 'created').length === 1;
    const isKept = isSole && (!this.#rights.read || (await this.#holds(key, `racer ${winner}`)));
    if (!isKept) this.#ignored.push('of several that created one object at once it told more than one that it had made it (If-None-Match)');
  }

  async #replace(key: string): Promise<void> {
    const first = await this.#target.replace(key, bytesOf('first'), undefined);
    if (first === 'changed') throw new Error(`${this.#target.name} has the object ${key}, whose name was drawn just now`);
    const second = await this.#target.replace(key, bytesOf('second, longer'), first.tag);
    if (second === 'changed') {
      this.#ignored.push('it did not replace an object although its tag was the right one (If-Match)');
      return;
    }
    const stale = await this.#target.replace(key, bytesOf('third'), first.tag);
    const again = await this.#target.replace(key, bytesOf('fourth'), undefined);
    const isKept = !this.#rights.read || (await this.#holds(key, 'second, longer'));
    if (stale !== 'changed' || again !== 'changed' || !isKept) this.#ignored.push('it replaced an object whose tag had changed (If-Match)');
  }

  async #list(): Promise<void> {
    const found = await Array.fromAsync(this.#target.list(this.#prefix));
    const isExpected = found.length > 0 || !this.#rights.create;
    if (!isExpected) this.#ignored.push('its list lacks what was written a moment before');
  }

  async #holds(key: string, text: string): Promise<boolean> {
    return (await this.#target.get(key))?.bytes.equals(bytesOf(text)) === true;
  }

  async #skew(): Promise<number> {
    const beforeMs = this.#clock.now();
    const targetMs = await this.#target.now();
    return Math.round(targetMs - (beforeMs + this.#clock.now()) / 2);
  }
}

function bytesOf(text: string): Buffer {
  return Buffer.from(`Written by a probe of Evertree; it means nothing and may be removed. ${text}\n`);
}
