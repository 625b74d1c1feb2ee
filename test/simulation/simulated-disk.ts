import type { Clock } from '@evertree/core';
import { DelayedDisk, never } from '../support/delayed-disk.ts';
import type { FaultDisk } from '../support/fault-disk.ts';

const DEVICE_BYTES = 1024 ** 4;

/** The process that uses a disk. */
interface DiskUser {
  readonly isAlive: boolean;
  readonly isStalled: boolean;
  readonly isHeld: boolean;
  readonly clock: Clock;
  /** What it hears from now on it hears after so long. */
  hold(forMs: number): void;
  /** Calls `task` now, when it goes on after a stall, or never. */
  run(task: () => void): void;
  /** How long it takes until it hears of what the disk did, drawn anew. */
  drawEchoMs(): number;
  /** How long a synchronous call takes, drawn anew. */
  drawHoldMs(): number;
}

/** A machine's disk as one process sees it: once it is dead no call returns, and while it is stalled it hears of none. */
export class SimulatedDisk extends DelayedDisk {
  readonly #process: DiskUser;

  constructor(disk: FaultDisk, process: DiskUser) {
    super(disk);
    this.#process = process;
  }

  /** The device is large, whatever room a fault leaves on it: limits that follow from its size are those of a real one. */
  override async space(): Promise<{ readonly totalBytes: number; readonly freeBytes: number }> {
    const { freeBytes } = await this.disk.space();
    return { totalBytes: DEVICE_BYTES, freeBytes };
  }

  /** The disk may have done it for a while when the process hears of it: one that dies between does not know. */
  protected override async write<T>(run: () => Promise<T>): Promise<T> {
    const result = await this.read(run);
    const echoMs = this.#process.drawEchoMs();
    if (echoMs > 0) await new Promise<void>(resolve => this.#process.clock.after(echoMs, resolve));
    return result;
  }

  protected override hold(run: () => void): void {
    run();
    this.#process.hold(this.#process.drawHoldMs());
  }

  protected override async read<T>(run: () => Promise<T>): Promise<T> {
    const process = this.#process;
    if (!process.isAlive) return never();
    try {
      const result = await run();
      if (process.isStalled || process.isHeld) await new Promise<void>(resolve => process.run(resolve));
      return process.isAlive ? result : await never();
    } catch (error) {
      if (process.isStalled || process.isHeld) await new Promise<void>(resolve => process.run(resolve));
      if (!process.isAlive) return never();
      throw error;
    }
  }
}
