import type { Disk, DiskFile, OpenOptions } from '@evertree/core';
import type { FaultDisk } from './fault-disk.ts';
import type { Simulation } from './simulation.ts';

/** A disk whose writes and syncs take virtual time. After the process was killed no call returns. */
export class VirtualDisk implements Disk {
  readonly #disk: FaultDisk;
  readonly #simulation: Simulation;
  #dead = false;
  /** Milliseconds of virtual time that a write or a sync takes. */
  latencyMs = 1;

  constructor(disk: FaultDisk, simulation: Simulation) {
    this.#disk = disk;
    this.#simulation = simulation;
  }

  /** The process is killed, or the machine loses power. @returns what the next process finds */
  die(powerLoss: boolean): FaultDisk {
    this.#dead = true;
    return powerLoss ? this.#disk.powerLoss(() => this.#simulation.fraction()) : this.#disk.crash();
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

  space(): Promise<{ readonly totalBytes: number; readonly freeBytes: number }> {
    return this.#disk.space();
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

  async #write<T>(run: () => Promise<T>): Promise<T> {
    await new Promise<void>(resolve => this.#simulation.clock.after(this.latencyMs, resolve));
    return this.#read(run);
  }

  async #read<T>(run: () => Promise<T>): Promise<T> {
    if (this.#dead) return never();
    try {
      const result = await this.#simulation.hold(run());
      return this.#dead ? await never() : result;
    } catch (error) {
      if (this.#dead) return never();
      throw error;
    }
  }
}

function never<T>(): Promise<T> {
  return new Promise(() => undefined);
}
