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
  /** The same, before it returns: a commit in a synchronous loop may need a new segment. */
  openSync(path: string, options: OpenOptions): DiskFile;
  list(directory: string): Promise<string[]>;
  makeDirectory(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  renameSync(from: string, to: string): void;
  remove(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  syncDirectorySync(path: string): void;
  /**
   * Names this very directory for as long as it exists: a copy of it, made by whatever tool, has another mark. What was
   * copied file by file while it was written to may lack what lies in between; only the mark tells that from damage.
   */
  mark(): Promise<string>;
  /** Bytes on the whole device, and free for us. */
  space(): Promise<{ readonly totalBytes: number; readonly freeBytes: number }>;
  /**
   * Takes the directory for this process alone. Freed by disposal or by the holder's death, and not lost in a stall.
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
