import type { Clock, Disk, Leases, Reporter, Retention, RetentionStatus } from '@evertree/core';
import { formatPosition } from '@evertree/core';
import { asError } from '../groups/failure.ts';
import type { GroupCommit } from '../groups/group-commit.ts';
import type { History } from '../segments/history.ts';
import { SEGMENT_DIRECTORY, SNAPSHOT_DIRECTORY } from '../site/layout.ts';
import type { RetentionOptions, RetentionPlan } from './retention.ts';
import { planRetention } from './retention.ts';
import type { Snapshots } from '../snapshots/snapshots.ts';
import { removeFiles } from '../disk/removal.ts';

/** Carries out what `planRetention` says, one task after the other with all else that changes which files there are. */
export class Retainer implements Retention {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #report: Reporter;
  readonly #history: History;
  readonly #snapshots: Snapshots;
  readonly #leases: Leases;
  readonly #commit: GroupCommit;
  readonly #options: RetentionOptions;
  #queue: Promise<void> = Promise.resolve();
  #closed = false;
  #isNear = false;
  #atRisk: readonly string[] = [];

  constructor(
    parts: { disk: Disk; clock: Clock; report: Reporter; history: History; commit: GroupCommit; snapshots: Snapshots; leases: Leases },
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
    return { storedBytes: this.storedBytes, maxBytes, isNear: this.#isNear, atRisk: this.#atRisk, passed: this.#passed() };
  }

  /** One that never held anything begins with a copy anyway. */
  #passed(): string[] {
    const base = this.#history.segments[0]?.header.base.revision ?? 0;
    return [...this.#leases.of('peer')]
      .filter(([, { position }]) => position.revision > 0 && position.revision < base)
      .map(([site]) => site);
  }

  async apply(): Promise<void> {
    this.#commit.assertOpen();
    await this.exclusively(() => this.#retain());
  }

  /** The same, when nobody waits for it. */
  retainSoon(): void {
    this.#clock.soon(() => {
      if (this.#closed) return;
      this.exclusively(() => this.#retain()).catch((error: unknown) => {
        const message = `what retention no longer asks for could not be removed (${asError(error).message}); it is tried again with the next segment`;
        this.#report({ level: 'warn', event: 'retention-failed', message, details: { error } });
      });
    });
  }

  /** Runs `task` when the ones before it have ended; closing waits for it. Whatever changes names in the directory goes this way. */
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
    const { segments } = this.#history;
    const plan = planRetention(
      {
        segments: segments.map(({ header, last, lastTime, bytes }) => ({ base: header.base, last, lastTime, bytes })),
        snapshots: this.#snapshots.all.map(file => ({
          position: file.header.position,
          bytes: file.bytes,
          supersededMs: this.#snapshots.supersededMs(file),
        })),
        leases: this.#leases.of('peer'),
        now: this.#clock.now(),
      },
      this.#options,
    );
    this.#tell(plan);
    if (plan.segments === 0 && plan.snapshots === 0) return;
    // Out of sight first: a reader finds itself behind `base` before its file is gone.
    const dropped = [...this.#history.dropOldest(plan.segments), ...this.#snapshots.dropOldest(plan.snapshots)];
    await removeFiles(
      this.#disk,
      dropped.map(file => file.path),
    );
    await this.#disk.syncDirectory(SEGMENT_DIRECTORY);
    await this.#disk.syncDirectory(SNAPSHOT_DIRECTORY);
  }

  #tell(plan: RetentionPlan): void {
    for (const site of plan.passed) {
      const position = this.#leases.of('peer').get(site)?.position;
      const at = position === undefined ? 'an unknown position' : formatPosition(position);
      const message = `the history that ${site} (at ${at}) needs has gone, for it took more than ${this.#options.maxBytes} bytes; ${site} will need a full copy`;
      this.#report({ level: 'warn', event: 'retention-passed-peer', message, details: { site, position } });
    }
    for (const site of plan.atRisk) {
      if (this.#atRisk.includes(site)) continue;
      const message = `the history kept for ${site} takes ${this.storedBytes} of at most ${this.#options.maxBytes} bytes; when it is full ${site} will need a full copy: bring it back, or forget it`;
      this.#report({ level: 'warn', event: 'retention-near', message, details: { site, storedBytes: this.storedBytes } });
    }
    this.#isNear = plan.isNear;
    this.#atRisk = plan.atRisk;
  }
}
