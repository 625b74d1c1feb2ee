import { type Clock, EvertreeError, isEvertreeError, type Random, type Reporter } from '@evertree/core';
import { pinKey } from '../format/object-keys.ts';
import { encodePin } from '../format/pin-codec.ts';
import { manifestsBefore, readHeadState } from '../publishing/head-state.ts';
import type { Target } from '../targets/target.ts';

/** A pin counts for so long after it was made or renewed. */
export const PIN_LIFE_MS = 3_600_000;
/** It is renewed so often. */
const PIN_RENEWAL_MS = 600_000;
/** A renewal that failed is tried again after this time. */
const RENEWAL_RETRY_MS = 60_000;
/** Whoever prunes waits for so long, at least, before he deletes what a manifest condemned. */
export const LEAST_GRACE_MS = 3_600_000;
/** Two who ask one target for its time may differ by a second or two; this is more than enough. */
const SKEW_MS = 60_000;
/** Who makes a pin later than this after his manifest was superseded may have lost objects already. */
const SAFE_AFTER_SUPERSEDED_MS = LEAST_GRACE_MS - SKEW_MS;

export interface PinOptions {
  /** SHA-256 of the manifest whose objects must stay. */
  readonly manifest: string;
  /** What for, in one word: `restore`, `verify`, … */
  readonly purpose: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Told when the pin could not be made, when a renewal failed, and when it was lost. */
  readonly report: Reporter;
}

/**
 * Holds the objects that a manifest names while somebody reads them: pruning deletes none of them. It renews itself until
 * it is disposed of, which removes it.
 */
export class Pin implements AsyncDisposable {
  readonly #target: Target;
  readonly #options: PinOptions;
  readonly #key: string;
  #tag: string | undefined;
  /** By the target's time. */
  #expiresAt = 0;
  /** By the clock that never steps back; pessimistic, as it was read before the target's time was. */
  #expiresAtMonotonic = 0;
  #timer: Disposable | undefined;
  #renewal: Promise<void> = Promise.resolve();
  #isDisposed = false;
  /** Why nothing is held; undefined as long as it holds. Once set it stays. */
  #notHeld: EvertreeError | undefined;

  private constructor(target: Target, options: PinOptions) {
    this.#target = target;
    this.#options = options;
    this.#key = pinKey(Buffer.from(options.random.bytes(16)).toString('hex'));
  }

  /**
   * Makes a pin. Where the target may only be read, or is full, the pin says in `notHeld` that it holds nothing: whoever
   * reads goes on, and pruning may take away what he reads.
   * @throws EvertreeError COMPACTED if the manifest counted too long ago: read HEAD again; those of the target
   */
  static async hold(target: Target, options: PinOptions): Promise<Pin> {
    const pin = new Pin(target, options);
    try {
      await pin.#write();
    } catch (error) {
      if (!isEvertreeError(error, 'FORBIDDEN') && !isEvertreeError(error, 'STORAGE_FULL')) throw error;
      pin.#lose(`${target.name} can't be protected from pruning while it is read (${options.purpose}): ${error.message}`, error);
      return pin;
    }
    try {
      await pin.#assertInTime();
    } catch (error) {
      await pin[Symbol.asyncDispose]();
      throw error;
    }
    pin.#schedule(PIN_RENEWAL_MS);
    return pin;
  }

