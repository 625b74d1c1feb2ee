import { join } from 'node:path';
import type { Frame, Store } from '@evertree/core';
import { type ConsumerFile, type OpenSiteOptions, type Site, openSite } from 'evertree';
import { until } from './http-site.ts';
import { freePort } from './site-process.ts';

/** A little history is kept, so that it passes a secondary by that is away. */
const LITTLE = { 'segment-bytes': 65_536, 'snapshot-bytes': 65_536, 'retention-max-bytes': 1_048_576 };
const VALUE = 'x'.repeat(65_536);

/** For many commits, each of which may wait for the archive. */
const PASSED_MS = 40_000;

/** A primary that keeps little and its secondary, over WebSocket, in this process. */
export class ShortMemory implements AsyncDisposable {
  readonly #folder: string;
  readonly #port: number;
  readonly primary: Site;
  /** Every frame that the primary wrote, by whoever reads along. */
  readonly frames: Frame[] = [];

  private constructor(folder: string, port: number, primary: Site) {
    this.#folder = folder;
    this.#port = port;
    this.primary = primary;
  }

  /** @param archive of the primary */
  static async start(folder: string, archive?: ConsumerFile['archive']): Promise<ShortMemory> {
    const port = await freePort();
    const primary = await openSite({
      data: join(folder, 'a'),
      site: 'a',
      primary: {
        'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': port, 'connection-retry-interval-ms': 20 },
        journal: LITTLE,
        ...(archive === undefined ? {} : { archive }),
      },
    });
    return new ShortMemory(folder, port, primary);
  }

  get store(): Store {
    return this.primary.store;
  }

  /** The secondary, which has what it had. */
  secondary(archive?: ConsumerFile['archive'], more: Partial<OpenSiteOptions> = {}): Promise<Site> {
    const listens = { 'netty-consumer': { 'listening-port': this.#port }, ...(archive === undefined ? {} : { archive }) };
    return openSite({ data: join(this.#folder, 'b'), site: 'b', standby: listens, ...more });
  }

  /** Commits until both hold the same. */
  async meet(secondary: Site): Promise<void> {
    await this.store.put('/met', this.store.position.revision).acknowledged(1, { timeoutMs: 20_000 });
    await until(() => secondary.store.digest === this.store.digest);
    await this.readAlong();
  }

  /** Commits until the primary keeps nothing of the next 20 commits that the secondary, which is away, lacks. */
  async passBy(): Promise<void> {
    const { revision } = this.store.position;
    let written = 0;
    await until(async () => {
      await this.store.put('/a', `${VALUE}${written++}`).durable;
      await this.readAlong();
      // So little is kept that a slow machine could not archive it in time.
      await this.archived();
      return this.store.journal.log.base.revision > revision + 20;
    }, PASSED_MS);
  }

  /** Waits until its archive, if there is one, has everything. */
  async archived(): Promise<void> {
    if (this.primary.archive === undefined) return;
    await this.store.flush();
    await until(() => this.primary.archive?.status.position?.revision === this.store.position.revision, 20_000);
  }

  async readAlong(): Promise<void> {
    const { log } = this.store.journal;
    const reader = log.read(this.frames.at(-1)?.header.last ?? log.base);
    for (let stored = await reader.next(); stored !== undefined; stored = await reader.next()) this.frames.push(stored.frame);
    await reader.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.primary.close();
  }
}
