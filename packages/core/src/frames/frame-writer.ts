import { BinaryBodyWriter } from './binary-writer.ts';
import type { BodyWriter, EpochNote } from './body.ts';
import { frameHash, sealFrame, type BodyCodec, type Frame } from './frame.ts';
import { JsonBodyWriter } from './json-body.ts';
import type { Epoch, ExactPosition } from '../position.ts';

/** Gathers change sets and cuts them into frames, each on the one before it. */
export class FrameWriter {
  readonly body: BodyWriter;
  /** Change sets that are not cut yet. */
  count = 0;
  #firstTime = 0;
  /** Commit time of the last change set, milliseconds since 1970. */
  lastTime: number;
  /** The last frame's end and hash. */
  base: ExactPosition;
  chain: string;

  constructor(codec: BodyCodec, base: ExactPosition, chain: string, lastTime: number) {
    this.body = codec === 'json' ? new JsonBodyWriter() : new BinaryBodyWriter();
    this.base = base;
    this.chain = chain;
    this.lastTime = lastTime;
  }

  /** Begins a change set; returns its commit time: `now`, clamped so that it never steps back. */
  changeSet(now: number, author: string | undefined, message: string | undefined, operations: number): number {
    const time = now > this.lastTime ? now : this.lastTime;
    this.lastTime = time;
    if (this.count++ === 0) this.#firstTime = time;
    this.body.changeSet(time, author, message, operations);
    return time;
  }

  cut(stream: string, digest: string): Frame {
    const { epoch, epochId, revision } = this.base;
    return this.#seal(stream, digest, { epoch, epochId, revision: revision + this.count }, false);
  }

  /** The one frame that begins an epoch. Nothing else may be open. */
  beginEpoch(stream: string, digest: string, epoch: Epoch): Frame {
    const note: EpochNote = { site: epoch.site, reason: epoch.reason };
    this.body.epoch(note);
    this.lastTime = 0;
    this.changeSet(epoch.time, undefined, undefined, 0);
    return this.#seal(stream, digest, { epoch: epoch.number, epochId: epoch.id, revision: this.base.revision + 1 }, true);
  }

  #seal(stream: string, digest: string, last: ExactPosition, beginsEpoch: boolean): Frame {
    const body = this.body.take();
    const frame = sealFrame(
      {
        codec: this.body.codec,
        beginsEpoch,
        stream,
        epoch: last.epoch,
        epochId: last.epochId,
        base: this.base,
        last,
        digest,
        firstTime: this.#firstTime,
        lastTime: this.lastTime,
        count: this.count,
        previous: this.chain,
        bodyLength: body.length,
      },
      body,
    );
    this.count = 0;
    this.base = last;
    this.chain = frameHash(frame);
    return frame;
  }
}
