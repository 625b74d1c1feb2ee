import type { Clock, Random } from '@evertree/core';
import { type HeadChange, movingHead } from './head-mover.ts';
import { type ArchiveState, ManifestCache, readHeadState } from './head-state.ts';
import type { Target } from '../targets/target.ts';
import { wait } from '../targets/waiting.ts';

/** After a lost round the next one begins within this time, in milliseconds. */
const ROUND_PAUSE_MS = 50;

/**
 * Makes a change from what the archive is now. It may be called several times, each time with what others have published
 * meanwhile, and also after its own change was made: then it returns undefined.
 * @param time the target's own, milliseconds since 1970
 */
export type PlannedChange = (state: ArchiveState, time: number) => HeadChange | undefined;

/** Moves HEAD for somebody who does it again and again. */
export class HeadPublisher {
  readonly #target: Target;
  readonly #cache = new ManifestCache();
  readonly #pause: () => Promise<void>;

  constructor({ target, clock, random }: { readonly target: Target; readonly clock: Clock; readonly random: Random }) {
    this.#target = target;
    this.#pause = () => wait(clock, random.fraction() * ROUND_PAUSE_MS);
  }

  /** @throws EvertreeError as `readHeadState` */
  read(): Promise<ArchiveState> {
    return readHeadState(this.#target, this.#cache);
  }

  /**
   * Publishes a change. What it names has to be in the target by then.
   * @returns what the archive is after it
   * @throws EvertreeError as `movingHead`, and what `change` throws
   */
  publish(change: PlannedChange): Promise<ArchiveState> {
    return movingHead(this.#target, state => change(state, state.time), { cache: this.#cache, pause: this.#pause });
  }
}
