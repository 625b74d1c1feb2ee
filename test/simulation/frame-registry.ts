import { frameHash } from '@evertree/core';
import type { Frame } from '@evertree/core';

/**
 * Every frame that left a process. A revision of an epoch's id is taken once, by one frame, whoever sends it: two frames
 * that hold it are two histories of one name, which nothing could tell apart.
 */
export class FrameRegistry {
  /** By `<epoch id>:<revision>`: the hash of the frame that holds it. */
  readonly #holders = new Map<string, string>();
  readonly #known = new WeakSet<Uint8Array>();
  readonly #violated: (law: string, what: string) => void;

  constructor(violated: (law: string, what: string) => void) {
    this.#violated = violated;
  }

  get size(): number {
    return this.#holders.size;
  }

  record(frame: Frame, whose: string): void {
    if (this.#known.has(frame.bytes)) return;
    this.#known.add(frame.bytes);
    const { base, last, epochId } = frame.header;
    const hash = frameHash(frame);
    for (let revision = base.revision + 1; revision <= last.revision; revision++) {
      const name = `${epochId}:${revision}`;
      const found = this.#holders.get(name);
      if (found === undefined) this.#holders.set(name, hash);
      else if (found !== hash) this.#violated('one-frame', `${whose} has another frame at ${last.epoch}-${revision} (epoch id ${epochId})`);
    }
  }
}
