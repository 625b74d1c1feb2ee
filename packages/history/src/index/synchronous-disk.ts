import * as fs from 'node:fs';
import { join } from 'node:path';
import type { DiskFile, OpenOptions } from '@evertree/core';
import type { IndexDisk } from './index-keeper.ts';

/**
 * A directory of this machine, for a thread that has nothing else to do. Every call does its work before it returns, in
 * the calling thread and so with its priority, and takes no thread of the pool from those who serve the site.
 * @param check called before what takes long. What it throws leaves nothing behind but what a failure of the disk would:
 *   what cleans up goes on
 */
export function synchronousDisk(directory: string, check: () => void): IndexDisk {
  const at = (path: string) => join(directory, path);
  return {
    open: async (path, options) => {
      check();
      return new SynchronousFile(fs.openSync(at(path), flagsOf(options), 0o644), check);
    },
    list: async path => {
      check();
      return fs.readdirSync(at(path));
    },
    makeDirectory: async path => void fs.mkdirSync(at(path), { recursive: true }),
    rename: async (from, to) => fs.renameSync(at(from), at(to)),
    remove: async path => fs.unlinkSync(at(path)),
  };
}

class SynchronousFile implements DiskFile {
  readonly #descriptor: number;
  readonly #check: () => void;

  constructor(descriptor: number, check: () => void) {
    this.#descriptor = descriptor;
    this.#check = check;
  }

  async size(): Promise<number> {
    return fs.fstatSync(this.#descriptor).size;
  }

  async read(buffer: Uint8Array, offset: number): Promise<number> {
    this.#check();
    return fs.readSync(this.#descriptor, buffer, 0, buffer.length, offset);
  }

  async write(buffers: readonly Uint8Array[], offset: number): Promise<void> {
    this.writeSync(buffers, offset);
  }

  writeSync(buffers: readonly Uint8Array[], offset: number): void {
    this.#check();
    let at = offset;
    for (const buffer of buffers) {
      for (let written = 0; written < buffer.length;) {
        written += fs.writeSync(this.#descriptor, buffer, written, buffer.length - written, at + written);
      }
      at += buffer.length;
    }
  }

  async sync(): Promise<void> {
    this.syncSync();
  }

  syncSync(): void {
    this.#check();
    fs.fdatasyncSync(this.#descriptor);
  }

  async truncate(length: number): Promise<void> {
    fs.ftruncateSync(this.#descriptor, length);
  }

  async close(): Promise<void> {
    fs.closeSync(this.#descriptor);
  }
}

function flagsOf({ create = false, write = false }: OpenOptions): number {
  const { O_RDONLY, O_RDWR, O_CREAT } = fs.constants;
  return (write ? O_RDWR : O_RDONLY) | (create ? O_CREAT : 0);
}
