import type { Boundary, EpochName, ExactPosition, Lease, Store } from '@evertree/core';
import { covers, EvertreeError, formatPosition, highestEpoch, samePosition } from '@evertree/core';
import { type HeldCopy, type Timestamp, TIMESTAMP_FORMAT } from './timestamp-file.ts';

/** A lease of a copy ends so long after it was renewed last. */
const COPY_LEASE_MS = 3_600_000;
/** The site renews the leases of copies so often. */
const COPY_RENEWAL_MS = 600_000;
/** The history is held for a copy at most so long. */
const COPY_LIMIT_MS = 86_400_000;
/** After the second timestamp the lease stays for a while: the answer may have been lost, and is asked for again. */
const COPY_END_MS = 600_000;
/** Copies that lost their leases are told of; only the newest are kept. */
const LOST_LIMIT = 16;

const PREFIX = 'timestamp-';

/** A copy of the directory that somebody makes, file by file. */
export interface CopyUnderWay extends HeldCopy {
  readonly begunAt: number;
  readonly expiresAt: number | null;
}

/**
 * Holds the history for copies of the directory that other tools make while the site runs: as long as a lease is listed,
 * the snapshot before its position and all frames after that are there. The lease is renewed as long as the site lives,
 * for a day at most. After a restart it goes on if it is listed.
 */
export class CopyLeases implements Disposable {
  readonly #store: Store;
  /** What was held when it was looked at last, to notice what is lost. */
  #known = new Map<string, ExactPosition>();
  #lost: HeldCopy[] = [];
  /** Copies whose second timestamp was given: their leases are not renewed. */
  readonly #ended = new Set<string>();
  readonly #onState: Disposable;
  /** The next renewal; undefined while no copy is held. */
  #timer: Disposable | undefined;

