import { readdirSync, readlinkSync } from 'node:fs';
import type { Worker } from 'node:worker_threads';

/** How the threads ended that began since this was made. */
export class ThreadExits implements Disposable {
  /** 0 of a thread that ended by itself, 1 of one that was terminated. */
  readonly codes: number[] = [];
  readonly #watch = (worker: Worker): void => void worker.once('exit', code => this.codes.push(code));

  constructor() {
    process.on('worker', this.#watch);
  }

  [Symbol.dispose](): void {
    process.off('worker', this.#watch);
  }
}

/** The files in a directory that this process has open. Linux alone tells. */
export function openFilesIn(directory: string): string[] {
  return readdirSync('/proc/self/fd')
    .map(descriptor => {
      try {
        return readlinkSync(`/proc/self/fd/${descriptor}`);
      } catch {
        // That of the listing itself.
        return '';
      }
    })
    .filter(path => path.startsWith(directory));
}
