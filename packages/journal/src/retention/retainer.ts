import type { Clock, Disk, HeldHistory, Reporter, Retention, RetentionStatus } from '@evertree/core';
import { formatPosition, ORIGIN } from '@evertree/core';
import { asError } from '../groups/failure.ts';
import type { GroupCommit } from '../groups/group-commit.ts';
import type { DiskLeases } from '../leases/disk-leases.ts';
import type { NamedLease } from '../leases/lease-table.ts';
import type { SegmentList } from '../segments/segment-list.ts';
import { SEGMENT_DIRECTORY, SNAPSHOT_DIRECTORY } from '../site/layout.ts';
import type { RetainedSnapshot, RetentionOptions, RetentionPlan, RetentionSubject } from './retention.ts';
import { behind, fullIn, LIMIT_STEPS, planRetention, RETENTION_NEAR_FRACTION } from './retention.ts';
import type { SnapshotList } from '../snapshots/snapshot-list.ts';
import { removeFiles } from '../disk/removal.ts';

/**
 * Carries out the plan of `planRetention`. All tasks that create, rename or remove files run one after the other,
 * through `exclusively`.
 */
export class Retainer implements Retention {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #report: Reporter;
  readonly #history: SegmentList;
  readonly #snapshots: SnapshotList;
  readonly #leases: DiskLeases;
  readonly #commit: GroupCommit;
  readonly #options: RetentionOptions;
  #queue: Promise<void> = Promise.resolve();
  #closed = false;
  /** The peers that were at risk in the last run. They were reported. */
  #warned: readonly string[] = [];
  /** The leases that held history beyond the limits in the last run, by kind and name. They were reported. */
  #heldBack: ReadonlySet<string> = new Set();
  /** From the last plan: bytes of history that stay only because there is room. */
  #spareBytes = 0;
  /** From the last plan. While the history is near its limit, a peer that holds less than this revision is at risk. */
  #riskBelow = 0;

  constructor(
    parts: {
      disk: Disk;
      clock: Clock;
      report: Reporter;
      history: SegmentList;
      commit: GroupCommit;
      snapshots: SnapshotList;
      leases: DiskLeases;
    },
    options: RetentionOptions,
  ) {
    this.#disk = parts.disk;
    this.#clock = parts.clock;
    this.#report = parts.report;
    this.#history = parts.history;
    this.#snapshots = parts.snapshots;
    this.#leases = parts.leases;
    this.#commit = parts.commit;
    this.#options = options;
  }

  get storedBytes(): number {
    return this.#history.segments.reduce((sum, segment) => sum + segment.bytes, this.#snapshots.bytes);
  }

