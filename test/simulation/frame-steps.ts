import type { PreparedFrame, Store } from '@evertree/core';
import type { Chance } from './chance.ts';
import type { SimulatedMachine } from './machine.ts';
import type { VirtualTime } from './time.ts';
import { override } from './overrides.ts';

/** A frame that is applied in steps has its next one within this time, unless it was given up. */
const NEXT_STEP_MS = 10;

/** What the histories have to get into with frames and commits that are made in steps. */
export const LARGE_TRAPS = [
  'a process ends while it applies a large frame in steps',
  'a large frame that is applied in steps is given up',
  'a large frame was applied ahead in vain',
  'a large commit was prepared in vain, and again',
  'a large commit is made in one go, as others commit meanwhile',
] as const;

export type LargeTrap = (typeof LARGE_TRAPS)[number];

/** So many pauses follow each step, at most: frames are short here, and would be applied in a step or two. */
const PAUSES = 5;

/** Makes a store apply large frames in more steps, and marks what comes between them. */
export class FrameSteps {
  readonly #time: VirtualTime;
  readonly #chance: Chance;
  /** When a frame that is neither taken nor void had its last step; -Infinity without one. */
  #steppedAtMs = -Infinity;

  constructor(store: Store, { time, chance }: SimulatedMachine, mark: (trap: LargeTrap) => void) {
    this.#time = time;
    this.#chance = chance;
    override(store, 'prepareFrame', prepareFrame => frame => {
      if (this.#steppedAtMs > -Infinity) mark('a large frame that is applied in steps is given up');
      return this.#watched(prepareFrame(frame));
    });
    override(store, 'isFrameCurrent', isFrameCurrent => prepared => {
      const isCurrent = isFrameCurrent(prepared);
      this.#steppedAtMs = -Infinity;
      if (!isCurrent) mark('a large frame was applied ahead in vain');
      return isCurrent;
    });
  }

  get areUnderWay(): boolean {
    return this.#time.nowMs - this.#steppedAtMs <= NEXT_STEP_MS;
  }

  *#watched(steps: Generator<void, PreparedFrame>): ReturnType<Store['prepareFrame']> {
    for (let step = steps.next(); ; step = steps.next()) {
      for (let pauses = this.#chance.below(PAUSES); pauses >= 0; pauses--) {
        this.#steppedAtMs = this.#time.nowMs;
        yield;
      }
      if (step.done === true) return step.value;
    }
  }
}
