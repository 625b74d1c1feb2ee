import type { Clock, Disk, DiskFile, OpenOptions } from '@evertree/core';
import type { FaultDisk } from '../support/fault-disk.ts';

const DEVICE_BYTES = 1024 ** 4;

/** The process that uses a disk. */
interface DiskUser {
  readonly isAlive: boolean;
  readonly isStalled: boolean;
  readonly clock: Clock;
  /** Calls `task` now, when it goes on after a stall, or never. */
  run(task: () => void): void;
  /** How long it takes until it hears of what the disk did, drawn anew. */
  drawEchoMs(): number;
}

/** A machine's disk as one process sees it: writes and syncs take virtual time, and once it is dead no call returns. */
export class SimulatedDisk implements Disk {
  readonly #disk: FaultDisk;
  readonly #process: DiskUser;

  constructor(disk: FaultDisk, process: DiskUser) {
    this.#disk = disk;
    this.#process = process;
  }

  async open(path: string, options: OpenOptions): Promise<DiskFile> {
    return this.#wrap(await this.#read(() => this.#disk.open(path, options)));
  }

  openSync(path: string, options: OpenOptions): DiskFile {
    return this.#wrap(this.#disk.openSync(path, options));
  }

  list(directory: string): Promise<string[]> {
    return this.#read(() => this.#disk.list(directory));
  }

  makeDirectory(path: string): Promise<void> {
    return this.#write(() => this.#disk.makeDirectory(path));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#write(() => this.#disk.rename(from, to));
  }

  renameSync(from: string, to: string): void {
    this.#disk.renameSync(from, to);
  }

  remove(path: string): Promise<void> {
    return this.#write(() => this.#disk.remove(path));
  }

  syncDirectory(path: string): Promise<void> {
    return this.#write(() => this.#disk.syncDirectory(path));
  }

  syncDirectorySync(path: string): void {
    this.#disk.syncDirectorySync(path);
  }

  mark(): Promise<string> {
    return this.#disk.mark();
  }

  /** The device is large, whatever room a fault leaves on it: limits that follow from its size are those of a real one. */
  async space(): Promise<{ readonly totalBytes: number; readonly freeBytes: number }> {
    const { freeBytes } = await this.#disk.space();
    return { totalBytes: DEVICE_BYTES, freeBytes };
  }

  lock(): Promise<AsyncDisposable> {
    return this.#disk.lock();
  }

  #wrap(file: DiskFile): DiskFile {
    return {
      size: () => this.#read(() => file.size()),
      read: (buffer, offset) => this.#read(() => file.read(buffer, offset)),
      write: (buffers, offset) => this.#write(() => file.write(buffers, offset)),
      writeSync: (buffers, offset) => file.writeSync(buffers, offset),
      sync: () => this.#write(() => file.sync()),
      syncSync: () => file.syncSync(),
      truncate: length => this.#write(() => file.truncate(length)),
      close: () => this.#read(() => file.close()),
    };
  }

  /** The disk may have done it for a while when the process hears of it: one that dies between does not know. */
  async #write<T>(run: () => Promise<T>): Promise<T> {
    const result = await this.#read(run);
    const echoMs = this.#process.drawEchoMs();
    if (echoMs > 0) await new Promise<void>(resolve => this.#process.clock.after(echoMs, resolve));
    return result;
  }

  async #read<T>(run: () => Promise<T>): Promise<T> {
    const process = this.#process;
    if (!process.isAlive) return never();
    try {
      const result = await run();
      if (process.isStalled) await new Promise<void>(resolve => process.run(resolve));
      return process.isAlive ? result : await never();
    } catch (error) {
      if (process.isStalled) await new Promise<void>(resolve => process.run(resolve));
      if (!process.isAlive) return never();
      throw error;
    }
  }
}

function never<T>(): Promise<T> {
  return new Promise(() => undefined);
}
