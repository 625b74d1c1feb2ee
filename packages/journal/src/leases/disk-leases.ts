import type { Clock, Disk, ExactPosition, Lease, LeaseKind, Leases, Reporter } from '@evertree/core';
import { asError, unsupported } from '../groups/failure.ts';
import { PEERS_FILE } from '../site/layout.ts';
import { DIRECTORY_VERSION } from '../site/site-file.ts';
import { readStateFile, writeStateFile } from '../site/state-file.ts';
import { LeaseTable } from './lease-table.ts';

/** A change reaches the disk within this, together with all the others of that time. */
const PEERS_WRITE_DELAY_MS = 1_000;

/** The leases of a journal on disk. A position that is lost in a crash is told again by the peer. */
export class DiskLeases implements Leases {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #report: Reporter;
  readonly #table = new LeaseTable();
  #timer: Disposable | undefined;
  #changed = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(disk: Disk, clock: Clock, report: Reporter) {
    this.#disk = disk;
    this.#clock = clock;
    this.#report = report;
  }

  of(kind: LeaseKind): ReadonlyMap<string, Lease> {
    return this.#table.of(kind);
  }

  /** @throws EvertreeError FORMAT_UNSUPPORTED */
  async load(): Promise<void> {
    const text = await readStateFile(this.#disk, PEERS_FILE);
    if (text === undefined) return;
    const value = parse(text);
    if (typeof value?.format === 'number' && value.format !== DIRECTORY_VERSION)
      throw unsupported(PEERS_FILE, value.format, DIRECTORY_VERSION);
    if (value?.format !== DIRECTORY_VERSION || !Array.isArray(value.peers)) {
      const message = `${PEERS_FILE} can't be read; the secondaries are listed again once each has connected`;
      this.#report({ level: 'warn', event: 'peers-unreadable', message, details: { file: PEERS_FILE } });
      return;
    }
    for (const { site, durable } of value.peers as { site: string; durable: ExactPosition }[]) this.#table.hold('peer', site, durable);
  }

  hold(kind: LeaseKind, name: string, position: ExactPosition): void {
    this.#table.hold(kind, name, position);
    this.#schedule();
  }

  release(kind: LeaseKind, name: string): boolean {
    const known = this.#table.release(kind, name);
    if (known) this.#schedule();
    return known;
  }

  /** Writes what is not written yet, and sets no timer any more. */
  async close(): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    await this.#writing;
    await this.#write();
    this.#timer?.[Symbol.dispose]();
  }

  #schedule(): void {
    this.#changed = true;
    this.#timer ??= this.#clock.after(PEERS_WRITE_DELAY_MS, () => {
      this.#timer = undefined;
      this.#writing = this.#writing.then(() => this.#write());
    });
  }

  async #write(): Promise<void> {
    if (!this.#changed) return;
    this.#changed = false;
    const peers = [...this.of('peer')].map(([site, lease]) => ({ site, durable: lease.position }));
    try {
      await writeStateFile(this.#disk, PEERS_FILE, { format: DIRECTORY_VERSION, peers });
    } catch (error) {
      const message = `${PEERS_FILE} could not be written (${asError(error).message}); it is tried again every ${PEERS_WRITE_DELAY_MS} ms`;
      this.#report({ level: 'warn', event: 'peers-not-written', message, details: { error } });
      this.#schedule();
    }
  }
}

function parse(text: string): { format?: unknown; peers?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    // Told by the caller, as of any other content that is none.
    return undefined;
  }
}
