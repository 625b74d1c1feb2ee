import { crc32 } from 'node:zlib';
import type { Disk, DiskFile, Frame } from '@evertree/core';
import { FileWindow, readRecord, SEGMENT_DIRECTORY } from '@evertree/journal/files';

/** Segments that are open at once. */
const OPEN_LIMIT = 16;
/** Bytes of a record's header and of a frame's, before the body. */
export const BODY_OFFSET = 40 + 128;

interface OpenSegment {
  readonly file: Promise<DiskFile>;
  users: number;
  /** Nobody is to read it any more. */
  isClosed: boolean;
}

/** The segments that questions read, the ones that were used last kept open. */
export class SegmentFiles {
  readonly #disk: Pick<Disk, 'open'>;
  /** By name; the one that was used last comes last. */
  readonly #open = new Map<string, OpenSegment>();
  #limit = OPEN_LIMIT;

  constructor(disk: Pick<Disk, 'open'>) {
    this.#disk = disk;
  }

  /** Bytes of a segment, if they have that checksum; undefined if not. */
  async chunk(name: string, offset: number, length: number, checksum: number): Promise<Buffer | undefined> {
    return this.#use(name, async file => {
      const bytes = await new FileWindow(file).load(offset, length, offset + length);
      return bytes.length === length && crc32(bytes) === checksum ? bytes : undefined;
    });
  }

  /** The frame of a record; undefined if there is no sound one. */
  async frame(segment: { readonly name: string; readonly salt: number }, offset: number, length: number): Promise<Frame | undefined> {
    return this.#use(segment.name, async file => {
      const record = await readRecord(new FileWindow(file), offset, offset + length, segment.salt);
      return record?.next === offset + length ? record.frame : undefined;
    });
  }

  /** Keeps none open any more but for those who read it now: their files may be gone, or others, from now on. */
  async release(): Promise<void> {
    while (this.#open.size > 0) await this.#forgetOldest();
  }

  /** A question that is under way gets what it reads, but nothing stays open behind it. */
  async close(): Promise<void> {
    this.#limit = 0;
    await this.release();
  }

  async #use<T>(name: string, read: (file: DiskFile) => Promise<T>): Promise<T> {
    const segment = this.#open.get(name) ?? { file: this.#disk.open(`${SEGMENT_DIRECTORY}/${name}`, {}), users: 0, isClosed: false };
    this.#open.delete(name);
    this.#open.set(name, segment);
    segment.users++;
    try {
      return await read(await segment.file);
    } catch (error) {
      if (this.#open.get(name) === segment) this.#open.delete(name);
      segment.isClosed = true;
      throw error;
    } finally {
      segment.users--;
      if (segment.isClosed && segment.users === 0) await close(segment);
      while (this.#open.size > this.#limit) await this.#forgetOldest();
    }
  }

  /** Takes it out before it waits: other questions do the same meanwhile. */
  async #forgetOldest(): Promise<void> {
    const [oldest] = this.#open;
    if (oldest === undefined) return;
    const [name, segment] = oldest;
    this.#open.delete(name);
    segment.isClosed = true;
    if (segment.users === 0) await close(segment);
  }
}

/**
 * A file that could not be opened told so to those who wanted to read it, and nothing is lost if the closing of one fails
 * that was only read. It never rejects.
 */
async function close(segment: OpenSegment): Promise<void> {
  await segment.file.then(file => file.close()).catch(() => undefined);
}
