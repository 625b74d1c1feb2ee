import { BinaryBodyWriter } from './binary-writer.ts';
import type { BodyWriter, MarkNote } from './body.ts';
import { sealFrame, type BodyCodec, type BodyRest, type Frame } from './frame.ts';
import { JsonBodyWriter } from './json-body.ts';
import type { Epoch, ExactPosition, Handover } from '../position.ts';

/** What a frame is sealed on: the end of the history before it. */
export interface FrameBase {
  /** 32 hex digits. */
  readonly stream: string;
  readonly last: ExactPosition;
  /** Hash of the frame that ends there, 64 hex digits. */
  readonly chain: string;
}

/** Who sets a mark, when and why. */
export interface MarkHead {
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly author: string | undefined;
  readonly message: string | undefined;
}

/** Gathers change sets and seals them into frames. The caller of `seal` says which position the frame follows. */
export class FrameWriter {
  readonly body: BodyWriter;
  /** Change sets that are not sealed yet. */
  count = 0;
  /** Operations of the only one, which another writer encoded. */
  #encoded: BodyRest | undefined;
  /** Commit time of the first of them. */
  #firstTime = 0;
  /** Commit time of the last change set of the epoch, milliseconds since 1970: the next one's is no less. */
  lastTime: number;

  constructor(codec: BodyCodec, lastTime: number) {
    this.body = codec === 'json' ? new JsonBodyWriter() : new BinaryBodyWriter();
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

  /**
   * Adds the operations of the change set, which another writer encoded as the first of a binary body: the dictionaries
   * are the other writer's, so that no change set may follow in this frame. Their memory becomes the frame's.
   * @returns false, and does nothing, if the change set is not the first, or the body is not binary
   */
  addEncoded(operations: BodyRest): boolean {
    if (this.count !== 1 || !(this.body instanceof BinaryBodyWriter)) return false;
    this.#encoded = operations;
    return true;
  }

  /** Makes one frame of all that was gathered. @param digest of the tree after the frame */
  seal(base: FrameBase, digest: string): Frame {
    const { epoch, epochId, revision } = base.last;
    return this.#seal(base, digest, { epoch, epochId, revision: revision + this.count }, 'continues');
  }

  /** The one frame that begins an epoch, on the epoch's base. Nothing else may be gathered. */
  sealEpoch(base: FrameBase, digest: string, epoch: Epoch): Frame {
    this.body.epoch({ site: epoch.site, reason: epoch.reason });
    // A restart entry goes on in the time of its number.
    if (epoch.number !== base.last.epoch) this.lastTime = 0;
    this.changeSet(epoch.time, undefined, undefined, 0);
    return this.#seal(base, digest, { epoch: epoch.number, epochId: epoch.id, revision: base.last.revision + 1 }, 'begins');
  }

  /** The one frame that ends an epoch. Nothing else may be gathered. */
  sealHandover(base: FrameBase, digest: string, handover: Handover, now: number): Frame {
    const { epoch, epochId, revision } = base.last;
    this.body.handover(handover);
    this.changeSet(now, undefined, undefined, 0);
    return this.#seal(base, digest, { epoch, epochId, revision: revision + 1 }, 'ends');
  }

  /** The one frame that sets or removes a mark. Nothing else may be gathered. */
  sealMark(base: FrameBase, digest: string, mark: MarkNote, { now, author, message }: MarkHead): Frame {
    const { epoch, epochId, revision } = base.last;
    this.body.mark(mark);
    this.changeSet(now, author, message, 0);
    return this.#seal(base, digest, { epoch, epochId, revision: revision + 1 }, 'marks');
  }

  #seal(base: FrameBase, digest: string, last: ExactPosition, part: 'begins' | 'continues' | 'ends' | 'marks'): Frame {
    const body = this.body.take();
    const { count } = this;
    const encoded = this.#encoded;
    this.count = 0;
    this.#encoded = undefined;
    return sealFrame(
      {
        codec: this.body.codec,
        beginsEpoch: part === 'begins',
        endsEpoch: part === 'ends',
        isMark: part === 'marks',
        stream: base.stream,
        epoch: last.epoch,
        epochId: last.epochId,
        base: base.last,
        last,
        digest,
        firstTime: this.#firstTime,
        lastTime: this.lastTime,
        count,
        previous: base.chain,
        bodyLength: body.length + (encoded === undefined ? 0 : encoded.to - encoded.from),
      },
      body,
      encoded,
    );
  }
}
