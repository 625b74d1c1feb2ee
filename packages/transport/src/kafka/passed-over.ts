import type { Reporter } from '@evertree/core';

/**
 * Tells of records that are passed over: the first of a row as it comes, the rest of the row as a count when it ends.
 */
export class PassedOver {
  readonly #topic: string;
  readonly #report: Reporter;
  #row = 0;

  constructor(topic: string, report: Reporter) {
    this.#topic = topic;
    this.#report = report;
  }

  add(offset: string, why: string): void {
    this.#row += 1;
    if (this.#row === 1) this.#tell(`the record at offset ${offset} of ${this.#topic} is passed over: ${why}`, { offset });
  }

  /** A record that is ours came. */
  end(): void {
    if (this.#row === 0) return;
    if (this.#row > 1) this.#tell(`${this.#row} records of ${this.#topic} in a row were passed over`, { count: this.#row });
    this.#row = 0;
  }

  #tell(message: string, details: object): void {
    this.#report({ level: 'warn', event: 'records-passed-over', message, details: { topic: this.#topic, ...details } });
  }
}
