import type { Disk, ExactPosition, SnapshotHeader, StoredSnapshot } from '@evertree/core';
import {
  inspectSnapshot,
  isMissing,
  readSnapshotHeader,
  SNAPSHOT_DIRECTORY,
  SnapshotFileWriter,
  snapshotPath,
  storedSnapshot,
  TEMPORARY_SUFFIX,
  type WrittenChunks,
  writtenChunks,
} from '@evertree/journal/files';

/** The snapshot that an image becomes. Until it is whole it has a temporary name. */
export class RestoredImage {
  readonly #disk: Disk;
  readonly #path: string;
  #writer: SnapshotFileWriter | undefined;

  constructor(disk: Disk, position: ExactPosition) {
    this.#disk = disk;
    this.#path = snapshotPath(position);
  }

  /** That which an earlier attempt wrote whole. */
  async whole(): Promise<StoredSnapshot | undefined> {
    try {
      const file = await inspectSnapshot(this.#disk, this.#path);
      return 'header' in file ? await storedSnapshot(this.#disk, file) : undefined;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /**
   * Goes on after what an earlier attempt wrote.
   * @returns the header and the chunks that are in the file; undefined if it is not there as it was. Reading the chunks
   *   throws DAMAGED if they are not what was written.
   */
  async resume(written: WrittenChunks): Promise<Pick<StoredSnapshot, 'header' | 'chunks'> | undefined> {
    const path = this.#path + TEMPORARY_SUFFIX;
    try {
      const header = await readSnapshotHeader(this.#disk, path);
      if (header === undefined) return undefined;
      this.#writer = await SnapshotFileWriter.resume(this.#disk, path, written, () => this.#publish());
      return { header, chunks: () => writtenChunks(this.#disk, path, written.end) };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async begin(header: SnapshotHeader): Promise<void> {
    const temporaryPath = this.#path + TEMPORARY_SUFFIX;
    this.#writer = await SnapshotFileWriter.begin(this.#disk, { header, generation: 0, temporaryPath }, () => this.#publish());
  }

  async write(chunk: Uint8Array): Promise<void> {
    await this.#writer!.write(chunk);
  }

  /** What is in the file now. */
  get written(): WrittenChunks {
    return this.#writer!.written;
  }

  /** Makes the snapshot durable, under its name. */
  async commit(): Promise<void> {
    await this.#writer!.commit();
    this.#writer = undefined;
  }

  /** Closes the file. What is in it stays, for the next attempt. */
  async leave(): Promise<void> {
    await this.#writer?.leave();
    this.#writer = undefined;
  }

  async #publish(): Promise<void> {
    await this.#disk.rename(this.#path + TEMPORARY_SUFFIX, this.#path);
    await this.#disk.syncDirectory(SNAPSHOT_DIRECTORY);
  }
}
