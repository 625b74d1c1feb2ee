import type { Disk, DiskFile, OpenOptions } from '@evertree/core';
import type { FaultDisk } from './fault-disk.ts';

/** A disk as one process sees it, whose calls take virtual time. What they take, and when none returns, the subclass says. */
export abstract class DelayedDisk implements Disk {
  protected readonly disk: FaultDisk;

  constructor(disk: FaultDisk) {
    this.disk = disk;
  }

  /** A call that changes nothing. */
  protected abstract read<T>(run: () => Promise<T>): Promise<T>;

  /** A write, a sync, or a change of a directory. */
  protected abstract write<T>(run: () => Promise<T>): Promise<T>;

  /** A call that returns when it is done, and lets the process do nothing else meanwhile. */
  protected hold(run: () => void): void {
    run();
  }

  async open(path: string, options: OpenOptions): Promise<DiskFile> {
    return this.#wrap(await this.read(() => this.disk.open(path, options)));
  }

  openSync(path: string, options: OpenOptions): DiskFile {
    return this.#wrap(this.disk.openSync(path, options));
  }

  list(directory: string): Promise<string[]> {
    return this.read(() => this.disk.list(directory));
  }

  makeDirectory(path: string): Promise<void> {
    return this.write(() => this.disk.makeDirectory(path));
  }

  rename(from: string, to: string): Promise<void> {
    return this.write(() => this.disk.rename(from, to));
  }

  renameSync(from: string, to: string): void {
    this.hold(() => this.disk.renameSync(from, to));
  }

  remove(path: string): Promise<void> {
    return this.write(() => this.disk.remove(path));
  }

  syncDirectory(path: string): Promise<void> {
    return this.write(() => this.disk.syncDirectory(path));
  }

  syncDirectorySync(path: string): void {
    this.hold(() => this.disk.syncDirectorySync(path));
  }

  mark(): Promise<string> {
    return this.disk.mark();
  }

  space(): Promise<{ readonly totalBytes: number; readonly freeBytes: number }> {
    return this.disk.space();
  }

  lock(): Promise<AsyncDisposable> {
    return this.disk.lock();
  }

  #wrap(file: DiskFile): DiskFile {
    return {
      size: () => this.read(() => file.size()),
      read: (buffer, offset) => this.read(() => file.read(buffer, offset)),
      write: (buffers, offset) => this.write(() => file.write(buffers, offset)),
      writeSync: (buffers, offset) => this.hold(() => file.writeSync(buffers, offset)),
      sync: () => this.write(() => file.sync()),
      syncSync: () => this.hold(() => file.syncSync()),
      truncate: length => this.write(() => file.truncate(length)),
      close: () => this.read(() => file.close()),
    };
  }
}

/** What a call of a dead process comes to. */
export function never<T>(): Promise<T> {
  return new Promise(() => undefined);
}
