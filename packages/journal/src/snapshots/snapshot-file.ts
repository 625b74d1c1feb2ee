import type { Disk, DiskFile, SnapshotHeader, SnapshotWriter, StoredSnapshot } from '@evertree/core';
import { EvertreeError, readBytes } from '@evertree/core';
import { damaged, isMissing, readFailed } from '../groups/failure.ts';
import type { SnapshotHead, SnapshotOutline } from './snapshot-format.ts';
import {
  CHUNK_LIMIT_BYTES,
  CHUNK_PREFIX_BYTES,
  chunkChecksum,
  decodeSnapshotEnd,
  decodeSnapshotHead,
  decodeSnapshotOutline,
  encodeChunkPrefix,
  encodeSnapshotEnd,
  encodeSnapshotHead,
  SNAPSHOT_END_BYTES,
  SNAPSHOT_PREFIX_BYTES,
  snapshotHeadLength,
} from './snapshot-format.ts';

/** A growing snapshot is synced after this many bytes, so that its last sync does not delay the groups for long. */
const SYNC_STEP_BYTES = 4 * 1024 * 1024;

/** A snapshot file whose head and end are sound. Whoever needs its marks reads them: there may be hundreds of files. */
export interface SnapshotFile {
  readonly path: string;
  readonly header: SnapshotOutline;
  readonly generation: number;
  readonly bytes: number;
}

/** A snapshot file that can't be used, and where it is damaged. */
export interface UnsoundSnapshot {
  readonly path: string;
  readonly offset: number;
  readonly problem: string;
}

/**
 * Checks the head and the end of a snapshot file. The chunks between them are checked where they are read.
 * @throws EvertreeError FORMAT_UNSUPPORTED
 */
export async function inspectSnapshot(disk: Disk, path: string): Promise<SnapshotFile | UnsoundSnapshot> {
  const file = await disk.open(path, {});
  try {
    const bytes = await file.size();
    const head = await readHead(file, path, decodeSnapshotOutline);
    if (head === undefined) return { path, offset: 0, problem: 'its header is damaged' };
    const end = bytes - SNAPSHOT_END_BYTES;
    if (end < head.length || decodeSnapshotEnd(await readBytes(file, end, SNAPSHOT_END_BYTES)) === undefined) {
      return { path, offset: Math.max(end, head.length), problem: 'its end is damaged' };
    }
    return { path, header: head.header, generation: head.generation, bytes };
  } finally {
    await file.close();
  }
}

/**
 * A snapshot for those who read it, with all of its header.
 * @throws EvertreeError COMPACTED if it is no longer kept; DAMAGED
 */
export async function storedSnapshot(disk: Disk, snapshot: SnapshotFile): Promise<StoredSnapshot> {
  const { path, bytes } = snapshot;
  try {
    const header = await readSnapshotHeader(disk, path);
    if (header === undefined) throw damaged(path, 0, 'its header is damaged');
    return { header, bytes, chunks: () => chunksOf(disk, snapshot) };
  } catch (error) {
    throw isMissing(error) ? notKept(path) : readFailed(error);
  }
}

async function* chunksOf(disk: Disk, snapshot: SnapshotFile): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* readChunks(disk, snapshot);
  } catch (error) {
    throw readFailed(error);
  }
}

async function* readChunks(disk: Disk, snapshot: SnapshotFile): AsyncGenerator<Uint8Array, void, undefined> {
  const file = await openSnapshot(disk, snapshot);
  try {
    let offset = (await readHead(file, snapshot.path, decodeSnapshotOutline))?.length;
    if (offset === undefined) throw damaged(snapshot.path, 0, 'its header is damaged');
    let chunks = 0;
    let bytes = 0;
    for (;;) {
      const chunk = await readChunk(file, snapshot.path, offset, snapshot.bytes);
      if (chunk === undefined) break;
      yield chunk;
      offset += CHUNK_PREFIX_BYTES + chunk.length;
      chunks++;
      bytes += chunk.length;
    }
    const end = decodeSnapshotEnd(await readBytes(file, offset, SNAPSHOT_END_BYTES));
    if (end === undefined || end.chunks !== chunks || end.bytes !== bytes) {
      throw damaged(snapshot.path, offset, 'its end does not fit its chunks');
    }
  } finally {
    await file.close();
  }
}

/** The header of a snapshot, also of one whose file is still being written; undefined if it is not sound. */
export async function readSnapshotHeader(disk: Disk, path: string): Promise<SnapshotHeader | undefined> {
  const file = await disk.open(path, {});
  try {
    return (await readHead(file, path, decodeSnapshotHead))?.header;
  } finally {
    await file.close();
  }
}

/**
 * The chunks of a snapshot whose file is still being written, up to an offset that its writer named.
 * @throws EvertreeError DAMAGED if they are not what was written
 */
export async function* writtenChunks(disk: Disk, path: string, end: number): AsyncGenerator<Uint8Array, void, undefined> {
  const file = await disk.open(path, {});
  try {
    let offset = (await readHead(file, path, decodeSnapshotOutline))?.length;
    if (offset === undefined) throw damaged(path, 0, 'its header is damaged');
    while (offset < end) {
      const chunk = await readChunk(file, path, offset, end);
      if (chunk === undefined) throw damaged(path, offset, 'no chunk begins there');
      yield chunk;
      offset += CHUNK_PREFIX_BYTES + chunk.length;
    }
  } finally {
    await file.close();
  }
}

