import { frameHash, NO_CHAIN, ORIGIN, sealFrame } from '@evertree/core';
import type { Epoch, ExactPosition, Frame, SnapshotHeader } from '@evertree/core';

/** A history as a journal sees it: frames that follow each other. The bodies are arbitrary bytes. */
export class FrameChain {
  readonly stream: string;
  readonly frames: Frame[] = [];
  readonly epochs: Epoch[] = [];
  position: ExactPosition;
  time = 1_000;
  #chain: string = NO_CHAIN;

  constructor(stream = '5a'.repeat(16), position: ExactPosition = ORIGIN) {
    this.stream = stream;
    this.position = position;
  }

  /** Makes the next frame. The first one begins an epoch; a later one does if `beginsEpoch` says so. */
  next(options: { readonly bytes?: number; readonly count?: number; readonly beginsEpoch?: boolean } = {}): Frame {
    const base = this.position;
    const beginsEpoch = options.beginsEpoch ?? this.epochs.length === 0;
    if (beginsEpoch) {
      const number = base.epoch + 1;
      const id = number.toString(16).padStart(16, '7');
      this.epochs.push({ number, id, site: 'a', base, reason: 'start', time: this.time });
    }
    const { number: epoch, id: epochId } = this.epochs.at(-1)!;
    const count = beginsEpoch ? 1 : (options.count ?? 1);
    const last = { epoch, epochId, revision: base.revision + count };
    const body = Buffer.alloc(options.bytes ?? 40, `${last.revision} `);
    const firstTime = this.time;
    this.time += count;
    const frame = sealFrame(
      {
        codec: 'binary',
        beginsEpoch,
        endsEpoch: false,
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
    this.position = last;
    this.#chain = frameHash(frame);
    this.frames.push(frame);
    return frame;
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
    return { stream: this.stream, position, digest, chain: this.#chain, epochs: this.epochs, time: this.time };
  }
}
