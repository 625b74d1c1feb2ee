import type { Reporter } from '@evertree/core';

/**
 * Reports records that are passed over. Of several in a row it reports the first at once, and the number of the others
 * when the row ends.
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

  /** A record came that is not passed over: the row has ended. */
  end(): void {
    if (this.#row === 0) return;
    if (this.#row > 1) this.#tell(`${this.#row} records of ${this.#topic} in a row were passed over`, { count: this.#row });
    this.#row = 0;
  }

  #tell(message: string, details: object): void {
    this.#report({ level: 'warn', event: 'records-passed-over', message, details: { topic: this.#topic, ...details } });
  }
}
