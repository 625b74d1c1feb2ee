import type { Consumer } from '@evertree/consumer';
import { type EpochName, EvertreeError, type Store, highestEpoch } from '@evertree/core';
import type { Producer } from '@evertree/producer';
import type { RoleLimits } from './limits.ts';
import type { PartFactory } from './part.ts';

/** The primary that this site is linked to. */
export interface FollowedPrimary {
  readonly site: string;
  readonly remote: string;
}

/** What the drivers of the machines act on. */
export interface RoleContext {
  readonly store: Store;
  readonly factory: PartFactory;
  readonly limits: RoleLimits;
  /** What is open now. */
  readonly producer: Producer | undefined;
  readonly consumer: Consumer | undefined;
  /** The primary that feeds this site over a link that stands. */
  readonly followed: FollowedPrimary | undefined;
  /** The program's name and version. */
  readonly program: string;
  /** Where clients reach this site over HTTP. */
  readonly advertised: string | undefined;
  /** The standing, or a machine's step, changed: the open parts may have to, too. */
  changed(): void;
}

/** The lowest number above every epoch that this site knows of: by its history, by what fences it, and by hellos. */
export function nextEpochNumber(store: Store): number {
  const { number } = highestEpoch(store.epochs, store.position);
  return Math.max(number, store.fencedBy?.number ?? 0, store.heardEpochs.number) + 1;
}

/**
 * A site goes on by a switchover, or after one that was withdrawn, only while it has heard of no other that leads, or is
 * about to.
 * @throws EvertreeError FENCED
 */
export function assertNotSurpassed({ heardEpochs, site }: Store, epoch: EpochName): void {
  if (!heardEpochs.surpass(epoch)) return;
  const message = `${site} has heard that another site has begun epoch ${heardEpochs.number}, or was promised it`;
  throw new EvertreeError('FENCED', message, { epoch, heard: heardEpochs.number });
}

export function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** 16 hex digits. */
export function drawId({ random }: Store): string {
  return Array.from(random.bytes(8), byte => byte.toString(16).padStart(2, '0')).join('');
}

/** Tells at the new primary itself that it leads, once that is stable; the others tell when they hear of it. */
export function reportReign({ site, report }: Store, epoch: EpochName, how: string, level: 'info' | 'warn'): void {
  const message = `${site} has become the primary ${how}, in epoch ${epoch.number} (${epoch.id})`;
  report({ level, event: 'reign-begun', message, details: { epoch } });
}
