import type { PendingFrame } from '../segments/active-segment.ts';
import { recordBytes } from '../segments/active-segment.ts';

/** Bytes of one write; a frame that is longer goes alone. */
const GROUP_LIMIT_BYTES = 4 * 1024 * 1024;

/** Frames that wait for their group, in order. What was taken and is not settled yet still counts as pending. */
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

  /** How many of the waiting frames make up the next group, and their bytes in the file. */
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

  /** They could not be written: they are first again. */
  takeBack(frames: readonly PendingFrame[]): void {
    this.#frames = [...frames, ...this.#frames];
  }

  /** They are stable. */
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
