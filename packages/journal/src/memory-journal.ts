import type {
  Clock,
  Divergences,
  EpochName,
  Fencing,
  Identity,
  Journal,
  ListedSnapshot,
  Random,
  Reporter,
  Retention,
  Role,
  SiteIdentity,
  SnapshotHeader,
  SnapshotOptions,
  SnapshotStore,
  SnapshotWriter,
  StoredSnapshot,
} from '@evertree/core';
import { DECLINED_LIMIT, raiseFencing, raiseHeard } from '@evertree/core';
import { LeaseTable } from './leases/lease-table.ts';
import { MemoryDivergences } from './divergences/memory-divergences.ts';
import { MemoryLog } from './memory-log.ts';
import { settleIdentity } from './site/site-file.ts';

/**
 * Bytes of frames that are kept for secondaries, and as many of divergences. A secondary that falls further behind gets
 * a full copy.
 */
const MEMORY_JOURNAL_BYTES = 64 * 1024 * 1024;

export interface MemoryJournalArguments {
  readonly clock: Clock;
  readonly random: Random;
  readonly report: Reporter;
  readonly identity?: Partial<Identity>;
  readonly maxBytes?: number;
}

/**
 * A history that ends with its process. It keeps the newest frames and no snapshots: a full copy is made from the tree
 * in memory.
 */
export class MemoryJournal implements Journal {
  readonly log: MemoryLog;
  readonly snapshots: SnapshotStore;
  readonly identity: SiteIdentity;
  readonly divergences: Divergences;
  readonly leases = new LeaseTable();
  readonly retention: Retention;

  constructor(given: MemoryJournalArguments) {
    const maxBytes = given.maxBytes ?? MEMORY_JOURNAL_BYTES;
    this.log = new MemoryLog(given.clock, given.report, maxBytes);
    this.divergences = new MemoryDivergences(() => this.log.assertOpen(), maxBytes);
    this.snapshots = new NoSnapshots(this.log);
    this.identity = new MemoryIdentity(this.log, settleIdentity(undefined, given.identity ?? {}, given.random));
    this.retention = new NoRetention(this.log);
  }

  async close(): Promise<void> {
    this.log.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Stores no snapshot. A snapshot that replaces the history only sets where the history begins. */
class NoSnapshots implements SnapshotStore {
  readonly #log: MemoryLog;

  constructor(log: MemoryLog) {
    this.#log = log;
  }

  get list(): readonly ListedSnapshot[] {
    return [];
  }

  async newest(): Promise<StoredSnapshot | undefined> {
    this.#log.assertOpen();
    return undefined;
  }

  async create(header: SnapshotHeader, { replace = false, diverged }: SnapshotOptions = {}): Promise<SnapshotWriter> {
    this.#log.assertOpen();
    return {
      write: async () => this.#log.assertOpen(),
      commit: async moved => {
        this.#log.assertOpen();
        if (!replace) return;
        await this.#log.replace(header, diverged, moved);
      },
      abort: async () => undefined,
    };
  }
}

class MemoryIdentity implements SiteIdentity {
  readonly site: string;
  readonly #log: MemoryLog;
  #role: Role;
  #fencedBy: Fencing | undefined;
  #heard: EpochName | undefined;
  #declined: ReadonlySet<string> = new Set();

  constructor(log: MemoryLog, { site, role }: Identity) {
    this.site = site;
    this.#role = role;
    this.#log = log;
  }

  get role(): Role {
    return this.#role;
  }

  get fencedBy(): Fencing | undefined {
    return this.#fencedBy;
  }

  get heard(): EpochName | undefined {
    return this.#heard;
  }

  async setRole(role: Role): Promise<void> {
    this.#log.assertOpen();
    this.#role = role;
  }

  get declined(): ReadonlySet<string> {
    return this.#declined;
  }

  async fence(fencing: Fencing): Promise<void> {
    this.#log.assertOpen();
    this.#fencedBy = raiseFencing(this.#fencedBy, fencing) ?? this.#fencedBy;
  }

  async hear(epoch: EpochName): Promise<void> {
    this.#log.assertOpen();
    this.#heard = raiseHeard(this.#heard, epoch) ?? this.#heard;
  }

  async decline(command: string): Promise<void> {
    this.#log.assertOpen();
    this.#declined = new Set([...this.#declined, command].slice(-DECLINED_LIMIT));
  }
}

/** Retention has nothing to do: the log drops old frames by itself, and nothing is on a disk. */
class NoRetention implements Retention {
  readonly storedBytes = 0;
  readonly status = undefined;
  readonly #log: MemoryLog;

  constructor(log: MemoryLog) {
    this.#log = log;
  }

  async freeBytes(): Promise<undefined> {
    return undefined;
  }

  async apply(): Promise<void> {
    this.#log.assertOpen();
  }
}
