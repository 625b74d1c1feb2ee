import { createHash } from 'node:crypto';
import { type RebuiltTree, samePosition, type SnapshotHeader, type StoredSnapshot } from '@evertree/core';
import type { Opening } from '../encryption/sealing.ts';
import { parseImageHead, readChunks } from '../format/image-payload.ts';
import { releaseSource } from '../format/memory.ts';
import { openContent } from '../format/sealed-object.ts';
import { prefetch } from '../reading/prefetch.ts';
import { type FindingList, problemOf } from './archive-finding.ts';
import type { ImageItem, NeededObject, PartObject } from './line-history.ts';
import { type CheckedObject, FETCHED_AHEAD } from './object-check.ts';

/** A part is not sound; that is among the findings. */
export class PartUnsound extends Error {}

/** What is compared with the frames that lead to an image. The tree itself is not kept. */
export interface ImageFacts {
  /** What differs from the tree that the frames give. */
  differences(tree: RebuiltTree): string | undefined;
}

interface ImageReadingOptions {
  readonly opening: Opening;
  readonly list: FindingList;
  readonly stream: string;
  readonly line: string;
  fetch(object: NeededObject): Promise<CheckedObject | undefined>;
}

/** Reads an image part by part. */
export class ImageReading {
  /** Of the parts that were read. */
  readonly sums = new Map<PartObject, string>();
  readonly #item: ImageItem;
  readonly #options: ImageReadingOptions;
  #header: SnapshotHeader | undefined;

  constructor(item: ImageItem, options: ImageReadingOptions) {
    this.#item = item;
    this.#options = options;
  }

  /** @throws PartUnsound; EvertreeError DAMAGED */
  async open(): Promise<StoredSnapshot> {
    const parts = this.#parts();
    const first = await parts.next();
    if (first.done === true) throw new PartUnsound('it has no part');
    const [part, payload] = first.value;
    const chunks = readChunks(payload, part.path);
    const head = chunks.next();
    if (head.done === true) throw this.#unsound(part, 'it does not begin with the head of an image');
    const header = this.#attempt(part, () => parseImageHead(head.value, part.path));
    this.#header = header;
    this.#compareHead(part, header);
    return { header, bytes: this.#item.parts.reduce((sum, { bytes }) => sum + bytes, 0), chunks: () => this.#chunks(part, chunks, parts) };
  }

  facts(tree: RebuiltTree): ImageFacts {
    const { digest, chain, time } = this.#header!;
    const [epochs, marks] = [hashOf(tree.head.epochs), hashOf(tree.head.marks)];
    return {
      differences(rebuilt) {
        const at = 'is not that which the frames give';
        const header = rebuilt.header;
        if (header.digest !== digest) return `its digest ${digest} ${at}: ${header.digest}`;
        if (header.chain !== chain) return `its chain ${chain} ${at}: ${header.chain}`;
        if (header.time !== time) return `its time ${time} ${at}: ${header.time}`;
        if (hashOf(header.epochs) !== epochs) return `its table of epochs ${at}`;
        return hashOf(header.marks) === marks ? undefined : `its list of marks ${at}`;
      },
    };
  }

  async *#chunks(
    first: PartObject,
    firstChunks: Generator<Buffer>,
    parts: AsyncGenerator<readonly [PartObject, Buffer]>,
  ): AsyncGenerator<Uint8Array> {
    yield* this.#checked(first, firstChunks);
    for await (const [part, payload] of parts) yield* this.#checked(part, readChunks(payload, part.path));
  }

  *#checked(part: PartObject, chunks: Generator<Buffer>): Generator<Buffer> {
    for (;;) {
      const next = this.#attempt(part, () => chunks.next());
      if (next.done === true) return;
      yield next.value;
    }
  }

  async *#parts(): AsyncGenerator<readonly [PartObject, Buffer]> {
    for await (const [part, checked] of prefetch(
      this.#item.parts,
      FETCHED_AHEAD,
      async object => [object, await this.#options.fetch(object)] as const,
    )) {
      if (checked === undefined) throw new PartUnsound(part.path);
      let payload: Buffer;
      try {
        ({ payload } = await openContent(checked.bytes, checked.head, this.#options.opening, part.path));
        releaseSource(checked.bytes, payload);
      } catch (error) {
        throw this.#unsound(part, problemOf(error));
      }
      this.sums.set(part, checked.head.sha256);
      yield [part, payload];
    }
  }

  #compareHead(part: PartObject, header: SnapshotHeader): void {
    const { image } = this.#item;
    if (header.stream !== this.#options.stream)
      throw this.#unsound(part, `it is of the stream ${header.stream}, and the archive of ${this.#options.stream}`);
    const isSame =
      samePosition(header.position, image.position) &&
      header.digest === image.digest &&
      header.chain === image.chain &&
      header.time === image.time;
    if (!isSame) throw this.#unsound(part, 'its position, digest, chain or time is not what the manifest says');
  }

  #attempt<T>(part: PartObject, read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw this.#unsound(part, problemOf(error));
    }
  }

  #unsound({ path, image }: PartObject, problem: string): PartUnsound {
    this.#options.list.add({ level: 2, object: path, line: this.#options.line, revision: image.position.revision, problem });
    return new PartUnsound(path);
  }
}

function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
