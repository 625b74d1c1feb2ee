import { type EpochName, type Hello, type Store, compareEpochs, highestEpoch } from '@evertree/core';
import { override } from './overrides.ts';
import type { SimulatedSite } from './site.ts';

/** A number that an epoch has, or may have, as a hello told. */
interface ToldNumber {
  readonly number: number;
  /** Undefined where only the number is known. */
  readonly id: string | undefined;
  /** The target of a handover, to which the number is left. */
  readonly leftTo?: string;
  /** In virtual time. */
  readonly atMs: number;
}

/** The highest epoch that began, as a hello told. */
interface ToldEpoch {
  readonly epoch: EpochName;
  readonly atMs: number;
}

/** Recording what was told takes a handful of writes and syncs, behind others. */
const RECORDING_CALLS = 40;

/**
 * What each site was told of epochs, by hellos. It knows that after a restart, too, if nothing was wrong with its process
 * and its disk for as long as recording takes.
 */
export class ToldEpochs {
  readonly #numbers = new Map<string, readonly ToldNumber[]>();
  readonly #highest = new Map<string, ToldEpoch>();

  /** A hello of its stream came to a site. */
  hear({ name, machine }: SimulatedSite, store: Store, { epochs, position, fencedBy }: Hello): void {
    const atMs = machine.time.nowMs;
    const numbers: ToldNumber[] = [{ number: position.epoch, id: position.epochId, atMs }];
    for (const { number, id, end } of epochs) {
      numbers.push({ number, id, atMs });
      if (end !== undefined) numbers.push({ number: number + 1, id: undefined, leftTo: end.to, atMs });
    }
    if (fencedBy !== undefined) numbers.push({ number: fencedBy.number, id: fencedBy.id, atMs });
    const before = this.#numbers.get(name) ?? [];
    this.#numbers.set(name, [...before, ...numbers.filter(told => !before.some(other => isSame(told, other)))]);
    const epoch = highestEpoch(epochs, position);
    // A topic tells no table, and its last frame may be of a restart: an id of its own number says nothing.
    if (epochs.length === 0 && epoch.number <= store.position.epoch) return;
    const highest = this.#highest.get(name);
    if (highest === undefined || compareEpochs(epoch, highest.epoch) > 0) this.#highest.set(name, { epoch, atMs });
  }

  /** The highest epoch of which it was told that it began. */
  highest(site: string): EpochName | undefined {
    return this.#highest.get(site)?.epoch;
  }

  /** Its process is about to end. */
  ends({ name, machine, calmSinceMs }: SimulatedSite): void {
    const recordedMs = RECORDING_CALLS * machine.temper.latencyMs[1];
    const isRecorded = ({ atMs }: { readonly atMs: number }) => machine.time.nowMs - Math.max(atMs, calmSinceMs) >= recordedMs;
    this.#numbers.set(name, this.#numbers.get(name)?.filter(isRecorded) ?? []);
    const highest = this.#highest.get(name);
    if (highest !== undefined && !isRecorded(highest)) this.#highest.delete(name);
  }

  /** Its disk is one from before. */
  forget(site: string): void {
    this.#numbers.delete(site);
    this.#highest.delete(site);
  }

  /** An epoch that a site begins has a number above all of which it was told, but for the one that is its own to take. */
  watch(site: string, store: Store, violated: (law: string, what: string) => void): void {
    override(store, 'beginEpoch', beginEpoch => (epoch, reason) => {
      const isOwn = ({ id, leftTo }: ToldNumber) => id === epoch.id || leftTo === site;
      const taken = this.#numbers.get(site)?.find(told => told.number >= epoch.number && !isOwn(told));
      beginEpoch(epoch, reason);
      if (taken === undefined) return;
      const of = taken.leftTo === undefined ? `(${taken.id})` : `is left to ${taken.leftTo}`;
      violated('number', `${site} begins epoch ${epoch.number} (${epoch.id}), and was told that ${taken.number} ${of}`);
    });
  }
}

function isSame(one: ToldNumber, other: ToldNumber): boolean {
  return one.number === other.number && one.id === other.id && one.leftTo === other.leftTo;
}
