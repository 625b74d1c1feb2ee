import type { Frame } from '@evertree/core';
import type { ImagePart, StretchEntry } from '../format/manifest.ts';
import { stretchKey } from '../format/object-keys.ts';
import { FrameBatch, type ProvenPosition } from './frame-batch.ts';
import type { ImageOwner } from './image-writer.ts';
import { type ObjectWriter, stretchOf } from './object-writer.ts';

/** Writes frames that follow one another as stretches. One is on its way while the next one is made. */
export class StretchWriter {
  readonly #writer: ObjectWriter;
  readonly #owner: ImageOwner;
  /** Counted by the run: its keys are never used twice. */
  #number = 0;

  constructor(writer: ObjectWriter, owner: ImageOwner) {
    this.#writer = writer;
    this.#owner = owner;
  }

  /**
   * Writes the frames behind a position. Each stretch is given when it is in the target.
   * @param frames those that follow; fewer than asked for where the history ends or was cut back
   * @throws EvertreeError DAMAGED; what reading the frames and writing to the target throws
   */
  async *write(from: ProvenPosition, frames: AsyncIterable<Frame>): AsyncGenerator<StretchEntry, void, undefined> {
    let batch = new FrameBatch(from);
    let sending: Promise<StretchEntry> | undefined;
    for await (const frame of frames) {
      if (!batch.fits(frame)) {
        const made = await this.#make(batch);
        if (sending !== undefined) yield await sending;
        sending = this.#send(made);
        batch = new FrameBatch(batch.end);
      }
      batch.add(frame);
    }
    const made = batch.isEmpty ? undefined : await this.#make(batch);
    if (sending !== undefined) yield await sending;
    if (made !== undefined) yield await this.#send(made);
  }

  async #make(batch: FrameBatch): Promise<() => Promise<StretchEntry>> {
    const { archive, line, run } = this.#owner;
    const header = batch.header(archive, line, null);
    const sealed = await this.#writer.seal({ kind: 'frames', header, parts: [batch.bytes] });
    batch.release();
    const { marked } = batch;
    const key = stretchKey(line, header.last, run, ++this.#number);
    return async () => {
      const stored: ImagePart = await this.#writer.create(key, sealed, header.plainBytes);
      return stretchOf(stored, header, marked);
    };
  }

  #send(send: () => Promise<StretchEntry>): Promise<StretchEntry> {
    const sending = send();
    // A failure is met when it is waited for.
    sending.catch(() => undefined);
    return sending;
  }
}
