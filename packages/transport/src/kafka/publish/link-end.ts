import type { CloseReason } from '@evertree/core';
import type { Closing } from '../control.ts';
import type { PublishAction } from './actions.ts';
import type { PublisherSettings } from './settings.ts';
import type { TopicOutbox } from './topic-outbox.ts';

/** How long a closing link may take to send what waits, and its `closing` record. */
const FAREWELL_MS = 800;

type EndAction = Extract<PublishAction, { readonly type: 'end' }>;

/**
 * How a link ends: at once; or, where this end closes it, once what waits was sent and a `closing` record behind it. Pure
 * but for its report; `now` is the caller's.
 */
export class LinkEnd {
  readonly #settings: PublisherSettings;
  /** Set once. From then on only what waits already is sent, and nothing is handed up. */
  #closing: Closing | undefined;
  #isSaid = false;
  #isOver = false;
  /** While it closes, the link waits for the broker up to then, on the monotonic clock. */
  #until = Infinity;

  constructor(settings: PublisherSettings) {
    this.#settings = settings;
  }

  get isEnding(): boolean {
    return this.#closing !== undefined;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get until(): number {
    return this.#until;
  }

  close({ reason, explanation }: Closing, now: number): void {
    if (this.#closing !== undefined) return;
    this.#closing = { reason, explanation };
    this.#until = now + FAREWELL_MS;
  }

  /**
   * Ends without a `closing` record: the broker does not answer, or this primary may not write.
   * @param byPeer a primary of a higher epoch writes there
   */
  abort(reason: CloseReason, explanation: string, byPeer: boolean): EndAction {
    this.#closing ??= { reason, explanation };
    this.#isOver = true;
    return { type: 'end', ...this.#closing, byPeer };
  }

  /**
   * First the frames that wait are sent, then the `closing` record, then the link is over.
   * @param say queues the `closing` record
   */
  step(outbox: TopicOutbox, now: number, say: (closing: Closing) => void): EndAction | undefined {
    const closing = this.#closing;
    if (closing === undefined || this.#isOver) return undefined;
    if (now >= this.#until) {
      const { remote, report } = this.#settings;
      const message = `${remote} was left without a closing record: it did not answer within ${FAREWELL_MS} ms`;
      report({ level: 'debug', event: 'no-farewell', message });
      return this.abort(closing.reason, closing.explanation, false);
    }
    if (outbox.areFramesIdle && !this.#isSaid) {
      this.#isSaid = true;
      say(closing);
    }
    return this.#isSaid && outbox.isBesideIdle ? this.abort(closing.reason, closing.explanation, false) : undefined;
  }
}
