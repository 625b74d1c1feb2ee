import { EvertreeError } from '@evertree/core';
import type { Clock } from '@evertree/core';

export interface PatienceOptions {
  readonly clock: Clock;
  /** Its address, for people. */
  readonly broker: string;
  /** How long a broker may be silent while it is to answer. */
  readonly answerMs: number;
  /** Bytes that came from it so far. */
  readonly receivedBytes: () => number;
  /** It was silent for too long: nobody waits any more. */
  readonly giveUp: () => void;
}

/** Looks for a sign of life in `answerMs`. */
const LOOKS = 4;

/** The broker was asked, and not a byte came. */
export class BrokerSilent extends EvertreeError {
  constructor(broker: string, silentMs: number) {
    super(
      'UNREACHABLE',
      `the broker ${broker} did not answer, nor begin to, for ${Math.round(silentMs)} ms: is it stuck, or the network?`,
      { broker },
    );
  }
}

/**
 * Waits for answers of a broker as long as any byte of them comes: a large one on a thin line is no silence. Time is counted in looks, between
 * which the event loop has read what there was, so that a process that stood still blames nobody.
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
    const { clock, broker, answerMs, receivedBytes, giveUp } = this.#options;
    const lookMs = answerMs / LOOKS;
    let received = receivedBytes();
    let silentMs = -expectedMs;
    let timer: Disposable;
    const look = () => {
      silentMs = receivedBytes() === received ? silentMs + lookMs : 0;
      received = receivedBytes();
      if (silentMs >= answerMs) {
        silent(new BrokerSilent(broker, silentMs));
        giveUp();
      } else {
        timer = clock.after(lookMs, () => clock.soon(look));
      }
    };
    timer = clock.after(lookMs, () => clock.soon(look));
    return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
  }
}
