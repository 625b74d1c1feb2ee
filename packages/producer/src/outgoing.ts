import type { ExactPosition } from '@evertree/core';
import { Inflight } from './inflight.ts';
import type { ProducerLimits } from './limits.ts';
import type { PeerEvent } from './peer-event.ts';

/** A snapshot on its way. `sent`: all of it went out. */
interface SnapshotOnItsWay {
  readonly position: ExactPosition;
  sent: boolean;
}

/** What goes out to one peer over its link, frames or a snapshot, and how old the oldest is that the peer lacks. */
export class Outgoing {
  readonly #limits: ProducerLimits;
  /** What was sent over the link, and is not yet durable there. Empty without a link. */
  readonly #inflight = new Inflight();
  /** The end of what was sent. In our history, and set exactly while frames go out. */
  #sentTo: ExactPosition | undefined;
  /** Set while a snapshot goes out. */
  #snapshot: SnapshotOnItsWay | undefined;
  /** Commit time of what comes after `#sentTo`, or a little before it; undefined when nothing does, as far as we know. */
  #unsentTime: number | undefined;

  constructor(limits: ProducerLimits) {
    this.#limits = limits;
  }

  get sentTo(): ExactPosition | undefined {
    return this.#sentTo;
  }

  get snapshot(): Readonly<SnapshotOnItsWay> | undefined {
    return this.#snapshot;
  }

  /** Commit time of the oldest change set that the peer does not hold durably, milliseconds since 1970. */
  get oldestTime(): number | undefined {
    return this.#inflight.oldestTime ?? this.#unsentTime;
  }

  /** Whether another frame may be sent now. */
  get hasRoom(): boolean {
    return this.#inflight.bytes < this.#limits.windowBytes && this.#inflight.frames < this.#limits.windowFrames;
  }

  /**
   * Frames go out from there on, perhaps again: counting those that were in flight as well would count them twice. A
   * snapshot before them has arrived.
   */
  beginFrames(after: ExactPosition): void {
    this.#inflight.clear();
    this.#sentTo = after;
    this.#snapshot = undefined;
  }

  sent({ last, bytes, firstTime, lastTime }: Extract<PeerEvent, { type: 'sent' }>): void {
    this.#sentTo = last;
    this.#inflight.add(last.revision, bytes, firstTime);
    this.#unsentTime = lastTime;
  }

  beginSnapshot(position: ExactPosition): void {
    this.#snapshot = { position, sent: false };
  }

  endSnapshot(): void {
    if (this.#snapshot !== undefined) this.#snapshot.sent = true;
  }

  /** There is something to send, which was committed then. */
  hasUnsent(time: number): void {
    this.#unsentTime = Math.min(this.#unsentTime ?? time, time);
  }

  hasNothingUnsent(): void {
    this.#unsentTime = undefined;
  }

  /** As `Inflight.acknowledge`. */
  acknowledge(applied: number, durable: number): void {
    this.#inflight.acknowledge(applied, durable);
  }

  /** Neither frames nor a snapshot go out, until one of them begins. */
  stop(): void {
    this.#inflight.clear();
    this.#sentTo = undefined;
    this.#snapshot = undefined;
  }

  /** The link is over: what was in flight is not there, as far as we know. */
  unlink(): void {
    this.#unsentTime = this.oldestTime;
    this.stop();
  }
}
