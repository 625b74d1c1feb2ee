/**
 * A directory on stable storage, as the journal uses it. Paths are relative to it, with `/`.
 *
 * Errors are Node's (`code`: ENOENT, ENOSPC, EIO, EROFS, EACCES …). A write may tear: after a power loss any subset of
 * the blocks not yet covered by a completed sync may be there, in any order. Names (create, rename, remove) are durable
 * only after `syncDirectory`.
 */
export interface Disk {
  /** Opens or creates a file. `durableWrites`: each completed write is on stable storage (O_DSYNC). */
  open(path: string, options: OpenOptions): Promise<DiskFile>;
  /** Opens it before it returns: a commit in a synchronous loop may need a new segment. */
  openSync(path: string, options: OpenOptions): DiskFile;
  list(directory: string): Promise<string[]>;
  makeDirectory(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  renameSync(from: string, to: string): void;
  remove(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  syncDirectorySync(path: string): void;
  /**
   * Names this directory as long as it exists. A copy has another mark, whatever tool made it. A copy that was made
   * while the original was written to may lack bytes; only the mark tells that from damage.
   */
  mark(): Promise<string>;
  /** Bytes of the device, and bytes that are free for this process. */
  space(): Promise<{ readonly totalBytes: number; readonly freeBytes: number }>;
  /**
   * Locks the directory for this process. Disposal or the death of the process frees it; a stall does not.
   * @throws EvertreeError DIRECTORY_IN_USE
   */
  lock(): Promise<AsyncDisposable>;
}

export interface OpenOptions {
  readonly create?: boolean;
  readonly write?: boolean;
  readonly durableWrites?: boolean;
}

export interface DiskFile {
  size(): Promise<number>;
  /** Reads up to `buffer.length` bytes at `offset`; fewer at the end of the file. */
  read(buffer: Uint8Array, offset: number): Promise<number>;
  /** Writes all buffers, one after the other, at `offset`. */
  write(buffers: readonly Uint8Array[], offset: number): Promise<void>;
  writeSync(buffers: readonly Uint8Array[], offset: number): void;
  /** Flushes written data and what is needed to read it again (fdatasync). */
  sync(): Promise<void>;
  syncSync(): void;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

/** The bytes at `offset`; fewer at the end of the file. */
export function readBytes(file: DiskFile, offset: number, length: number): Promise<Buffer> {
  return fillBuffer(file, Buffer.allocUnsafeSlow(length), offset);
}

/** Reads at `offset` until the buffer is full, or the file ends. @returns the part of the buffer that was filled */
export async function fillBuffer(file: DiskFile, buffer: Buffer, offset: number): Promise<Buffer> {
  let filled = 0;
  while (filled < buffer.length) {
    const read = await file.read(buffer.subarray(filled), offset + filled);
    if (read === 0) break;
    filled += read;
  }
  return buffer.subarray(0, filled);
}
