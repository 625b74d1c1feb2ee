import { readBytes, type Disk, type DiskFile } from '@evertree/core';
import { FileWindow } from '@evertree/journal/files';
import type { CachePart } from './block-cache.ts';
import { RunBlock } from './run-block.ts';
import type { BlockPlace, RunDescription } from './run-format.ts';
import {
  checkPlace,
  checkRunHead,
  decodeBlock,
  decodeDescription,
  decodeRunEnd,
  RUN_END_BYTES,
  RUN_HEAD_BYTES,
  UnsoundRun,
} from './run-format.ts';

/** Nothing is kept of what is read once. */
const NO_CACHE: CachePart = { get: () => undefined, put: () => undefined, clear: () => undefined };

export interface RunFileOptions {
  /** Keeps blocks; by default none is kept. */
  readonly cache?: CachePart;
  /** Blocks will be read one behind the other: each read of the file takes those behind it, too. */
  readonly ahead?: boolean;
}

/** A run that is open for reading. It stays readable when its file is removed. */
export class RunFile {
  readonly path: string;
  readonly description: RunDescription;
  /** Of the file. */
  readonly bytes: number;
  readonly #file: DiskFile;
  readonly #cache: CachePart;
  /** What was read ahead. */
  readonly #window: FileWindow | undefined;
  /** Questions that read it now. */
  #users = 0;
  #isRetired = false;

  private constructor(path: string, description: RunDescription, bytes: number, file: DiskFile, options: RunFileOptions) {
    this.path = path;
    this.description = description;
    this.bytes = bytes;
    this.#file = file;
    this.#cache = options.cache ?? NO_CACHE;
    this.#window = options.ahead === true ? new FileWindow(file) : undefined;
  }

  /**
   * Opens a run, and checks its ends. Its blocks are checked when they are read.
   * @throws UnsoundRun
   */
  static async open(disk: Pick<Disk, 'open'>, path: string, options: RunFileOptions = {}): Promise<RunFile> {
    const file = await disk.open(path, {});
    try {
      const bytes = await file.size();
      if (bytes < RUN_HEAD_BYTES + RUN_END_BYTES) throw new UnsoundRun(path, 'it is too short');
      checkRunHead(path, await readBytes(file, 0, RUN_HEAD_BYTES));
      const end = decodeRunEnd(path, await readBytes(file, bytes - RUN_END_BYTES, RUN_END_BYTES), bytes);
      const description = decodeDescription(path, await readBytes(file, end.offset, end.bytes), end.checksum);
      return new RunFile(path, description, bytes, file, options);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** It is closed, or will be when the questions that read it have ended. */
  get isRetired(): boolean {
    return this.#isRetired;
  }

  get after(): number {
    return this.description.base.revision;
  }

  get upTo(): number {
    return this.description.last.revision;
  }

  /** The block at a place, if it is in memory. */
  cached(place: BlockPlace): RunBlock | undefined {
    return this.#cache.get(place.offset);
  }

  /** @throws UnsoundRun */
  async load(place: BlockPlace): Promise<RunBlock> {
    checkPlace(this.path, place);
    const { offset, bytes: length } = place;
    const bytes = await (this.#window?.load(offset, length, this.bytes) ?? readBytes(this.#file, offset, length));
    const block = new RunBlock(this.path, decodeBlock(this.path, place, bytes));
    this.#cache.put(place.offset, block);
    return block;
  }

  /** The file stays open at least until the disposal. */
  use(): Disposable {
    this.#users++;
    return {
      [Symbol.dispose]: () => {
        this.#users--;
        if (this.#isRetired && this.#users === 0) void this.#close();
      },
    };
  }

  /** Closes the file as soon as no question reads it any more. */
  async retire(): Promise<void> {
    if (this.#isRetired) return;
    this.#isRetired = true;
    if (this.#users === 0) await this.#close();
  }

  /** Nothing is lost if the closing of a file fails that was only read. It never rejects. */
  async #close(): Promise<void> {
    this.#cache.clear();
    await this.#file.close().catch(() => undefined);
  }
}
