/** Looks in each heartbeat. */
const LOOKS = 2;
/** Heartbeats without an answer, counted in looks: found 2.5 to 3 of them after the last one. */
const SILENT_HEARTBEATS = 2.5;

/**
 * Looks for signs of life: an answer of the broker. Silence is counted in looks, not in time. Before each look the
 * event loop has read what had come, so a process that was stopped does not take its own pause for silence of the
 * broker. Pure.
 */
export class Pulse {
  readonly #lookMs: number;
  /** When to look next, on the monotonic clock. */
  #lookAt: number;
  #looks = 0;
  /** Looks in a row without an answer since the look before. */
  #silentLooks = 0;
  #isAnswered = true;

  constructor(heartbeatMs: number, now: number) {
    this.#lookMs = heartbeatMs / LOOKS;
    this.#lookAt = now + this.#lookMs;
  }

  get lookAt(): number {
    return this.#lookAt;
  }

  /** The broker has answered something. */
  answered(): void {
    this.#isAnswered = true;
  }

  /** Looks. @returns `silent`: nothing came for three heartbeats; `beat`: this end is to tell that it lives */
  look(now: number): 'silent' | 'beat' | 'rest' {
    this.#lookAt = now + this.#lookMs;
    this.#looks += 1;
    this.#silentLooks = this.#isAnswered ? 0 : this.#silentLooks + 1;
    this.#isAnswered = false;
    if (this.#silentLooks >= SILENT_HEARTBEATS * LOOKS) return 'silent';
    return this.#looks % LOOKS === 0 ? 'beat' : 'rest';
  }
}
