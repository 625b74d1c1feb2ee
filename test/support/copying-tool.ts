import type { FaultDisk } from './fault-disk.ts';
import type { Simulation } from './simulation.ts';

/** The files of a directory at one instant. */
export type Instant = ReadonlyMap<string, Buffer>;

/** A tool that lists and reads on and on, while time passes. */
export class CopyingTool {
  readonly #instants: readonly Instant[];
  readonly #random: Simulation;
  #now: number;

  constructor(instants: readonly Instant[], random: Simulation) {
    this.#instants = instants;
    this.#random = random;
    this.#now = random.below(instants.length);
  }

  copy(original: FaultDisk): FaultDisk {
    const directories = ['journal/', 'snapshots/', ''].toSorted(() => this.#random.fraction() - 0.5);
    const files = new Map<string, Buffer>();
    for (const directory of directories) {
      const paths = [...this.#look().keys()].filter(path => path.slice(0, path.lastIndexOf('/') + 1) === directory);
      for (const path of paths.toSorted(() => this.#random.fraction() - 0.5)) {
        const bytes = this.#read(path);
        if (bytes !== undefined) files.set(path, bytes);
      }
    }
    // A disk whose names are those of the copy alone.
    const copy = original.copy(path => files.get(path));
    for (const [path, bytes] of files) copy.place(path, bytes);
    return copy;
  }

  /** Block by block, each at its own instant; nothing if it is gone before it was opened. */
  #read(path: string): Buffer | undefined {
    if (this.#look().get(path) === undefined) return undefined;
    const blockBytes = 512 * (1 + this.#random.below(8));
    const blocks: Buffer[] = [];
    for (let at = 0; ; at += blockBytes) {
      const bytes = this.#look().get(path) ?? this.#lastOf(path);
      blocks.push(bytes.subarray(at, at + blockBytes));
      if (at + blockBytes >= bytes.length) return Buffer.concat(blocks);
    }
  }

  /** What a tool reads that has opened a file before it was removed. */
  #lastOf(path: string): Buffer {
    return this.#instants.findLast(instant => instant.has(path))!.get(path)!;
  }

  #look(): Instant {
    this.#now = Math.min(this.#instants.length - 1, this.#now + (this.#random.below(3) === 0 ? this.#random.below(6) : 0));
    return this.#instants[this.#now]!;
  }
}
