import type { ExactPosition, Link, Message, Reason, Store } from '@evertree/core';
import type { ProducerLimits } from './limits.ts';
import type { PeerEvent } from './peer-event.ts';
import { Sender } from './sender.ts';

export type SnapshotRequest = Extract<Message, { type: 'snapshot-wanted' }>;

export interface LinkFeedOptions {
  readonly store: Store;
  readonly link: Link;
  readonly limits: ProducerLimits;
  /** Whether the acknowledgement window has room for another frame. */
  hasRoom(): boolean;
  step(event: PeerEvent): void;
}

/** What goes out over one link: frames or a snapshot, and for a log another snapshot beside the frames. */
export class LinkFeed {
  readonly link: Link;
  readonly #options: LinkFeedOptions;
  readonly #sender: Sender;
  /** Sends the snapshot beside the frames; made when the first is asked for. */
  #aside: Sender | undefined;

  constructor(options: LinkFeedOptions) {
    this.link = options.link;
    this.#options = options;
    this.#sender = new Sender(options);
  }

  sendFrames(after: ExactPosition): void {
    this.#sender.sendFrames(after);
  }

  sendSnapshot(reason: Reason): void {
    this.#sender.sendSnapshot(reason);
  }

  /** @returns false when one is under way already */
  sendAside({ id, reason }: SnapshotRequest): boolean {
    if (this.#aside?.busy === true) return false;
    this.#aside ??= new Sender({ ...this.#options, hasRoom: () => true, step: () => undefined });
    this.#aside.sendSnapshot(reason, id);
    return true;
  }

  /** Something changed that may be waited for: the journal grew, the link drained, the window moved. */
  notify(): void {
    this.#sender.notify();
    this.#aside?.notify();
  }

  /** Resolves when nothing is held any more; the link stays open. */
  async stop(): Promise<void> {
    this.#sender.stop();
    this.#aside?.stop();
    await Promise.all([this.#sender.ended, this.#aside?.ended]);
  }
}
