import type { Clock, Disk, ExactPosition, Lease, LeaseKind, Leases, Reporter } from '@evertree/core';
import { asError, isMissing, unsupported } from '../groups/failure.ts';
import { LEASES_FILE, PEERS_FILE } from '../site/layout.ts';
import { DIRECTORY_VERSION, isPosition, isRecord, parseRecord } from '../site/site-file.ts';
import { readStateFile, writeStateFile } from '../site/state-file.ts';
import type { NamedLease } from './lease-table.ts';
import { LEASE_KINDS, LeaseTable } from './lease-table.ts';

/** A change is written after this, together with all others of that time. */
const LEASES_WRITE_DELAY_MS = 1_000;
/** The versions of `leases.json` that are read: the first is written. */
export const LEASES_VERSIONS: readonly number[] = [DIRECTORY_VERSION, 2];
/** The version of `peers.json`, which a directory of version 1 has. */
const PEERS_VERSION = 1;

/**
 * The leases of a journal on disk. After a crash a peer tells its position again, so that a late write costs little.
 */
export class DiskLeases implements Leases {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #report: Reporter;
  readonly #table = new LeaseTable();
  #timer: Disposable | undefined;
  /** The table has changes that no write has begun to write. */
  #changed = false;
  /** The last write. Never rejects. */
  #writing: Promise<void> = Promise.resolve();
  /** Another process may have the directory. */
  #isClosed = false;
  /** Why the last write failed; undefined if it did not. */
  #failure: Error | undefined;
  /** The file is of a former version, or there is none beside the `peers.json` of one. */
  #isFormer = false;

  constructor(disk: Disk, clock: Clock, report: Reporter) {
    this.#disk = disk;
    this.#clock = clock;
    this.#report = report;
  }

  get all(): NamedLease[] {
    return this.#table.all;
  }

  of(kind: LeaseKind): ReadonlyMap<string, Lease> {
    return this.#table.of(kind);
  }

  /** @throws EvertreeError FORMAT_UNSUPPORTED */
  async load(): Promise<void> {
    const leases = (await this.#read(LEASES_FILE, LEASES_VERSIONS, 'leases')) ?? (await this.#read(PEERS_FILE, [PEERS_VERSION], 'peers'));
    for (const entry of leases ?? []) {
      const lease = leaseOf(entry);
      if (lease !== undefined) this.#table.hold(lease.kind, lease.name, lease.position, lease.expiresAt);
    }
  }

  hold(kind: LeaseKind, name: string, position: ExactPosition, expiresAt?: number): void {
    this.#table.hold(kind, name, position, expiresAt);
    this.#schedule();
  }

  release(kind: LeaseKind, name: string): boolean {
    const known = this.#table.release(kind, name);
    if (known) this.#schedule();
    return known;
  }

  async flush(): Promise<void> {
    await this.#writeSoon();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Writes the file of a directory of a former version anew. Each step can be repeated after a crash. */
  async upgrade(): Promise<void> {
    if (this.#isFormer) {
      this.#changed = true;
      await this.flush();
      this.#isFormer = false;
    }
    await removePeers(this.#disk);
  }

  /** Writes pending changes. What is changed afterwards is never written. */
  async close(): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    await this.#writeSoon();
    this.#isClosed = true;
    this.#timer?.[Symbol.dispose]();
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#changed = true;
    this.#timer ??= this.#clock.after(LEASES_WRITE_DELAY_MS, () => {
      this.#timer = undefined;
      void this.#writeSoon();
    });
  }

  #writeSoon(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  async #write(): Promise<void> {
    if (!this.#changed) return;
    this.#changed = false;
    try {
      await writeStateFile(this.#disk, LEASES_FILE, { format: DIRECTORY_VERSION, leases: this.#table.all });
      this.#failure = undefined;
    } catch (error) {
      this.#failure = asError(error);
      const message = `${LEASES_FILE} could not be written (${this.#failure.message}); it is tried again every ${LEASES_WRITE_DELAY_MS} ms`;
      this.#report({ level: 'warn', event: 'peers-not-written', message, details: { error } });
      this.#schedule();
    }
  }

  /** The entries of a file; undefined if it is missing. A file that can't be read is reported, and has no entries. */
  async #read(path: string, versions: readonly number[], key: string): Promise<unknown[] | undefined> {
    const text = await readStateFile(this.#disk, path);
    if (text === undefined) return undefined;
    const { format, [key]: entries } = parseRecord(text);
    if (typeof format === 'number' && !versions.includes(format)) throw unsupported(path, format, versions[0]!);
    this.#isFormer = format !== DIRECTORY_VERSION;
    if (typeof format === 'number' && Array.isArray(entries)) return entries;
    const message = `${path} can't be read; the secondaries are listed again once each has connected`;
    this.#report({ level: 'warn', event: 'peers-unreadable', message, details: { file: path } });
    return [];
  }
}

/** Removes the `peers.json` of a directory of version 1. There is a `leases.json` by then. */
async function removePeers(disk: Disk): Promise<void> {
  try {
    await (await disk.open(PEERS_FILE, {})).close();
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  await disk.remove(PEERS_FILE);
  await disk.syncDirectory('');
}

/** @param entry of leases.json; or of peers.json: `{site, durable}`. @returns undefined if it is none */
export function leaseOf(entry: unknown): NamedLease | undefined {
  if (!isRecord(entry)) return undefined;
  const { kind = 'peer', name = entry['site'], position = entry['durable'], expiresAt } = entry;
  const known = LEASE_KINDS.find(each => each === kind);
  if (known === undefined || typeof name !== 'string' || !isPosition(position)) return undefined;
  return { kind: known, name, position, expiresAt: typeof expiresAt === 'number' ? expiresAt : undefined };
}
