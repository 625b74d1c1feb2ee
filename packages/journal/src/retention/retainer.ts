import type { Clock, Disk, Reporter, Retention, RetentionStatus } from '@evertree/core';
import { formatPosition } from '@evertree/core';
import { asError } from '../groups/failure.ts';
import type { GroupCommit } from '../groups/group-commit.ts';
import type { DiskLeases } from '../leases/disk-leases.ts';
import type { NamedLease } from '../leases/lease-table.ts';
import type { SegmentList } from '../segments/segment-list.ts';
import { SEGMENT_DIRECTORY, SNAPSHOT_DIRECTORY } from '../site/layout.ts';
import type { RetainedSnapshot, RetentionOptions, RetentionPlan } from './retention.ts';
import { behind, planRetention, RETENTION_NEAR_FRACTION } from './retention.ts';
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
    const isNear = storedBytes > maxBytes * RETENTION_NEAR_FRACTION;
    const atRisk = isNear ? this.#peersBehind(base, this.#riskBelow) : [];
    return { storedBytes, maxBytes, isNear, atRisk, passed: this.#peersBehind(0, base) };
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
    const plan = planRetention(
      {
        segments: this.#history.segments.map(({ header, last, lastTime, bytes }) => ({ base: header.base, last, lastTime, bytes })),
        snapshots: this.#retained(),
        leases: this.#leases.all,
        now: this.#clock.now(),
      },
      this.#options,
    );
    this.#tell(plan);
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
