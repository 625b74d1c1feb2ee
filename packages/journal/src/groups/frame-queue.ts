import type { PendingFrame } from '../segments/active-segment.ts';
import { recordBytes } from '../segments/active-segment.ts';

/** The most bytes of one group. A longer frame is a group of its own. */
const GROUP_LIMIT_BYTES = 4 * 1024 * 1024;

/** Frames that wait for their group, in order. Frames of a group that is not stable yet still count as pending. */
export class FrameQueue {
  #frames: PendingFrame[] = [];
  #pendingBytes = 0;

  get first(): PendingFrame | undefined {
    return this.#frames[0];
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  push(pending: PendingFrame): void {
    this.#frames.push(pending);
    this.#pendingBytes += bytesOf(pending);
  }

  /** How many of the waiting frames the next group takes, and their bytes in the file. */
  nextGroup(): { readonly count: number; readonly bytes: number } {
    let count = 0;
    let bytes = 0;
    for (const pending of this.#frames) {
      const more = recordBytes(pending);
      if (count > 0 && bytes + more > GROUP_LIMIT_BYTES) break;
      bytes += more;
      count++;
    }
    return { count, bytes };
  }

  take(count: number): PendingFrame[] {
    return this.#frames.splice(0, count);
  }

  /** Puts frames that could not be written back to the front. */
  takeBack(frames: readonly PendingFrame[]): void {
    this.#frames = [...frames, ...this.#frames];
  }

  /** Frames became stable: they are no longer pending. */
  settle(frames: readonly PendingFrame[]): void {
    for (const pending of frames) this.#pendingBytes -= bytesOf(pending);
  }

  clear(): void {
    this.#frames = [];
    this.#pendingBytes = 0;
  }
}

function bytesOf(pending: PendingFrame): number {
  return pending.frame.bytes.length + (pending.trailer?.length ?? 0);
}
