import type { SnapshotHeader, StoredSnapshot } from '@evertree/core';
import { encodeChunk, encodeImageHead } from '../format/image-payload.ts';
import type { ImageEntry, ImagePart } from '../format/manifest.ts';
import { imagePartKey } from '../format/object-keys.ts';
import { BATCH_BYTES } from './frame-batch.ts';
import type { ObjectWriter } from './object-writer.ts';

/** Whose image it is. */
export interface ImageOwner {
  readonly archive: string;
  readonly line: string;
  readonly run: string;
}

/** Writes a snapshot as an image. Of its parts one is on its way while the next one is made. */
export class ImageWriter {
  readonly #writer: ObjectWriter;
  readonly #owner: ImageOwner;
  readonly #header: SnapshotHeader;
  readonly #parts: ImagePart[] = [];
  #made = 0;
  #plainBytes = 0;
  /** The part that is being gathered. */
  #gathered: Uint8Array[] = [];
  #gatheredBytes = 0;
  /** The part that is on its way. */
  #sending: Promise<ImagePart> | undefined;

  private constructor(writer: ObjectWriter, owner: ImageOwner, header: SnapshotHeader) {
    this.#writer = writer;
    this.#owner = owner;
    this.#header = header;
  }

  /** @throws EvertreeError what reading the snapshot and writing to the target throws */
  static async write(writer: ObjectWriter, owner: ImageOwner, snapshot: StoredSnapshot): Promise<ImageEntry> {
    const image = new ImageWriter(writer, owner, snapshot.header);
    image.#gather(encodeImageHead(snapshot.header));
    for await (const chunk of snapshot.chunks()) {
      if (image.#gatheredBytes + chunk.length > BATCH_BYTES) await image.#send();
      image.#gather(encodeChunk(chunk));
    }
    await image.#send();
    await image.#sent();
    writer.counts.images++;
    return image.#entry;
  }

  get #entry(): ImageEntry {
    const { position, time, digest, chain, marks } = this.#header;
    const revisions = marks.map(mark => mark.position.revision);
    return { kind: 'image', position, time, digest, chain, plainBytes: this.#plainBytes, parts: this.#parts, marks: revisions };
  }

  #gather(pieces: readonly Uint8Array[]): void {
    for (const piece of pieces) {
      this.#gathered.push(piece);
      this.#gatheredBytes += piece.length;
    }
  }

  async #send(): Promise<void> {
    const { archive, line, run } = this.#owner;
    const { position } = this.#header;
    const parts = this.#gathered;
    const plainBytes = this.#gatheredBytes;
    this.#gathered = [];
    this.#gatheredBytes = 0;
    const part = ++this.#made;
    this.#plainBytes += plainBytes;
    const sealed = await this.#writer.seal({ kind: 'image', header: { archive, line, position, part, plainBytes }, parts });
    await this.#sent();
    this.#sending = this.#writer.create(imagePartKey(line, position, run, part), sealed, plainBytes);
    // A failure is met when it is waited for.
    this.#sending.catch(() => undefined);
  }

  async #sent(): Promise<void> {
    const sending = this.#sending;
    this.#sending = undefined;
    if (sending !== undefined) this.#parts.push(await sending);
  }
}
