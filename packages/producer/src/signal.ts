/** Wakes one waiting loop. What is notified while nobody waits is kept: the next `wait` returns at once. */
export class Signal {
  #notified = false;
  #wake: (() => void) | undefined;

  notify(): void {
    this.#notified = true;
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  async wait(): Promise<void> {
    if (!this.#notified) await new Promise<void>(resolve => (this.#wake = resolve));
    this.#notified = false;
  }
}
