import type { Reporter } from '@evertree/core';
import { asError } from './failure.ts';

/** Listeners that are told, in the order in which they came. One that throws is reported, and the others go on. */
export class Progress {
  readonly #listeners = new Set<{ readonly listener: () => void }>();
  readonly #report: Reporter;

  constructor(report: Reporter) {
    this.#report = report;
  }

  on(listener: () => void): Disposable {
    const entry = { listener };
    this.#listeners.add(entry);
    return { [Symbol.dispose]: () => void this.#listeners.delete(entry) };
  }

  tell(): void {
    // One that registers meanwhile is told the next time.
    const listeners = [...this.#listeners];
    for (const { listener } of listeners) {
      try {
        listener();
      } catch (error) {
        this.#report({
          level: 'error',
          event: 'listener-threw',
          message: `a listener to the journal's progress threw: ${asError(error).message}`,
          details: { error },
        });
      }
    }
  }
}
