import { PROTOCOL_VERSIONS, samePosition } from '@evertree/core';
import type { EvertreeError, ExactPosition, Hello, Store } from '@evertree/core';
import type { History } from './decision.ts';

/** This site's history as the decision sees it; stable positions only. */
export function historyOf(store: Store): History {
  const { position, digest } = store.stable;
  return { site: store.site, stream: store.stream, position, digest, base: store.journal.log.base, epochs: store.epochs };
}

export function helloOf(store: Store, program: string): Hello {
  const { position, digest } = store.stable;
  return {
    protocols: PROTOCOL_VERSIONS,
    program,
    site: store.site,
    role: store.role,
    stream: store.stream,
    position,
    digest,
    epochs: store.epochs,
    durable: store.journal.log.durable,
  };
}

/** This primary takes no writes from now on. */
export function fence(store: Store, error: EvertreeError): void {
  store.refuseWrites(error);
  store.report({ level: 'error', event: 'primary-fenced', message: error.message, details: error.details });
}

/** Commit time of the oldest change set after `position` that the journal keeps; undefined when there is none. */
export async function firstTimeAfter({ journal }: Store, position: ExactPosition): Promise<number | undefined> {
  const { base, stable } = journal.log;
  if (position.revision >= stable.revision) return undefined;
  const reader = journal.log.read(position.revision < base.revision ? base : position);
  const stored = await reader.next();
  await reader.close();
  return stored?.frame.header.firstTime;
}

/** The digest of this site's tree as it was at `position`, where that is still known. */
export async function digestAt(store: Store, position: ExactPosition): Promise<string | undefined> {
  if (samePosition(position, store.stable.position)) return store.stable.digest;
  const frame = await store.journal.log.find(position);
  if (frame !== undefined) return frame.digest;
  if (!samePosition(position, store.journal.log.base)) return undefined;
  const snapshot = await store.journal.snapshots.newest();
  return snapshot !== undefined && samePosition(snapshot.header.position, position) ? snapshot.header.digest : undefined;
}
