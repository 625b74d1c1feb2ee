import type { Disk, EpochName, ExactPosition, Fencing, Reporter, Role, SiteIdentity } from '@evertree/core';
import { DECLINED_LIMIT, raiseFencing, raiseHeard } from '@evertree/core';
import { asError } from '../groups/failure.ts';
import type { GroupCommit } from '../groups/group-commit.ts';
import type { Retainer } from '../retention/retainer.ts';
import { SITE_FILE } from './layout.ts';
import type { SiteFile } from './site-file.ts';
import { writeSite } from './site-file.ts';

/** The identity that site.json records. */
export class DiskIdentity implements SiteIdentity {
  readonly #disk: Disk;
  readonly #report: Reporter;
  readonly #commit: GroupCommit;
  readonly #retainer: Retainer;
  /** What site.json says, durably, but for `closedAt` while `#isStale`. */
  #record: SiteFile;
  #declined: ReadonlySet<string>;
  /** The disk was full at the opening, so that site.json may still say where the history ended at the last stop. */
  #isStale: boolean;

  constructor(
    parts: { disk: Disk; report: Reporter; commit: GroupCommit; retainer: Retainer },
    opened: { readonly record: SiteFile; readonly isStale: boolean },
  ) {
    this.#disk = parts.disk;
    this.#report = parts.report;
    this.#commit = parts.commit;
    this.#retainer = parts.retainer;
    this.#record = opened.record;
    this.#declined = new Set(opened.record.declined);
    this.#isStale = opened.isStale;
  }

  get site(): string {
    return this.#record.site;
  }

  get role(): Role {
    return this.#record.role;
  }

  get fencedBy(): Fencing | undefined {
    return this.#record.fencedBy;
  }

  get heard(): EpochName | undefined {
    return this.#record.heard;
  }

  get declined(): ReadonlySet<string> {
    return this.#declined;
  }

  setRole(role: Role): Promise<void> {
    return this.#change(() => ({ role }));
  }

  fence(fencing: Fencing): Promise<void> {
    return this.#change(record => {
      const fencedBy = raiseFencing(record.fencedBy, fencing);
      return fencedBy && { fencedBy };
    });
  }

  hear(epoch: EpochName): Promise<void> {
    return this.#change(record => {
      const heard = raiseHeard(record.heard, epoch);
      return heard && { heard };
    });
  }

  decline(command: string): Promise<void> {
    return this.#change(({ declined }) =>
      declined.includes(command) ? undefined : { declined: [...declined, command].slice(-DECLINED_LIMIT) },
    );
  }

  /**
   * Before the history is cut back or replaced: where it ended at the last stop must not be taken for its end after
   * that. Only within `Retainer.exclusively`.
   */
  async forgetClosing(): Promise<void> {
    if (this.#isStale) await this.#write(this.#record);
  }

  /**
   * Records where the history ends, so that the next opening notices if it is shorter. Called when the journal takes
   * nothing more.
   */
  async closeAt(stable: ExactPosition): Promise<void> {
    try {
      await writeSite(this.#disk, { ...this.#record, closedAt: stable });
    } catch (error) {
      const message = `${SITE_FILE} could not be written (${asError(error).message}); the next start can't tell whether the history is whole`;
      this.#report({ level: 'warn', event: 'site-not-written', message, details: { error } });
    }
  }

  /**
   * A journal that is closed meanwhile makes the change first: a fence that is lost lets the next start take writes.
   * @param change returns the changed fields; undefined if nothing changes
   */
  async #change(change: (record: SiteFile) => Partial<SiteFile> | undefined): Promise<void> {
    this.#commit.assertOpen();
    await this.#retainer.exclusively(async () => {
      const changed = change(this.#record);
      if (changed !== undefined) await this.#write({ ...this.#record, ...changed });
    });
  }

  async #write(record: SiteFile): Promise<void> {
    await writeSite(this.#disk, record);
    this.#record = record;
    this.#declined = new Set(record.declined);
    this.#isStale = false;
  }
}
