import type { Consumer } from '@evertree/consumer';
import type { EpochName, Store } from '@evertree/core';
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
