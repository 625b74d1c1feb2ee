import type { Clock, Report, Reporter } from '@evertree/core';
import { FaultDisk } from '../support/fault-disk.ts';
import type { DiskOperation } from '../support/fault-disk.ts';
import type { Chance } from './chance.ts';
import { SimulatedDisk } from './simulated-disk.ts';
import type { VirtualTime } from './time.ts';

const BEGAN_MS = 1_700_000_000_000;
/** What a task costs that is due at once, so that time passes even in a loop that only takes turns. */
const TURN_MS = 0.002;

/** How a machine's disk behaves; it changes as the world goes on. */
export interface DiskTemper {
  /** A write or a sync takes so long, drawn anew each time. */
  latencyMs: readonly [least: number, most: number];
}

/** What outlives a process: the disk and the clock. */
export class SimulatedMachine {
  readonly name: string;
  readonly time: VirtualTime;
  readonly chance: Chance;
  readonly temper: DiskTemper = { latencyMs: [0.2, 1] };
  /** What a process that is started now finds. */
  disk: FaultDisk;
  /** Milliseconds that `now` is ahead. */
  clockAheadMs = 0;
  /** Told of what its processes report. */
  reported: (report: Report) => void = () => undefined;
  /** Told when its process is about to die. */
  dies: (how: 'killed' | 'power-loss') => void = () => undefined;
  /** Each process that ran here knows when it is over. */
  process: SimulatedProcess | undefined;

  constructor(name: string, time: VirtualTime, chance: Chance) {
    this.name = name;
    this.time = time;
    this.chance = chance;
    this.disk = this.#newDisk();
  }

  /** What was on the disk is gone. */
  replaceDisk(): void {
    this.disk = this.#newDisk();
  }

  drawLatencyMs(): number {
    return this.chance.between(this.temper.latencyMs[0], this.temper.latencyMs[1]);
  }

  start(): SimulatedProcess {
    this.process = new SimulatedProcess(this);
    return this.process;
  }

  #newDisk(): FaultDisk {
    return new FaultDisk({ blockBytes: 512, turn: operation => this.#diskTurn(operation) });
  }

  /** What only reads comes from memory, and takes no time. */
  #diskTurn(operation: DiskOperation): Promise<void> {
    if (operation === 'open' || operation === 'read' || operation === 'list' || operation === 'lock') return Promise.resolve();
    return new Promise(resolve => this.time.after(this.drawLatencyMs() / 2, resolve));
  }
}

/**
 * A process: what its clock, disk and links call back is called only while it lives, and not while it is stalled. What
 * falls due meanwhile waits until it goes on.
 */
export class SimulatedProcess {
  readonly machine: SimulatedMachine;
  readonly clock: Clock;
  readonly disk: SimulatedDisk;
  readonly report: Reporter;
  #isAlive = true;
  #isStalled = false;
  #waiting: (() => void)[] = [];
  /** Called once, when it dies; what it holds of the network is told so. */
  readonly died = new Set<(how: 'killed' | 'power-loss') => void>();
  /** Called when it stalls or goes on. */
  readonly stalls = new Set<(stalled: boolean) => void>();

  constructor(machine: SimulatedMachine) {
    const { time } = machine;
    this.machine = machine;
    this.report = given => {
      if (this.#isAlive) machine.reported(given);
    };
    this.clock = {
      now: () => Math.floor(BEGAN_MS + time.nowMs + machine.clockAheadMs),
      monotonic: () => time.nowMs,
      soon: run => void time.after(TURN_MS, () => this.run(run)),
      after: (delayMs, run) => {
        let isCancelled = false;
        const timer = time.after(delayMs, () => this.run(() => (isCancelled ? undefined : run())));
        return {
          [Symbol.dispose]: () => {
            isCancelled = true;
            timer[Symbol.dispose]();
          },
        };
      },
    };
    this.disk = new SimulatedDisk(machine.disk, this);
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get isStalled(): boolean {
    return this.#isStalled;
  }

  drawEchoMs(): number {
    return this.machine.chance.happens(0.3) ? this.machine.drawLatencyMs() : 0;
  }

  /** Calls `task` now, when the process goes on, or never. */
  run(task: () => void): void {
    if (!this.#isAlive) return;
    if (this.#isStalled) this.#waiting.push(task);
    else task();
  }

  /** As SIGSTOP and SIGCONT. */
  stall(isStalled: boolean): void {
    if (isStalled === this.#isStalled || !this.#isAlive) return;
    this.#isStalled = isStalled;
    for (const told of this.stalls) told(isStalled);
    if (isStalled) return;
    // One by one, as a process that goes on would: each may plan more, which comes after what waited.
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const task of waiting) this.machine.time.after(0, () => this.run(task));
  }

  /** It ends: nothing is called back any more. What it wrote and did not sync may be lost with the power. */
  die(how: 'killed' | 'power-loss'): void {
    if (!this.#isAlive) return;
    this.machine.dies(how);
    this.#isAlive = false;
    this.#waiting = [];
    const { machine } = this;
    machine.disk = how === 'power-loss' ? machine.disk.powerLoss(() => machine.chance.fraction()) : machine.disk.crash();
    machine.process = undefined;
    for (const told of this.died) told(how);
  }
}
