import { covers, samePosition } from '@evertree/core';
import type { ExactPosition, Message, Reason, Store } from '@evertree/core';
import type { CommitTimes } from './commit-times.ts';
import type { OwnHistory } from './decision.ts';
import type { Progress } from './progress.ts';

/** This site's history as the decision sees it; stable positions only. */
export function ownHistory(store: Store): OwnHistory {
  const { position: last, digest } = store.stable;
  const { site, stream, epochs, journal, standing } = store;
  const { fencedBy } = journal.identity;
  const fence = standing === 'fenced' && fencedBy !== undefined ? { fencedBy } : {};
  return { site, stream, last, digest, base: journal.log.base, epochs, ...fence };
}

/** Commit time of the oldest change set after `position` that the journal keeps; undefined when there is none. */
export async function firstTimeAfter(store: Store, position: ExactPosition): Promise<number | undefined> {
  const { log } = store.journal;
  if (position.revision >= log.stable.revision) return undefined;
  const reader = log.read(position.revision < log.base.revision ? log.base : position);
  const stored = await reader.next();
  await reader.close();
  return stored?.frame.header.firstTime;
}

/** The digest of this site's tree as it was at `position`, where that is still known. */
export async function digestAt(store: Store, position: ExactPosition): Promise<string | undefined> {
  if (samePosition(position, store.stable.position)) return store.stable.digest;
  const { log, snapshots } = store.journal;
  const frame = await log.find(position);
  if (frame !== undefined) return frame.digest;
  return snapshots.list.find(listed => samePosition(listed.position, position))?.digest;
}

/** What a secondary lacks; null when unknown. Revisions count the distance within one history only. */
export function lagRevisions({ epochs, stable }: Store, { state, durable }: Progress): number | null {
  if (durable === undefined || state === 'diverged' || state === 'fenced') return null;
  return covers({ epochs, last: stable.position }, durable) ? stable.position.revision - durable.revision : null;
}

/** The age of the oldest commit that a secondary lacks, in so many revisions; null when unknown. */
export function lagMs(
  { store, times }: { readonly store: Store; readonly times: CommitTimes },
  { durable, oldestTime }: Progress,
  revisions: number | null,
  readsLog: boolean,
): number | null {
  if (revisions === null || revisions === 0) return revisions;
  // Nothing is in flight to one that reads from a log: what it lacks is as old as its becoming stable here.
  const oldest = (readsLog ? times.after(durable?.revision ?? 0) : undefined) ?? oldestTime;
  return oldest === undefined ? null : Math.max(0, store.clock.now() - oldest);
}

/** Tells a secondary from where on this site keeps the history, for this reason, and which history it is. */
export function beginningOf(store: Store, base: ExactPosition, reason: Reason): Message {
  const { epochs, last } = ownHistory(store);
  return { type: 'history-begins', base, epochs, last, reason };
}
