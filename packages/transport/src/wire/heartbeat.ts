import type { Clock } from '@evertree/core';

export interface HeartbeatHost {
  /** Bytes that have come from the far end so far. */
  receivedBytes(): number;
  /** Whether this end reads at all: while it does not, silence means nothing. */
  reading(): boolean;
  /** Says that this end lives, unless it has sent something since the last call. */
  beat(): void;
  /** Nothing came for three heartbeats. */
  silent(): void;
}

/** Looks at the link in each heartbeat: enough to send once in every heartbeat, and to find silence within three. */
const LOOKS = 2;
/** Heartbeats without a byte, counted in whole looks: found 2.5 to 3 of them after the last byte. */
const SILENT_HEARTBEATS = 2.5;

/**
 * Signs of life, both ways. Silence is counted in looks, not in time. Between two looks the event loop has always read
 * what had come, so a process that stood still for a minute finds one silent look at most, and reads what the far end
 * sent meanwhile.
 */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #host: HeartbeatHost;
  readonly #expectMs: number;
  #lookMs: number;
  #timer: Disposable | undefined;
  #received = -1;
  #silentLooks = 0;
  #stopped = false;

  /**
   * @param expectMs how often the far end has to be heard, and, until it has said how often it wants to hear, how often
   * to beat
   */
  constructor(clock: Clock, expectMs: number, host: HeartbeatHost) {
    this.#clock = clock;
    this.#host = host;
    this.#expectMs = expectMs;
    this.#lookMs = expectMs / LOOKS;
  }

  /** The far end wants to hear from this one every `sendMs`. */
  sendEvery(sendMs: number): void {
    this.#lookMs = Math.min(this.#expectMs, sendMs) / LOOKS;
    this.#silentLooks = 0;
    if (this.#timer !== undefined) this.start();
  }

  start(): void {
    this.#timer?.[Symbol.dispose]();
    if (!this.#stopped) this.#timer = this.#clock.after(this.#lookMs, () => this.#clock.soon(() => this.#look()));
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.[Symbol.dispose]();
  }

  #look(): void {
    if (this.#stopped) return;
    const received = this.#host.receivedBytes();
    if (received !== this.#received || !this.#host.reading()) this.#silentLooks = 0;
    else this.#silentLooks += 1;
    this.#received = received;
    if (this.#silentLooks * this.#lookMs >= SILENT_HEARTBEATS * this.#expectMs) {
      this.#host.silent();
      return;
    }
    this.#host.beat();
    this.start();
  }
}
