import { type SnapshotHeader, type StoredSnapshot, formatPosition, samePosition } from '@evertree/core';
import { damagedObject } from '../format/checked.ts';
import { parseImageHead, readChunks } from '../format/image-payload.ts';
import type { ImageEntry } from '../format/manifest.ts';
import { OBJECT_PLAIN_BYTES } from '../format/sealed-object.ts';
import type { ObjectSource } from './object-source.ts';
import { prefetchOpened } from './prefetch.ts';

/** Stored parts that are fetched ahead. At most two of them are open at once. */
const PARTS_AHEAD = 4;

/** A part of an image that was read. */
export interface ReadPart {
  /** From 1. */
  readonly number: number;
  /** Of all that is in it. */
  readonly bytes: number;
  /** That of the snapshot, in the first part. */
  readonly header: SnapshotHeader | undefined;
  readonly chunks: readonly Uint8Array[];
}

/** Reads images. The digest of the tree can be compared only by whoever builds it. */
export class ImageReader {
  readonly #source: ObjectSource;
  readonly #stream: string;
  readonly #line: string;

  constructor(source: ObjectSource, stream: string, line: string) {
    this.#source = source;
    this.#stream = stream;
    this.#line = line;
  }

  /**
   * The image as a snapshot. Its head is read at once, and its chunks when they are asked for.
   * @throws EvertreeError DAMAGED with the object, FORMAT_UNSUPPORTED, IDENTITY_NEEDED
   */
  async open(image: ImageEntry): Promise<StoredSnapshot> {
    const header = this.#headerOf(image, await this.#part(image, 0, await this.#source.load(image.parts[0]!)));
    return { header, bytes: image.plainBytes, chunks: () => this.#chunks(image) };
  }

  /**
   * The parts of an image after the first `skipped`. Only the first part has the head; whoever skips it has it already.
   * @throws EvertreeError as `open`
   */
  async *parts(image: ImageEntry, skipped: number): AsyncGenerator<ReadPart> {
    const load = async (index: number) => ({ index, stored: await this.#source.load(image.parts[index]!) });
    const open = async ({ index, stored }: { index: number; stored: Buffer }) => ({
      index,
      payload: await this.#part(image, index, stored),
    });
    const bounds = { items: PARTS_AHEAD, bytes: OBJECT_PLAIN_BYTES, bytesOf: (index: number) => image.parts[index]!.bytes };
    for await (const { index, payload } of prefetchOpened([...image.parts.keys()].slice(skipped), bounds, load, open)) {
      const header = index === 0 ? this.#headerOf(image, payload) : undefined;
      yield {
        number: index + 1,
        bytes: payload.length,
        header,
        chunks: [...readChunks(payload, image.parts[index]!.path)].slice(index === 0 ? 1 : 0),
      };
    }
  }

  async *#chunks(image: ImageEntry): AsyncGenerator<Uint8Array> {
    let plainBytes = 0;
    for await (const { bytes, chunks } of this.parts(image, 0)) {
      plainBytes += bytes;
      yield* chunks;
    }
    if (plainBytes === image.plainBytes) return;
    throw damagedObject(image.parts[0]!.path, `its parts have ${plainBytes} bytes, where the manifest says ${image.plainBytes}`);
  }

  async #part(image: ImageEntry, index: number, stored: Buffer): Promise<Buffer> {
    const named = image.parts[index]!;
    const opened = await this.#source.open(stored, named);
    const isIt =
      opened.kind === 'image' &&
      opened.header.line === this.#line &&
      opened.header.part === index + 1 &&
      samePosition(opened.header.position, image.position);
    if (isIt) return opened.payload;
    throw damagedObject(named.path, `it is not part ${index + 1} of the image at ${formatPosition(image.position)} of this line`);
  }

  #headerOf(image: ImageEntry, payload: Buffer): SnapshotHeader {
    const { path } = image.parts[0]!;
    const [first] = readChunks(payload, path);
    if (first === undefined) throw damagedObject(path, 'the head of its snapshot is missing');
    const header = parseImageHead(first, path);
    const isIt =
      header.stream === this.#stream &&
      samePosition(header.position, image.position) &&
      header.digest === image.digest &&
      header.chain === image.chain &&
      header.time === image.time;
    if (isIt) return header;
    throw damagedObject(path, `the head of its snapshot tells of ${formatPosition(header.position)}, and is not what the manifest says`);
  }
}
