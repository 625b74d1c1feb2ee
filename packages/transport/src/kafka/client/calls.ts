import type { BrokerOptions } from '../broker.ts';
import type { Explain } from './failures.ts';
import { type Connections, Patience } from './patience.ts';

/** A client's own bound for an answer where Patience has one: the client would give up an answer that comes slowly. */
const SLOWEST_ANSWER_MS = 600_000;

/** The bound for an answer that a client gets: a long one where a clock is given, with which Patience measures. */
export function clientPatience({ clock, connection, answerMs }: BrokerOptions) {
  if (clock === undefined) return { connection, answerMs };
  return { connection: { ...connection, requestTimeoutMs: undefined }, answerMs: SLOWEST_ANSWER_MS };
}

/**
 * Calls over some connections: each is given up when the broker stays silent, and each failure becomes a BrokerError.
 */
export class Calls {
  readonly #options: BrokerOptions;
  readonly #explain: Explain;
  readonly #patience: Patience | undefined;

  constructor(options: BrokerOptions, connections: Connections, explain: Explain) {
    const { clock, connection, answerMs } = options;
    this.#options = options;
    this.#explain = explain;
    if (clock !== undefined) this.#patience = new Patience({ clock, broker: connection.brokers.join(', '), answerMs, connections });
  }

  /** @param expectedMs what the broker was asked to wait by itself. @throws BrokerError */
  async call<T>(work: Promise<T>, expectedMs?: number): Promise<T> {
    try {
      return await (this.#patience === undefined ? work : this.#patience.with(work, expectedMs));
    } catch (error) {
      throw this.#explain(error, this.#options.connection);
    }
  }
}
