import { frameHash, NO_CHAIN, ORIGIN, sealFrame } from '@evertree/core';
import type { Epoch, ExactPosition, Frame, Mark, SnapshotHeader } from '@evertree/core';

export interface FrameOptions {
  readonly bytes?: number;
  readonly count?: number;
  readonly beginsEpoch?: boolean;
  /** It begins an epoch with the number of its base. Never the first frame. */
  readonly restart?: boolean;
  /** It hands the reign over. */
  readonly endsEpoch?: boolean;
  /** It is a mark frame. */
  readonly isMark?: boolean;
}

/** A history as a journal sees it: frames that follow each other. The bodies are arbitrary bytes. */
export class FrameChain {
  readonly stream: string;
  readonly frames: Frame[] = [];
  readonly epochs: Epoch[] = [];
  /** What snapshots say of marks; a journal does not look into it. */
  readonly marks: Mark[] = [];
  position: ExactPosition;
  time = 1_000;
  #chain: string = NO_CHAIN;
  #restarts = 0;
  readonly #ids = new Set<string>();

  constructor(stream = '5a'.repeat(16), position: ExactPosition = ORIGIN) {
    this.stream = stream;
    this.position = position;
  }

  /**
   * Makes the next frame. The first one begins an epoch; a later one does if `beginsEpoch` says so, or, with the same
   * number, if it is a restart entry.
   */
  next(options: FrameOptions = {}): Frame {
    const base = this.position;
    const { restart = false, endsEpoch = false, isMark = false } = options;
    const beginsEpoch = restart || (options.beginsEpoch ?? this.epochs.length === 0);
    if (beginsEpoch) {
      const number = restart ? base.epoch : base.epoch + 1;
      const id = restart ? (++this.#restarts).toString(16).padStart(16, '3') : this.#idOf(number);
      this.epochs.push({ number, id, site: 'a', base, reason: restart ? 'restart' : 'start', time: this.time });
    }
    const { number: epoch, id: epochId } = this.epochs.at(-1)!;
    const count = beginsEpoch || endsEpoch || isMark ? 1 : (options.count ?? 1);
    const last = { epoch, epochId, revision: base.revision + count };
    const body = Buffer.alloc(options.bytes ?? 40, `${last.revision} `);
    const firstTime = this.time;
    this.time += count;
    const frame = sealFrame(
      {
        codec: 'binary',
        beginsEpoch,
        endsEpoch,
        isMark,
        stream: this.stream,
        epoch,
        epochId,
        base,
        last,
        digest: last.revision.toString(16).padStart(16, '0'),
        firstTime,
        lastTime: this.time - 1,
        count,
        previous: this.#chain,
        bodyLength: body.length,
      },
      body,
    );
    if (endsEpoch) this.epochs.push({ ...this.epochs.pop()!, end: { to: 'b', command: 'c1' } });
    this.position = last;
    this.#chain = frameHash(frame);
    this.frames.push(frame);
    return frame;
  }

  /** An epoch that begins anew after a rewind gets another id than the one that went. */
  #idOf(number: number): string {
    let id = number.toString(16).padStart(16, '7');
    while (this.#ids.has(id)) id = (++this.#restarts).toString(16).padStart(16, '5');
    this.#ids.add(id);
    return id;
  }

  /** Forgets the frames after `position`, as a site that lost them. */
  rewind(position: ExactPosition): void {
    while ((this.frames.at(-1)?.header.last.revision ?? 0) > position.revision) this.frames.pop();
    while ((this.epochs.at(-1)?.base.revision ?? -1) >= position.revision) this.epochs.pop();
    const last = this.frames.at(-1);
    this.position = position;
    this.#chain = last === undefined ? NO_CHAIN : frameHash(last);
  }

  /** The head of a snapshot at `position`. */
  snapshotHeader(position: ExactPosition = this.position): SnapshotHeader {
    const digest = position.revision.toString(16).padStart(16, '0');
    return { stream: this.stream, position, digest, chain: this.#chain, epochs: this.epochs, marks: this.marks, time: this.time };
  }
}
