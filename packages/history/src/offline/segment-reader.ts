import type { Disk, DiskFile } from '@evertree/core';
import type { FoundSeal, SegmentHeader, SegmentRest, StoredRecord } from '@evertree/journal/files';
import { decodeSegmentHeader, FileWindow, inspectRest, readRecord, readSeal, SEGMENT_HEADER_BYTES } from '@evertree/journal/files';

/** A segment's file as it was when it was listed. */
export interface ListedSegment {
  readonly path: string;
  /** Size of the file. */
  readonly bytes: number;
  readonly header: SegmentHeader;
}

/** @returns undefined if the file has no sound header. @throws EvertreeError FORMAT_UNSUPPORTED; ENOENT */
export async function listSegment(disk: Disk, path: string): Promise<ListedSegment | undefined> {
  const file = await disk.open(path, {});
  try {
    const bytes = await file.size();
    const header = decodeSegmentHeader(await new FileWindow(file).load(0, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES), path);
    return header === undefined ? undefined : { path, bytes, header };
  } finally {
    await file.close();
  }
}

export interface SegmentReaderOptions {
  /** Each record is valid only until the next one is read: see `FileWindow`. */
  readonly fleeting?: boolean;
}

/** Reads the records of one segment from its first to its last sound one. */
export class SegmentReader implements AsyncDisposable {
  readonly segment: ListedSegment;
  /** The seal at the end of the file, if it has a sound one. */
  readonly seal: FoundSeal | undefined;
  readonly #file: DiskFile;
  #window: FileWindow;
  /** The offset after the last record that was read. */
  #offset = SEGMENT_HEADER_BYTES;

  readonly #options: SegmentReaderOptions;

  private constructor(segment: ListedSegment, file: DiskFile, options: SegmentReaderOptions, seal: FoundSeal | undefined) {
    this.segment = segment;
    this.#file = file;
    this.#options = options;
    this.#window = new FileWindow(file, options);
    this.seal = seal;
  }

  /** @throws ENOENT */
  static async open(disk: Disk, segment: ListedSegment, options: SegmentReaderOptions = {}): Promise<SegmentReader> {
    const file = await disk.open(segment.path, {});
    try {
      const seal = await readSeal(new FileWindow(file), segment.bytes, segment.header.salt);
      return new SegmentReader(segment, file, options, seal);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get offset(): number {
    return this.#offset;
  }

  /**
   * The next record; undefined where there is no sound one.
   * @throws EvertreeError FORMAT_UNSUPPORTED
   */
  async next(): Promise<StoredRecord | undefined> {
    const { bytes, header } = this.segment;
    const limit = this.seal?.offset ?? bytes;
    const record = await readRecord(this.#window, this.#offset, limit, header.salt);
    if (record !== undefined) this.#offset = record.next;
    return record;
  }

  /** Reads the next record from the file again: a site may have written it since. */
  async again(): Promise<StoredRecord | undefined> {
    this.#window = new FileWindow(this.#file, this.#options);
    return this.next();
  }

  /** What lies behind the last record that was read. */
  rest(): Promise<SegmentRest> {
    return inspectRest(this.#window, this.#offset, this.segment.bytes, this.segment.header.salt);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close();
  }
}