/** The chunk at an offset; undefined at the end of the chunks. */
async function readChunk(file: DiskFile, path: string, offset: number, limit: number): Promise<Buffer | undefined> {
  const prefix = await readBytes(file, offset, CHUNK_PREFIX_BYTES);
  const length = prefix.length < CHUNK_PREFIX_BYTES ? Infinity : prefix.readUInt32LE(0);
  if (length === 0) return undefined;
  if (length > CHUNK_LIMIT_BYTES || offset + CHUNK_PREFIX_BYTES + length > limit) throw damaged(path, offset, 'no chunk begins there');
  const chunk = await readBytes(file, offset + CHUNK_PREFIX_BYTES, length);
  if (prefix.readUInt32LE(4) !== chunkChecksum(prefix, chunk)) throw damaged(path, offset, "a chunk's checksum is wrong");
  return chunk;
}

async function openSnapshot(disk: Disk, snapshot: SnapshotFile): Promise<DiskFile> {
  try {
    return await disk.open(snapshot.path, {});
  } catch (error) {
    throw isMissing(error) ? notKept(snapshot.path) : error;
  }
}

function notKept(file: string): EvertreeError {
  return new EvertreeError('COMPACTED', `${file} is no longer kept; ask for the newest snapshot again`, { file });
}

async function readHead<Header extends SnapshotOutline>(
  file: DiskFile,
  path: string,
  decode: (bytes: Buffer) => SnapshotHead<Header> | undefined,
): Promise<SnapshotHead<Header> | undefined> {
  const length = snapshotHeadLength(await readBytes(file, 0, SNAPSHOT_PREFIX_BYTES), path);
  if (length === undefined) return undefined;
  const bytes = await readBytes(file, 0, length);
  return bytes.length < length ? undefined : decode(bytes);
}

/** How much of a snapshot's chunks is in its file. */
export interface WrittenChunks {
  /** The offset after the last of them. */
  readonly end: number;
  readonly chunks: number;
  /** Without their prefixes. */
  readonly bytes: number;
}

/** Gives the file, which is whole and durable, its name. `moved` is that of `SnapshotWriter.commit`. */
type Publish = (bytes: number, moved: (() => void) | undefined) => Promise<void>;

/** Writes a snapshot under a temporary name. */
export class SnapshotFileWriter implements SnapshotWriter {
  readonly #disk: Disk;
  readonly #file: DiskFile;
  readonly #temporaryPath: string;
  readonly #publish: Publish;
  #offset: number;
  #synced = 0;
  #chunks = 0;
  #bytes = 0;
  #ended = false;

  private constructor(disk: Disk, file: DiskFile, path: string, offset: number, publish: Publish) {
    this.#disk = disk;
    this.#file = file;
    this.#temporaryPath = path;
    this.#offset = offset;
    this.#publish = publish;
  }

  static async begin(
    disk: Disk,
    head: { readonly header: SnapshotHeader; readonly generation: number; readonly temporaryPath: string },
    publish: Publish,
  ): Promise<SnapshotFileWriter> {
    const file = await disk.open(head.temporaryPath, { create: true, write: true });
    const bytes = encodeSnapshotHead(head.header, head.generation);
    const writer = new SnapshotFileWriter(disk, file, head.temporaryPath, bytes.length, publish);
    try {
      await file.truncate(0);
      await file.write([bytes], 0);
    } catch (error) {
      await writer.abort();
      throw error;
    }
    return writer;
  }

  /** Goes on with a file that another writer began, after the chunks that it named as `written`. */
  static async resume(
    disk: Disk,
    temporaryPath: string,
    { end, chunks, bytes }: WrittenChunks,
    publish: Publish,
  ): Promise<SnapshotFileWriter> {
    const file = await disk.open(temporaryPath, { write: true });
    const writer = new SnapshotFileWriter(disk, file, temporaryPath, end, publish);
    writer.#chunks = chunks;
    writer.#bytes = bytes;
    try {
      await file.truncate(end);
    } catch (error) {
      await file.close();
      throw error;
    }
    return writer;
  }

  /** What is in the file now. */
  get written(): WrittenChunks {
    return { end: this.#offset, chunks: this.#chunks, bytes: this.#bytes };
  }

  /** Closes the file, and leaves what is in it for `resume`. */
  async leave(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#file.close();
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#assertGoing();
    if (chunk.length === 0 || chunk.length > CHUNK_LIMIT_BYTES) {
      throw new EvertreeError('TOO_LARGE', `a chunk of a snapshot has 1 to ${CHUNK_LIMIT_BYTES} bytes, not ${chunk.length}`);
    }
    await this.#file.write([encodeChunkPrefix(chunk), chunk], this.#offset);
    this.#offset += CHUNK_PREFIX_BYTES + chunk.length;
    this.#chunks++;
    this.#bytes += chunk.length;
    if (this.#offset - this.#synced < SYNC_STEP_BYTES) return;
    this.#synced = this.#offset;
    await this.#file.sync();
  }

  async commit(moved?: () => void): Promise<void> {
    this.#assertGoing();
    try {
      await this.#file.write([encodeSnapshotEnd({ chunks: this.#chunks, bytes: this.#bytes })], this.#offset);
      this.#offset += SNAPSHOT_END_BYTES;
      await this.#file.sync();
      await this.#publish(this.#offset, moved);
    } catch (error) {
      await this.abort();
      throw error;
    }
    this.#ended = true;
    await this.#file.close();
  }

  async abort(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#file.close();
    try {
      await this.#disk.remove(this.#temporaryPath);
    } catch (error) {
      // It was published, or never created.
      if (!isMissing(error)) throw error;
    }
  }

  #assertGoing(): void {
    if (this.#ended) throw new EvertreeError('CLOSED', 'this snapshot was committed or aborted already');
  }
}
