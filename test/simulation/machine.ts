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
  readonly temper: DiskTemper = { latencyMs: [0.1, 0.6] };
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
  /**
   * A call of its own holds it until then: its clock has moved there already, and what calls it back comes after. In
   * virtual time.
   */
  #heldUntilMs = 0;
  /** When its machine began to sleep, in virtual time. */
  #suspendedAtMs: number | undefined;
  /** For how long its machine slept in all. */
  #sleptMs = 0;
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
      monotonic: () => (this.#suspendedAtMs ?? Math.max(time.nowMs, this.#heldUntilMs)) - this.#sleptMs,
      soon: run => void time.after(TURN_MS, () => this.run(run)),
      after: (delayMs, run) => this.#after(delayMs, run),
    };
    this.disk = new SimulatedDisk(machine.disk, this);
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get isStalled(): boolean {
    return this.#isStalled;
  }

  get isSuspended(): boolean {
    return this.#suspendedAtMs !== undefined;
  }

  get isHeld(): boolean {
    return this.machine.time.nowMs < this.#heldUntilMs;
  }

  /** A synchronous call takes so long. */
  hold(forMs: number): void {
    this.#heldUntilMs = Math.max(this.machine.time.nowMs, this.#heldUntilMs) + forMs;
  }

  drawHoldMs(): number {
    return this.machine.drawLatencyMs();
  }

  drawEchoMs(): number {
    return this.machine.chance.happens(0.3) ? this.machine.drawLatencyMs() : 0;
  }

  /** Calls `task` now, when the process goes on, or never. */
  run(task: () => void): void {
    if (!this.#isAlive) return;
    if (this.#isStalled) this.#waiting.push(task);
    else if (this.isHeld) this.machine.time.after(this.#heldUntilMs - this.machine.time.nowMs, () => this.run(task));
    else task();
  }

  /** As SIGSTOP and SIGCONT. What was suspended goes on, too. */
  stall(isStalled: boolean): void {
    if (isStalled === this.#isStalled || !this.#isAlive) return;
    this.#isStalled = isStalled;
    if (this.#suspendedAtMs !== undefined) this.#sleptMs += this.machine.time.nowMs - this.#suspendedAtMs;
    this.#suspendedAtMs = undefined;
    for (const told of this.stalls) told(isStalled);
    if (isStalled) return;
    // One by one, as a process that goes on would: each may plan more, which comes after what waited.
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const task of waiting) this.machine.time.after(0, () => this.run(task));
  }

  /** The machine sleeps until the process goes on: as a stall, but the monotonic clock, and all timers, stand still. */
  suspend(): void {
    this.stall(true);
    this.#suspendedAtMs ??= this.machine.time.nowMs;
  }

  /** Timers count by the monotonic clock: one that comes while the machine sleeps, or after it slept, is armed again. */
  #after(delayMs: number, run: () => void): Disposable {
    const { time } = this.machine;
    const dueMs = this.clock.monotonic() + delayMs;
    let timer: Disposable;
    let isCancelled = false;
    const fire = () => {
      if (isCancelled) return;
      const leftMs = dueMs - this.clock.monotonic();
      if (leftMs > TURN_MS) timer = time.after(leftMs, () => this.run(fire));
      else run();
    };
    // As in Node, a timer takes a while in any case: what is left of a time may be less than the clock can tell.
    timer = time.after(Math.max(delayMs, TURN_MS), () => this.run(fire));
    return {
      [Symbol.dispose]: () => {
        isCancelled = true;
        timer[Symbol.dispose]();
      },
    };
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
