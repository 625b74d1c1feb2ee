import type { Closing } from '../control.ts';
import type { PublisherSettings } from './settings.ts';
import type { TopicOutbox } from './topic-outbox.ts';

/** How long a closing link may take to send what waits, and its `closing` record. */
const FAREWELL_MS = 800;

/** The end of a link that this end closes. Pure but for its report; `now` is the caller's. */
export class Farewell {
  readonly closing: Closing;
  /** The link waits for the broker up to then, on the monotonic clock. */
  readonly until: number;
  #isSaid = false;

  constructor(closing: Closing, now: number) {
    this.closing = closing;
    this.until = now + FAREWELL_MS;
  }

  /**
   * First the frames that wait are sent, then the `closing` record, then the link is over.
   * @param say queues the `closing` record
   * @returns whether the link is over
   */
  step(outbox: TopicOutbox, now: number, { remote, report }: PublisherSettings, say: (closing: Closing) => void): boolean {
    if (now >= this.until) {
      const message = `${remote} was left without a closing record: it did not answer within ${FAREWELL_MS} ms`;
      report({ level: 'debug', event: 'no-farewell', message });
      return true;
    }
    if (outbox.areFramesIdle && !this.#isSaid) {
      this.#isSaid = true;
      say(this.closing);
    }
    return this.#isSaid && outbox.isBesideIdle;
  }
}
