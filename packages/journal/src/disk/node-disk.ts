import * as fs from 'node:fs';
import { platform } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Disk, DiskFile, OpenOptions } from '@evertree/core';
import { EvertreeError } from '@evertree/core';
import { lockDirectory } from './directory-lock.ts';
import { asError, errorCode } from '../groups/failure.ts';

// Bare descriptors: a FileHandle costs more per call and warns when it is collected.
const open = promisify(fs.open);
const close = promisify(fs.close);
const fsync = promisify(fs.fsync);
const ftruncate = promisify(fs.ftruncate);
const fstat = promisify(fs.fstat);

/** A directory of this machine. It is created if it is missing. */
export function nodeDisk(directory: string): Disk {
  return new NodeDisk(resolve(directory));
}

class NodeDisk implements Disk {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async open(path: string, options: OpenOptions): Promise<DiskFile> {
    const whole = this.#path(path);
    return new NodeFile(await open(whole, openFlags(options), 0o644), whole, needsSync(options));
  }

  openSync(path: string, options: OpenOptions): DiskFile {
    const whole = this.#path(path);
    return new NodeFile(fs.openSync(whole, openFlags(options), 0o644), whole, needsSync(options));
  }

  list(directory: string): Promise<string[]> {
    return fs.promises.readdir(this.#path(directory));
  }

  async makeDirectory(path: string): Promise<void> {
    await fs.promises.mkdir(this.#path(path), { recursive: true });
  }

  rename(from: string, to: string): Promise<void> {
    return fs.promises.rename(this.#path(from), this.#path(to));
  }

  renameSync(from: string, to: string): void {
    fs.renameSync(this.#path(from), this.#path(to));
  }

  remove(path: string): Promise<void> {
    return fs.promises.unlink(this.#path(path));
  }

  syncDirectory(path: string): Promise<void> {
    return syncPath(this.#path(path));
  }

  syncDirectorySync(path: string): void {
    const descriptor = fs.openSync(this.#path(path), fs.constants.O_RDONLY);
    try {
      fs.fsyncSync(descriptor);
    } finally {
      fs.closeSync(descriptor);
    }
  }

  /** Inode and time of birth: no copying tool preserves both. */
  async mark(): Promise<string> {
    const { ino, birthtimeNs } = await fs.promises.stat(this.#directory, { bigint: true });
    return `${ino}-${birthtimeNs}`;
  }

  async space(): Promise<{ readonly totalBytes: number; readonly freeBytes: number }> {
    const { bsize, blocks, bavail } = await fs.promises.statfs(this.#directory);
    return { totalBytes: bsize * blocks, freeBytes: bsize * bavail };
  }

  async lock(): Promise<AsyncDisposable> {
    try {
      await this.#make();
      await fs.promises.access(this.#directory, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK);
    } catch (error) {
      const problem = `the directory ${this.#directory} can't be used (${asError(error).message}); make it writable, or choose another`;
      throw new EvertreeError('STORAGE_FAILED', problem, { directory: this.#directory }, error);
    }
    return lockDirectory(this.#directory);
  }

  /** Creates the directory and its missing parents, durably. */
  async #make(): Promise<void> {
    for (const missing of missingDirectories(this.#directory)) {
      await makeOne(missing);
      await syncPath(dirname(missing));
    }
    const found = await fs.promises.stat(this.#directory);
    if (!found.isDirectory()) throw new Error('it is a file');
  }

  #path(path: string): string {
    return join(this.#directory, path);
  }
}

/**
 * The directories to create, outermost first. Node's recursive mkdir never returns on a file system that takes none,
 * such as /proc.
 */
function missingDirectories(directory: string): string[] {
  const missing: string[] = [];
  for (let path = directory; !fs.existsSync(path); path = dirname(path)) missing.unshift(path);
  return missing;
}

/** Creates one directory. Another process may create it at the same time. */
async function makeOne(directory: string): Promise<void> {
  try {
    await fs.promises.mkdir(directory);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
}

/** On other systems O_DSYNC is missing, or does not flush the drive's cache. There each write is followed by a sync. */
const HAS_DURABLE_WRITES = ['linux', 'freebsd'].includes(platform()) && fs.constants.O_DSYNC !== undefined;

function openFlags(options: OpenOptions): number {
  const { O_CREAT, O_DSYNC, O_RDONLY, O_RDWR } = fs.constants;
  const durable = options.durableWrites === true && HAS_DURABLE_WRITES ? O_DSYNC : 0;
  return (options.write === true ? O_RDWR : O_RDONLY) | (options.create === true ? O_CREAT : 0) | durable;
}

function needsSync(options: OpenOptions): boolean {
  return options.durableWrites === true && !HAS_DURABLE_WRITES;
}

async function syncPath(path: string): Promise<void> {
  const descriptor = await open(path, fs.constants.O_RDONLY);
  try {
    await fsync(descriptor);
  } finally {
    await close(descriptor);
  }
}

class NodeFile implements DiskFile {
  readonly #descriptor: number;
  readonly #path: string;
  readonly #syncsWrites: boolean;

  constructor(descriptor: number, path: string, syncsWrites: boolean) {
    this.#descriptor = descriptor;
    this.#path = path;
    this.#syncsWrites = syncsWrites;
  }

  async size(): Promise<number> {
    return (await fstat(this.#descriptor)).size;
  }

  read(buffer: Uint8Array, offset: number): Promise<number> {
    const { promise, resolve: done, reject } = Promise.withResolvers<number>();
    fs.read(this.#descriptor, buffer, 0, buffer.length, offset, (error, length) =>
      error === null ? done(length) : reject(this.#placed(error)),
    );
    return promise;
  }

  async write(buffers: readonly Uint8Array[], offset: number): Promise<void> {
    await this.#writeAll(buffers, offset);
    if (this.#syncsWrites) await this.sync();
  }

  writeSync(buffers: readonly Uint8Array[], offset: number): void {
    let at = offset;
    for (let rest = buffers; rest.length > 0;) {
      const written = fs.writevSync(this.#descriptor, rest, at);
      rest = unwritten(rest, written);
      at += written;
    }
    if (this.#syncsWrites) this.syncSync();
  }

  sync(): Promise<void> {
    const { promise, resolve: done, reject } = Promise.withResolvers<void>();
    fs.fdatasync(this.#descriptor, error => (error === null ? done() : reject(this.#placed(error))));
    return promise;
  }

  syncSync(): void {
    fs.fdatasyncSync(this.#descriptor);
  }

  async truncate(length: number): Promise<void> {
    try {
      await ftruncate(this.#descriptor, length);
    } catch (error) {
      throw this.#placed(error);
    }
  }

  close(): Promise<void> {
    return close(this.#descriptor);
  }

  #writeAll(buffers: readonly Uint8Array[], offset: number): Promise<void> {
    const { promise, resolve: done, reject } = Promise.withResolvers<void>();
    const writeRest = (rest: readonly Uint8Array[], at: number) => {
      fs.writev(this.#descriptor, rest, at, (error, written) => {
        if (error !== null) return reject(this.#placed(error));
        const left = unwritten(rest, written);
        if (left.length === 0) done();
        else writeRest(left, at + written);
      });
    };
    writeRest(buffers, offset);
    return promise;
  }

  /** The system names the file in errors of a name only, not of a descriptor. */
  #placed(error: unknown): unknown {
    return error instanceof Error && !('path' in error) ? Object.assign(error, { path: this.#path }) : error;
  }
}

/** The buffers that remain after a write of `written` bytes. A full disk or a signal may cut a write short. */
function unwritten(buffers: readonly Uint8Array[], written: number): readonly Uint8Array[] {
  let left = written;
  for (const [index, buffer] of buffers.entries()) {
    if (left < buffer.length) return [buffer.subarray(left), ...buffers.slice(index + 1)];
    left -= buffer.length;
  }
  return [];
}