  /** Why it holds nothing (any more); undefined while it holds. */
  get notHeld(): EvertreeError | undefined {
    if (this.#notHeld === undefined && !this.#isDisposed && this.#options.clock.monotonic() >= this.#expiresAtMonotonic) {
      this.#lose(`the pin of ${this.#target.name} (${this.#options.purpose}) expired before it could be renewed`);
    }
    return this.#notHeld;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    this.#timer?.[Symbol.dispose]();
    await this.#renewal;
    if (this.#tag === undefined) return;
    this.#tag = undefined;
    try {
      await this.#target.remove([this.#key]);
    } catch (error) {
      // It expires by itself.
      this.#tell('debug', `a pin of ${this.#target.name} could not be removed: ${(error as Error).message}`);
    }
  }

  #schedule(delayMs: number): void {
    if (this.#isDisposed || this.notHeld !== undefined) return;
    this.#timer = this.#options.clock.after(delayMs, () => {
      this.#renewal = this.#renew();
    });
  }

  async #renew(): Promise<void> {
    if (this.#isDisposed || this.notHeld !== undefined) return;
    const before = this.#expiresAt;
    try {
      const wasInTime = (await this.#write()) < before - SKEW_MS;
      if (!wasInTime) await this.#assertInTime();
      this.#schedule(PIN_RENEWAL_MS);
    } catch (error) {
      if (isEvertreeError(error, 'COMPACTED')) this.#lose(error.message, error);
      else {
        this.#tell('warn', `a pin of ${this.#target.name} could not be renewed: ${(error as Error).message}`);
        this.#schedule(RENEWAL_RETRY_MS);
      }
    }
  }

  /**
   * @returns the target's time at which it was written
   * @throws EvertreeError COMPACTED if somebody removed it
   */
  async #write(): Promise<number> {
    const { manifest, purpose, clock } = this.#options;
    const began = clock.monotonic();
    const time = await this.#target.now();
    const bytes = encodePin({ manifest, time, expiresAt: time + PIN_LIFE_MS, purpose });
    this.#tag = await this.#replace(bytes);
    this.#expiresAt = time + PIN_LIFE_MS;
    this.#expiresAtMonotonic = began + PIN_LIFE_MS - SKEW_MS;
    return time;
  }

  /** Nobody else writes this key: what is there and has another tag was written by this pin, and the answer was lost. */
  async #replace(bytes: Buffer): Promise<string> {
    const answer = await this.#target.replace(this.#key, bytes, this.#tag);
    if (answer !== 'changed') return answer.tag;
    const present = await this.#target.get(this.#key);
    if (present?.bytes.equals(bytes) === true) return present.tag;
    const again = present === undefined ? 'changed' : await this.#target.replace(this.#key, bytes, present.tag);
    if (again !== 'changed') return again.tag;
    throw pinLost(`the pin of ${this.#target.name} (${this.#options.purpose}) was removed by somebody else`);
  }

  /**
   * Whether the pin was there before anything that its manifest names could be deleted. Whoever prunes reads the pins after
   * he has read HEAD; so if he missed this one, HEAD as it is read now shows what he went by.
   */
  async #assertInTime(): Promise<void> {
    const { manifest } = this.#options;
    const state = await readHeadState(this.#target);
    if (state.head.manifest === manifest) return;
    for await (const { sha256, supersededAt } of manifestsBefore(this.#target, state.manifest)) {
      if (supersededAt <= state.time - SAFE_AFTER_SUPERSEDED_MS) break;
      if (sha256 === manifest) return;
    }
    const message =
      `the manifest ${manifest.slice(0, 12)}… of ${this.#target.name} was replaced almost an hour ago or longer, or never counted: ` +
      'what it names may have been pruned; read the archive again from HEAD';
    throw pinLost(message, { manifest });
  }

  #lose(message: string, cause?: unknown): void {
    if (this.#notHeld !== undefined) return;
    this.#timer?.[Symbol.dispose]();
    const isRefused = isEvertreeError(cause) && cause.code !== 'COMPACTED';
    this.#notHeld = isRefused ? new EvertreeError(cause.code, message, cause.details, cause) : pinLost(message, {}, cause);
    this.#tell(isRefused ? 'warn' : 'error', message);
  }

  #tell(level: 'debug' | 'warn' | 'error', message: string): void {
    const event = level === 'error' ? 'archive-pin-lost' : 'archive-pin';
    this.#options.report({ level, event, message, details: { target: this.#target.name, pin: this.#key } });
  }
}

function pinLost(message: string, details: Record<string, unknown> = {}, cause?: unknown): EvertreeError {
  return new EvertreeError('COMPACTED', message, details, cause);
}
