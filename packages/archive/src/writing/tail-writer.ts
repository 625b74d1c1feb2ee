import type { ExactPosition, Frame } from '@evertree/core';
import type { StretchEntry, TailNote } from '../format/manifest.ts';
import { tailKey, tailPath } from '../format/object-keys.ts';
import type { SealedObject } from '../format/sealed-object.ts';
import type { FramesHeader } from '../format/object-header.ts';
import { type ArchivedEnd, FrameBatch } from './frame-batch.ts';
import type { ImageOwner } from './image-writer.ts';
import { type ObjectWriter, stretchOf } from './object-writer.ts';

/** An object that is ready to be written. */
interface SealedTailObject {
  readonly key: string;
  readonly sealed: SealedObject;
  readonly header: FramesHeader;
  readonly marked: readonly number[];
}

/** Writes frames as they come, one object after the other: none before the one before it is in the target. */
export class TailWriter {
  readonly #writer: ObjectWriter;
  readonly #owner: ImageOwner;
  readonly #path: string;
  readonly #archived: (object: StretchEntry) => void;
  /** The number of the next object. */
  #next = 1;
  /** The sum of the object before it. */
  #after: string | null = null;
  #end: ArchivedEnd;
  /** What the manifest says of the tail. */
  #note: TailNote;
  /** What it has from the manifest's `from` on. */
  #objects: readonly StretchEntry[] = [];

  /** @param archived is told each object when it is in the target */
  constructor(
    writer: ObjectWriter,
    owner: ImageOwner,
    begin: { readonly site: string; readonly end: ArchivedEnd; readonly archived: (object: StretchEntry) => void },
  ) {
    const { position, chain } = begin.end;
    this.#writer = writer;
    this.#owner = owner;
    this.#path = tailPath(position.epoch, position.epochId, begin.site, owner.run);
    this.#end = begin.end;
    this.#archived = begin.archived;
    this.#note = { path: this.#path, from: 1, base: position, previous: chain };
  }

  get note(): TailNote {
    return this.#note;
  }

  /** Everything up to here is in the target. */
  get end(): ArchivedEnd {
    return this.#end;
  }

  get objects(): readonly StretchEntry[] {
    return this.#objects;
  }

  get plainBytes(): number {
    return this.#objects.reduce((sum, { plainBytes }) => sum + plainBytes, 0);
  }

  /**
   * Writes the frames behind its end. While an object is on its way the next one is made.
   * @param upTo what is later waits for the next call
   * @throws LineLost; EvertreeError DAMAGED; what reading the frames and writing to the target throws
   */
  async write(frames: AsyncIterable<Frame>, upTo: ExactPosition): Promise<void> {
    let batch = new FrameBatch(this.#end);
    let sending: Promise<void> | undefined;
    for await (const frame of frames) {
      if (!batch.fits(frame)) {
        const made = await this.#make(batch);
        await sending;
        sending = this.#send(made, batch.end);
        batch = new FrameBatch(batch.end);
      }
      batch.add(frame);
      if (frame.header.last.revision >= upTo.revision) break;
    }
    const made = batch.isEmpty ? undefined : await this.#make(batch);
    await sending;
    if (made !== undefined) await this.#send(made, batch.end);
  }

  /** What follows the first `count` objects: the tail's note once those are stretches. */
  noteBehind(count: number): TailNote {
    const last = this.#objects[count - 1]!;
    return { path: this.#path, from: this.#note.from + count, base: last.last, previous: last.chain };
  }

  /** The first `count` objects are stretches now, and the manifest has `noteBehind(count)`. */
  drop(count: number): void {
    this.#note = this.noteBehind(count);
    this.#objects = this.#objects.slice(count);
  }

  async #make(batch: FrameBatch): Promise<SealedTailObject> {
    const header = batch.header(this.#owner.archive, this.#owner.line, this.#after);
    const sealed = await this.#writer.seal({ kind: 'frames', header, parts: [batch.bytes] });
    batch.release();
    this.#after = sealed.sha256;
    return { key: tailKey(this.#path, this.#next++), sealed, header, marked: batch.marked };
  }

  #send(made: SealedTailObject, end: ArchivedEnd): Promise<void> {
    const sending = this.#create(made, end);
    // A failure is met when it is waited for.
    sending.catch(() => undefined);
    return sending;
  }

  async #create({ key, sealed, header, marked }: SealedTailObject, end: ArchivedEnd): Promise<void> {
    const object = stretchOf(await this.#writer.create(key, sealed, header.plainBytes), header, marked);
    this.#objects = [...this.#objects, object];
    this.#end = end;
    this.#writer.counts.commits += header.commits;
    this.#archived(object);
  }
}
