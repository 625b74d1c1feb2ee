import type { Random } from '@evertree/core';
import type { PlacedReign } from '../control.ts';
import { ReportOnce } from './report-once.ts';
import type { PublisherSettings } from './settings.ts';

/** Signs of earlier links that are remembered. */
const MOST_SIGNS = 16;
const SIGN_BYTES = 8;

/** What this end remembers from one link to the next, as long as the process lives. */
export class LinkMemory {
  readonly once: ReportOnce;
  /** The offset after the last frame of another writer that was seen in the topic. */
  foreignTo: bigint | undefined;
  /** This primary's reign, and where the topic has had a record of it. */
  reign: PlacedReign | undefined;
  readonly #random: Random;
  /** Of this end's own links, oldest first: their late records are not another primary's. */
  readonly #signs = new Set<string>();

  constructor({ report, random }: Pick<PublisherSettings, 'report' | 'random'>) {
    this.once = new ReportOnce(report);
    this.#random = random;
  }

  /** 16 hex digits that tell a new link's records from others'. */
  drawSign(): string {
    const sign = Buffer.from(this.#random.bytes(SIGN_BYTES)).toString('hex');
    const [oldest] = this.#signs;
    if (this.#signs.size >= MOST_SIGNS && oldest !== undefined) this.#signs.delete(oldest);
    this.#signs.add(sign);
    return sign;
  }

  isOwn(sign: string): boolean {
    return this.#signs.has(sign);
  }
}
