import { type DrillNote, HEAD_KEY, type Target, type VerificationNote, parseHead } from '@evertree/archive';
import type { Clock } from '@evertree/core';

/** HEAD is read so often, whether or not anybody asks. */
const INTERVAL_MS = 60_000;
/** What was read last is good for so long; whoever asks later has it read again. */
const FRESH_MS = 5_000;

/**
 * How the newest drill and verification of an archive went. Whoever made them has written that into HEAD, which is read
 * now and then, in the background: no answer waits for the target, and nothing is listed.
 */
export class NewestReports implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #open: () => Promise<Target>;
  #target: Target | undefined;
  #drilled: DrillNote | null = null;
  #verified: VerificationNote | null = null;
  /** When HEAD was asked for last, on the monotonic clock. */
  #askedAt = -Infinity;
  #reading: Promise<void> | undefined;
  #interval: Disposable | undefined;
  #isClosed = false;

  /** @param open asked again as long as it fails */
  constructor(clock: Clock, open: () => Promise<Target>) {
    this.#clock = clock;
    this.#open = open;
    this.#readLater();
  }

  /** The newest drill; null if there was none, and until HEAD was read. */
  get drilled(): DrillNote | null {
    this.#refresh();
    return this.#drilled;
  }

  get verified(): VerificationNote | null {
    this.#refresh();
    return this.#verified;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#interval?.[Symbol.dispose]();
    // A read of a target that is away takes as long as it takes: nobody waits for it.
    if (this.#reading === undefined) await this.#target?.[Symbol.asyncDispose]();
  }

  #readLater(): void {
    this.#refresh();
    this.#interval = this.#clock.after(INTERVAL_MS, () => this.#readLater());
  }

  #refresh(): void {
    const now = this.#clock.monotonic();
    if (this.#isClosed || this.#reading !== undefined || now - this.#askedAt < FRESH_MS) return;
    this.#askedAt = now;
    this.#reading = this.#read()
      // Whoever archives tells that the target is away; what was read before stands.
      .catch(() => undefined)
      .finally(() => {
        this.#reading = undefined;
        if (this.#isClosed) void this.#target?.[Symbol.asyncDispose]();
      });
  }

  async #read(): Promise<void> {
    this.#target ??= await this.#open();
    const found = await this.#target.get(HEAD_KEY);
    if (found === undefined) return;
    const { drilled, verified } = parseHead(found.bytes);
    this.#drilled = drilled;
    this.#verified = verified;
  }
}
