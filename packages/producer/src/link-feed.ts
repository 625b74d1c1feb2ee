import type { ExactPosition, Link, Message, Reason } from '@evertree/core';
import { Sender } from './sender.ts';
import type { SenderOptions } from './sender.ts';

export type SnapshotRequest = Extract<Message, { type: 'snapshot-wanted' }>;

/** What goes out over one link: frames or a snapshot, and for a log another snapshot beside the frames. */
export class LinkFeed {
  readonly link: Link;
  readonly #options: SenderOptions;
  readonly #sender: Sender;
  /** Sends the snapshot beside the frames; made when the first is asked for. */
  #besideFrames: Sender | undefined;

  constructor(options: SenderOptions) {
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
  sendBeside({ id, reason }: SnapshotRequest): boolean {
    if (this.#besideFrames?.busy === true) return false;
    this.#besideFrames ??= new Sender({ ...this.#options, hasRoom: () => true, step: () => undefined });
    this.#besideFrames.sendSnapshot(reason, id);
    return true;
  }

  /** Something changed that may be waited for: the journal grew, the link drained, the window moved. */
  notify(): void {
    this.#sender.notify();
    this.#besideFrames?.notify();
  }

  /** Resolves when nothing is held any more; the link stays open. */
  async stop(): Promise<void> {
    this.#sender.stop();
    this.#besideFrames?.stop();
    await Promise.all([this.#sender.ended, this.#besideFrames?.ended]);
  }
}
