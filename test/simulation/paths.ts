import type { Message } from '@evertree/core';
import type { Chance } from './chance.ts';
import type { VirtualTime } from './time.ts';

/** The way from one machine to another. */
export interface Path {
  /** What is sent takes so long, drawn anew for each message; the messages of one link stay in order. */
  delayMs: readonly [least: number, most: number];
  /** Nothing arrives. It is not lost: it arrives once this ends, unless the link has ended meanwhile. */
  blocked: boolean;
  /** How likely a message breaks its link. */
  loss: number;
}

const QUIET: Path['delayMs'] = [0.1, 1];

/** All ways between machines, by their names. */
export class Paths {
  readonly time: VirtualTime;
  readonly chance: Chance;
  readonly #paths = new Map<string, Path>();
  /** Told of each message when it leaves a machine, and when it reaches its process. */
  readonly sent = new Set<(from: string, to: string, message: Message) => void>();
  readonly delivered = new Set<(from: string, to: string, message: Message) => void>();

  constructor(time: VirtualTime, chance: Chance) {
    this.time = time;
    this.chance = chance;
  }

  of(from: string, to: string): Path {
    const name = `${from}>${to}`;
    let path = this.#paths.get(name);
    if (path === undefined) this.#paths.set(name, (path = { delayMs: QUIET, blocked: false, loss: 0 }));
    return path;
  }

  drawDelayMs(from: string, to: string): number {
    const [least, most] = this.of(from, to).delayMs;
    return this.chance.between(least, most);
  }

  heal(): void {
    for (const path of this.#paths.values()) Object.assign(path, { delayMs: QUIET, blocked: false, loss: 0 } satisfies Path);
  }
}
