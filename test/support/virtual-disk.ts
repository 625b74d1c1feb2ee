import { DelayedDisk, never } from './delayed-disk.ts';
import type { FaultDisk } from './fault-disk.ts';
import type { Simulation } from './simulation.ts';

/** A disk whose writes and syncs take virtual time. After the process was killed no call returns. */
export class VirtualDisk extends DelayedDisk {
  readonly #simulation: Simulation;
  #dead = false;
  /** Milliseconds of virtual time that a write or a sync takes. */
  latencyMs = 1;

  constructor(disk: FaultDisk, simulation: Simulation) {
    super(disk);
    this.#simulation = simulation;
  }

  /** The process is killed, or the machine loses power. @returns what the next process finds */
  die(powerLoss: boolean): FaultDisk {
    this.#dead = true;
    return powerLoss ? this.disk.powerLoss(() => this.#simulation.fraction()) : this.disk.crash();
  }

  protected override async write<T>(run: () => Promise<T>): Promise<T> {
    await new Promise<void>(resolve => this.#simulation.clock.after(this.latencyMs, resolve));
    return this.read(run);
  }

  protected override async read<T>(run: () => Promise<T>): Promise<T> {
    if (this.#dead) return never();
    try {
      const result = await this.#simulation.hold(run());
      return this.#dead ? await never() : result;
    } catch (error) {
      if (this.#dead) return never();
      throw error;
    }
  }
}
