import { compareEpochs, type Disk, type EpochName, type ExactPosition, type Reporter, type Role, type SiteIdentity } from '@evertree/core';
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
  /** What site.json says, durably. Only `closedAt` may still stand in the file, if the disk was full at the opening. */
  #record: SiteFile;

  constructor(parts: { disk: Disk; report: Reporter; commit: GroupCommit; retainer: Retainer }, record: SiteFile) {
    this.#disk = parts.disk;
    this.#report = parts.report;
    this.#commit = parts.commit;
    this.#retainer = parts.retainer;
    this.#record = record;
  }

  get site(): string {
    return this.#record.site;
  }

  get role(): Role {
    return this.#record.role;
  }

  get fencedBy(): EpochName | undefined {
    return this.#record.fencedBy;
  }

  setRole(role: Role): Promise<void> {
    return this.#change(() => ({ role }));
  }

  fence({ number, id }: EpochName): Promise<void> {
    return this.#change(({ fencedBy }) =>
      fencedBy !== undefined && compareEpochs(fencedBy, { number, id }) >= 0 ? undefined : { fencedBy: { number, id } },
    );
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

  /** @param change returns the changed fields; undefined if nothing changes */
  async #change(change: (record: SiteFile) => Partial<SiteFile> | undefined): Promise<void> {
    this.#commit.assertOpen();
    await this.#retainer.exclusively(async () => {
      this.#commit.assertOpen();
      const changed = change(this.#record);
      if (changed === undefined) return;
      const record = { ...this.#record, ...changed };
      await writeSite(this.#disk, record);
      this.#record = record;
    });
  }
}