  get status(): RetentionStatus {
    const { maxBytes } = this.#options;
    const { storedBytes } = this;
    const base = this.#history.segments[0]?.header.base.revision ?? 0;
    const isNear = storedBytes - this.#spareBytes > maxBytes * RETENTION_NEAR_FRACTION;
    const atRisk = isNear ? this.#peersBehind(base, this.#riskBelow) : [];
    const from = this.#oldest();
    const segments = this.#history.segments.map(({ lastTime, end }) => ({ lastTime, bytes: end }));
    const fullInMs = fullIn({ segments, since: from.time }, this.#clock.now(), maxBytes - storedBytes);
    const { held } = planRetention(this.#subject(), this.#options);
    return { maxBytes, atRisk, passed: this.#peersBehind(0, base), from, fullInMs, held };
  }

  #oldest(): RetentionStatus['from'] {
    const [oldest] = this.#history.segments;
    const snapshot = this.#snapshots.all[0]?.header;
    const isWhole = oldest === undefined ? snapshot === undefined : oldest.header.base.revision === 0;
    if (isWhole || snapshot === undefined) return { position: ORIGIN, time: oldest?.index?.entries[0]?.time };
    return { position: snapshot.position, time: snapshot.time };
  }

  async freeBytes(): Promise<number> {
    return (await this.#disk.space()).freeBytes;
  }

  #peersBehind(from: number, to: number): string[] {
    return peersOf(behind({ leases: this.#leases.all, snapshots: this.#retained() }, from, to));
  }

  async apply(): Promise<void> {
    this.#commit.assertOpen();
    await this.exclusively(() => this.#retain());
  }

  /** Applies it in a later turn; a failure is reported. */
  retainSoon(): void {
    this.#clock.soon(() => {
      if (this.#closed) return;
      this.exclusively(() => this.#retain()).catch((error: unknown) => {
        const message = `files that retention drops could not be removed (${asError(error).message}); this is tried again with the next segment`;
        this.#report({ level: 'warn', event: 'retention-failed', message, details: { error } });
      });
    });
  }

  /** Runs `task` after all earlier tasks. `close` waits for it. */
  exclusively(task: () => Promise<void>): Promise<void> {
    const run = this.#queue.then(task);
    this.#queue = run.catch(() => undefined);
    return run;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue;
  }

  async #retain(): Promise<void> {
    this.#releaseExpired();
    const plan = planRetention(this.#subject(), this.#options);
    this.#tell(plan);
    this.#retire();
    if (plan.segments === 0 && plan.snapshots === 0) return;
    // Segments leave the list first: a reader gets COMPACTED before its file is gone.
    const segments = this.#history.dropOldest(plan.segments);
    const snapshots = this.#snapshots.dropOldest(plan.snapshots);
    for (const { path } of segments) {
      await removeFiles(this.#disk, [path]);
      // One after the other, also after a power loss: for recovery a hole between segments is a loss.
      await this.#disk.syncDirectory(SEGMENT_DIRECTORY);
    }
    await removeFiles(
      this.#disk,
      snapshots.map(({ path }) => path),
    );
    await this.#disk.syncDirectory(SNAPSHOT_DIRECTORY);
  }

  #subject(): RetentionSubject {
    const segments = this.#history.segments.map(({ header, last, lastTime, bytes }) => ({ base: header.base, last, lastTime, bytes }));
    return { segments, snapshots: this.#retained(), leases: this.#leases.all, now: this.#clock.now() };
  }

  /**
   * Whole segments go, and never the one that takes new frames. So with a limit of age or count it takes no more once it
   * spans a quarter of that: what is kept exceeds the limit by little, however slowly the history grows.
   */
  #retire(): void {
    const { maxMs, maxCommits } = this.#options;
    const { active, segments } = this.#history;
    const newest = segments.at(-1);
    if (active === undefined || newest === undefined || maxMs === 0) return;
    const began = newest.index?.entries[0]?.time ?? Infinity;
    const isOld = began < this.#clock.now() - maxMs / LIMIT_STEPS;
    const isLong = newest.last.revision - newest.header.base.revision > maxCommits / LIMIT_STEPS;
    if (isOld || isLong) active.retire();
  }

  #retained(): RetainedSnapshot[] {
    return this.#snapshots.all.map(file => ({
      position: file.header.position,
      epochs: file.header.epochs,
      time: file.header.time,
      bytes: file.bytes,
      supersededMs: this.#snapshots.supersededMs(file),
    }));
  }

  #releaseExpired(): void {
    const now = this.#clock.now();
    for (const { kind, name, expiresAt } of this.#leases.all) {
      if (expiresAt === undefined || expiresAt > now) continue;
      this.#leases.release(kind, name);
      const message = `the ${kind} ${name} no longer holds the history: its lease has expired`;
      this.#report({ level: 'info', event: 'lease-expired', message, details: { kind, name, expiresAt } });
    }
  }

  #tell(plan: RetentionPlan): void {
    for (const lease of plan.passed) this.#tellPassed(lease);
    const atRisk = peersOf(plan.atRisk);
    for (const site of atRisk) {
      if (this.#warned.includes(site)) continue;
      const message = `the history kept for ${site} takes ${this.storedBytes} of at most ${this.#options.maxBytes} bytes; when it is full ${site} will need a full copy: bring it back, or forget it`;
      this.#report({ level: 'warn', event: 'retention-near', message, details: { site, storedBytes: this.storedBytes } });
    }
    this.#warned = atRisk;
    this.#riskBelow = plan.riskBelow;
    this.#spareBytes = plan.spareBytes;
    if (this.#options.maxMs > 0) this.#tellHeld(plan.held);
  }

  #tellHeld(held: readonly HeldHistory[]): void {
    for (const { kind, name, position, bytes } of held) {
      if (this.#heldBack.has(`${kind} ${name}`)) continue;
      const why = `the ${kind} ${name} needs what follows ${formatPosition(position)}`;
      const message = `${bytes} bytes of history beyond the limits of retention stay: ${why}`;
      this.#report({ level: 'info', event: 'retention-held', message, details: { kind, name, position, bytes } });
    }
    this.#heldBack = new Set(held.map(({ kind, name }) => `${kind} ${name}`));
  }

  #tellPassed({ kind, name, position }: NamedLease): void {
    const gone = `the history that ${name} (at ${formatPosition(position)}) needs has gone, for it took more than ${this.#options.maxBytes} bytes`;
    if (kind === 'peer') {
      const message = `${gone}; ${name} will need a full copy`;
      this.#report({ level: 'warn', event: 'retention-passed-peer', message, details: { site: name, position } });
      return;
    }
    this.#leases.release(kind, name);
    const message = `${gone}; the lease of this ${kind} is lost`;
    this.#report({ level: 'warn', event: 'lease-lost', message, details: { kind, name, position } });
  }
}

function peersOf(leases: readonly NamedLease[]): string[] {
  return leases.filter(({ kind }) => kind === 'peer').map(({ name }) => name);
}
