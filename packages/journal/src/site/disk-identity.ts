import type { Disk, Role, SiteIdentity } from '@evertree/core';
import type { GroupCommit } from '../groups/group-commit.ts';
import type { Retainer } from '../retention/retainer.ts';
import type { SiteRecord } from './site-file.ts';
import { writeSite } from './site-file.ts';

/** Who a directory belongs to, as site.json says. */
export class DiskIdentity implements SiteIdentity {
  readonly #disk: Disk;
  readonly #commit: GroupCommit;
  readonly #retainer: Retainer;
  /** What site.json holds, durably. */
  #record: SiteRecord;

  constructor(parts: { disk: Disk; commit: GroupCommit; retainer: Retainer }, record: SiteRecord) {
    this.#disk = parts.disk;
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

  async setRole(role: Role): Promise<void> {
    await this.#retainer.exclusively(async () => {
      this.#commit.assertOpen();
      const record = { ...this.#record, role };
      await writeSite(this.#disk, record);
      this.#record = record;
    });
  }
}
