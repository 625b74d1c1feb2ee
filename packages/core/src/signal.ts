import type { Clock } from './seams/host.ts';

/** Wakes one waiting loop. What is notified while nobody waits is kept: the next `wait` returns at once. */
export class Signal {
  /** Somebody notified since the last `wait` returned, or since `clear`. */
  #notified = false;
  /** Set while the loop waits. */
  #wake: (() => void) | undefined;

  notify(): void {
    this.#notified = true;
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  /** Forgets what was notified: the loop has looked at everything by now. */
  clear(): void {
    this.#notified = false;
  }

  async wait(): Promise<void> {
    if (!this.#notified) await new Promise<void>(resolve => (this.#wake = resolve));
    this.#notified = false;
  }

  /** Waits `timeoutMs` at most. @returns whether it was notified */
  async waitAtMost(clock: Clock, timeoutMs: number): Promise<boolean> {
    let inTime = true;
    using _ = clock.after(timeoutMs, () => {
      inTime = false;
      this.notify();
    });
    await this.wait();
    return inTime;
  }
}
