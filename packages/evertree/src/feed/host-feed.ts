import { isEvertreeError } from '@evertree/core';
import { type SiteClient, targetOf } from '../client/site-client.ts';
import { differenceOf } from '../json/difference.ts';
import { type HostReading, readHost } from './host-reading.ts';

const FEED_PATH = ['host'] as const;
const INTERVAL_MS = 1_000;
/** The time limit of one write, for a site that hangs. */
const WRITE_LIMIT_MS = 10_000;

/** Writes readings of this machine to `/host` at a site: once a second, in one transaction, what has changed. */
export class HostFeed implements Disposable {
  readonly #client: SiteClient;
  readonly #failed: (error: unknown) => void;
  readonly #stop = new AbortController();
  #written: HostReading | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param failed gets what went wrong while reading the machine; a site that can't be reached is no failure */
  constructor(client: SiteClient, failed: (error: unknown) => void) {
    this.#client = client;
    this.#failed = failed;
  }

  /** The last reading that was written; undefined while one is on its way, and after a failure. */
  get latest(): HostReading | undefined {
    return this.#written;
  }

  start(): void {
    void this.#run();
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
    clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    const begun = performance.now();
    try {
      await this.#write(await readHost());
    } catch (error) {
      this.#failed(error);
    }
    if (this.#stop.signal.aborted) return;
    this.#timer = setTimeout(() => void this.#run(), Math.max(0, INTERVAL_MS - (performance.now() - begun)));
  }

  /** After a failed write the next reading is written whole: somebody else may have written to `/host`. */
  async #write(reading: HostReading): Promise<void> {
    const before = this.#written;
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(WRITE_LIMIT_MS)]);
    this.#written = undefined;
    try {
      if (before === undefined) await this.#send('PUT', 'application/json', reading, signal);
      else await this.#send('PATCH', 'application/json-patch+json', differenceOf(before, reading).operations, signal);
      this.#written = reading;
    } catch (error) {
      if (!isEvertreeError(error) && !signal.aborted) throw error;
    }
  }

  async #send(method: string, type: string, body: unknown, signal: AbortSignal): Promise<void> {
    const headers = { 'Content-Type': type };
    await this.#client.write(targetOf('data', FEED_PATH), { method, headers, body: JSON.stringify(body), signal });
  }
}
