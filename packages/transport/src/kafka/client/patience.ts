import type { Clock } from '@evertree/core';
import { BrokerSilent } from '../broker.ts';

/** Connections that live and die together. */
export interface Connections {
  /** What came from the brokers so far: as long as it grows, they are not silent. */
  readonly receivedBytes: number;
  /** Cuts them and makes no more: what waits for an answer fails now, what is being tried again within two seconds. */
  abandon(): void;
}

export interface PatienceOptions {
  readonly clock: Clock;
  /** Its address, for people. */
  readonly broker: string;
  /** How long a broker may be silent while it is to answer. */
  readonly answerMs: number;
  /** The connections over which it is to answer; abandoned when it does not. */
  readonly connections: Connections;
}

/** Looks for a sign of life in `answerMs`. */
const LOOKS = 4;

/**
 * Waits for answers of a broker as long as any of their bytes comes: a large answer on a slow line is not silence.
 * Silence is counted in looks, not in time. Before each look the event loop has read what had come, so a process that
 * was stopped does not take its own pause for silence of the broker.
 */
export class Patience {
  readonly #options: PatienceOptions;

  constructor(options: PatienceOptions) {
    this.#options = options;
  }

  /**
   * @param expectedMs what the broker was asked to wait by itself
   * @throws BrokerSilent; what `work` throws
   */
  async with<T>(work: Promise<T>, expectedMs = 0): Promise<T> {
    const silence = Promise.withResolvers<never>();
    const timer = this.#watch(expectedMs, silence.reject);
    try {
      return await Promise.race([work, silence.promise]);
    } finally {
      timer[Symbol.dispose]();
    }
  }

  #watch(expectedMs: number, silent: (error: BrokerSilent) => void): Disposable {
    const { clock, broker, answerMs, connections } = this.#options;
    const lookMs = answerMs / LOOKS;
    let received = connections.receivedBytes;
    let silentMs = -expectedMs;
    let timer: Disposable;
    let isOver = false;
    const look = () => {
      // The answer came between the timer and this look.
      if (isOver) return;
      silentMs = connections.receivedBytes === received ? silentMs + lookMs : 0;
      received = connections.receivedBytes;
      if (silentMs >= answerMs) {
        silent(new BrokerSilent(broker, silentMs));
        connections.abandon();
      } else {
        timer = clock.after(lookMs, () => clock.soon(look));
      }
    };
    timer = clock.after(lookMs, () => clock.soon(look));
    return {
      [Symbol.dispose]: () => {
        isOver = true;
        timer[Symbol.dispose]();
      },
    };
  }
}