  /** Renews what is held from an earlier start, before retention is applied. It ends with the store. */
  constructor(store: Store) {
    this.#store = store;
    this.#onState = store.on('state', () => {
      if (store.state === 'closed') this[Symbol.dispose]();
    });
    this.#renew();
  }

  /** The copies for which the history is held. */
  get underWay(): readonly CopyUnderWay[] {
    return [...this.#leases].map(([lease, { position, expiresAt }]) => ({
      lease,
      position,
      begunAt: begunAt(lease) ?? 0,
      expiresAt: expiresAt ?? null,
    }));
  }

  /**
   * Begins a copy: takes a lease on the history as it is now.
   * @throws EvertreeError NOT_FOUND before the first commit; NOT_DURABLE without a directory; COMPACTED, once, if an
   *   earlier copy lost its lease meanwhile
   */
  async begin(): Promise<Timestamp> {
    const store = this.#assertUsable();
    this.#notice();
    const lost = this.#lost.shift();
    if (lost !== undefined) throw lostLease(lost);
    await store.flush();
    const boundary = store.stable;
    const lease = `${PREFIX}${timeName(store.clock.now())}-${Buffer.from(store.random.bytes(4)).toString('hex')}`;
    this.#hold(lease, boundary.position, store.clock.now() + COPY_LEASE_MS);
    await store.journal.leases.flush();
    return this.#timestamp(boundary, lease, null);
  }

  /**
   * Ends a copy: proves that its lease was held all the time. May be asked again for some minutes.
   * @throws EvertreeError COMPACTED if it was lost; HISTORY_MISMATCH if the history was cut back meanwhile;
   *   STREAM_MISMATCH
   */
  async end(first: Pick<Timestamp, 'stream' | 'lease' | 'position'>): Promise<Timestamp> {
    const store = this.#assertUsable();
    const { stream, lease, position } = first;
    if (stream !== store.stream) {
      const message = `the copy is of the stream ${stream}, and this site of ${store.stream}`;
      throw new EvertreeError('STREAM_MISMATCH', message, { expected: store.stream, found: stream });
    }
    this.#notice();
    this.#lost = this.#lost.filter(each => each.lease !== lease);
    await this.#assertHeld(first);
    await store.flush();
    const timestamp = this.#timestamp(store.stable, lease, position);
    this.#ended.add(lease);
    this.#hold(lease, position, store.clock.now() + COPY_END_MS);
    return timestamp;
  }

  /** Gives a copy up. @returns whether there was one */
  release(lease: string): boolean {
    this.#known.delete(lease);
    return lease.startsWith(PREFIX) && this.#store.journal.leases.release('copy', lease);
  }

  /** Sets no timer any more. The leases stay. */
  [Symbol.dispose](): void {
    this.#onState[Symbol.dispose]();
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  get #leases(): ReadonlyMap<string, Lease> {
    return new Map([...this.#store.journal.leases.of('copy')].filter(([name]) => begunAt(name) !== undefined));
  }

  #assertUsable(): Store {
    if (!this.#store.journal.log.durable) {
      throw new EvertreeError('NOT_DURABLE', 'this site keeps its data in memory: there is no directory to copy');
    }
    if (this.#store.stream === null) throw new EvertreeError('NOT_FOUND', 'this site has no commit yet: there is nothing to copy');
    return this.#store;
  }

  async #assertHeld({ lease, position }: HeldCopy): Promise<void> {
    const { journal, lineage } = this.#store;
    const held = journal.leases.of('copy').get(lease);
    if (held === undefined || !samePosition(held.position, position)) throw lostLease({ lease, position });
    if (!covers(lineage, position)) {
      const message = `this site's history was cut back behind ${formatPosition(position)} while the copy was made: the copy is no backup`;
      throw new EvertreeError('HISTORY_MISMATCH', message, { expected: position, found: lineage.last });
    }
    const { base } = journal.log;
    const hasBeginning = base.revision === 0 || (await journal.snapshots.newest(position)) !== undefined;
    if (base.revision > position.revision || !hasBeginning) throw lostLease({ lease, position });
  }

  #timestamp({ position: at, digest }: Boundary, lease: string, first: ExactPosition | null): Timestamp {
    const { stream, site, clock } = this.#store;
    const held = this.underWay.map(({ lease: name, position }) => ({ lease: name, position }));
    return {
      format: TIMESTAMP_FORMAT,
      stream: stream!,
      site,
      position: at,
      digest,
      time: clock.now(),
      epoch: this.#epoch(),
      lease,
      first,
      held,
    };
  }

  #epoch(): EpochName {
    const { lineage, fencedBy } = this.#store;
    const { number, id } = highestEpoch(lineage.epochs, lineage.last);
    return fencedBy !== undefined && fencedBy.number > number ? { number: fencedBy.number, id: fencedBy.id } : { number, id };
  }

  #hold(lease: string, position: ExactPosition, expiresAt: number): void {
    this.#known.set(lease, position);
    const begun = begunAt(lease) ?? 0;
    this.#store.journal.leases.hold('copy', lease, position, Math.min(expiresAt, begun + COPY_LIMIT_MS));
    this.#timer ??= this.#store.clock.after(COPY_RENEWAL_MS, () => {
      this.#timer = undefined;
      this.#renew();
    });
  }

  /** Notes which leases are listed no more. */
  #notice(): void {
    const listed = this.#leases;
    const lost = [...this.#known].filter(([lease]) => !listed.has(lease) && !this.#ended.has(lease));
    this.#lost = [...this.#lost, ...lost.map(([lease, position]) => ({ lease, position }))].slice(-LOST_LIMIT);
    this.#known = new Map([...listed].map(([lease, { position }]) => [lease, position]));
  }

  #renew(): void {
    this.#notice();
    const now = this.#store.clock.now();
    for (const { lease, position, begunAt: begun } of this.underWay) {
      if (!this.#ended.has(lease) && now < begun + COPY_LIMIT_MS) this.#hold(lease, position, now + COPY_LEASE_MS);
    }
  }
}

function lostLease({ lease, position }: HeldCopy): EvertreeError {
  const message = `the history was no longer held for the copy that began at ${formatPosition(position)}: that copy is no backup; begin another one with "evertree timestamp fetch"`;
  return new EvertreeError('COMPACTED', message, { lease, position });
}

/** `20261127T101500123Z` */
function timeName(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/[-:.]/g, '');
}

/** When a copy was begun, from the name of its lease; undefined for the leases of others. */
function begunAt(lease: string): number | undefined {
  const match = /^timestamp-(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})(\d{3})Z-[0-9a-f]{8}$/.exec(lease);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second, ms] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return Date.UTC(year, month - 1, day, hour, minute, second, ms);
}
