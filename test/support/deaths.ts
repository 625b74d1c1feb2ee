import { expect } from 'vitest';
import type { FaultDisk } from './fault-disk.ts';
import { Simulation } from './simulation.ts';

const simulation = new Simulation(20_261_121);

/** How a death at a step is found afterwards. */
const ENDS = {
  killed: disk => disk.crash(),
  'a power loss that keeps only what was synced': disk => disk.powerLoss(() => 0),
  'a power loss that keeps anything': disk => disk.powerLoss(() => simulation.fraction()),
  'killed, then a power loss that keeps anything': disk => disk.crash().powerLoss(() => simulation.fraction()),
} satisfies Record<string, (disk: FaultDisk) => FaultDisk>;

type End = keyof typeof ENDS;

/** For a test that is long: it is one test for each. */
export const DEATHS = Object.keys(ENDS) as readonly End[];

interface Death<Prepared> {
  readonly prepared: Prepared;
  /** The disk as the next process finds it. */
  readonly found: FaultDisk;
  /** False for the last round: the process went through all its steps. */
  readonly died: boolean;
  /** For the message of an assertion. */
  readonly where: string;
}

/**
 * Lets the process die before the first step that `act` does on the disk, before the second, and so on, until it gets
 * through; and shows `check` what is found then. Fails if nothing ever died, and for any error of `act` that is not its
 * death.
 * @param ends in which of these ways it dies, each at every step
 */
export async function dieAtEachStep<Prepared extends { readonly disk: FaultDisk }>(
  prepare: () => Promise<Prepared>,
  act: (prepared: Prepared) => Promise<unknown>,
  check: (death: Death<Prepared>) => Promise<void>,
  ends: readonly End[] = DEATHS,
): Promise<void> {
  for (const name of ends) {
    let deaths = 0;
    for (let died = true; died;) {
      const prepared = await prepare();
      prepared.disk.dieAfter(deaths);
      died = await diedIn(act(prepared), prepared.disk);
      await check({ prepared, found: ENDS[name](prepared.disk), died, where: `${name} at step ${deaths}` });
      if (died) deaths++;
    }
    expect(deaths, `deaths of those ${name}`).toBeGreaterThan(0);
  }
}

/** Whether the process died in it. */
async function diedIn(acting: Promise<unknown>, disk: FaultDisk): Promise<boolean> {
  try {
    await acting;
    return false;
  } catch (error) {
    if (disk.isDead) return true;
    throw error;
  }
}
