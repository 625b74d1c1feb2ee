import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const PIPELINE = 'proto.mjs';
const TICK_MS = 10;
/** Its secondary ends at once when it has printed its result; it stays for 300 ms itself. */
const REAPED_MS = 150;
/** Changes of the short run that is taken off the long one: start, tree and warm-up are in both. */
const SHORT_CHANGES = 100_000;
/** It warms up with as many changes as it measures, up to this. */
const MOST_WARM_UP = 300_000;

/** The throwaway pipeline of a laboratory's folder: `proto.mjs`, installed with `npm i` there. */
export class Lab {
  readonly #pipeline: string;
  readonly #directory: string;

  /** @param directory where it may write */
  constructor(folder: string, directory: string) {
    this.#pipeline = join(folder, PIPELINE);
    this.#directory = directory;
    if (!existsSync(this.#pipeline)) throw new Error(`--lab ${folder}: there is no ${PIPELINE} in it`);
    if (!existsSync(join(folder, 'node_modules', 'ws'))) throw new Error(`--lab ${folder}: run \`npm i\` in it (or in a copy of it) first`);
  }

  /**
   * CPU of both sides together, user and system, microseconds a change: an in-process writer, durable at both sites, 100k leaves.
   * Taken from the kernel's account of the whole process group, as the difference of a long and a short run.
   */
  async cpuPerChange(count: number): Promise<number> {
    const short = await this.#run(SHORT_CHANGES / 2);
    const long = await this.#run(count);
    return ((long.cpuMs - short.cpuMs) / (long.changes - short.changes)) * 1e3;
  }

  async #run(count: number): Promise<{ readonly cpuMs: number; readonly changes: number }> {
    mkdirSync(this.#directory, { recursive: true });
    const args = ['mode=thr', 'journal=strict', 'jmode=dsync', 'D=1000', `n=${count}`];
    const child = spawn(process.execPath, [this.#pipeline, ...args], { cwd: this.#directory, stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    for await (const line of createInterface(child.stdout)) if (line.startsWith('{')) break;
    await sleep(REAPED_MS);
    const cpuMs = cpuOfTree(child.pid!);
    await exited;
    rmSync(this.#directory, { recursive: true, force: true });
    return { cpuMs, changes: count + Math.min(count, MOST_WARM_UP) };
  }
}

/** User and system of a process and of its children that have ended. */
function cpuOfTree(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(' ');
  return [13, 14, 15, 16].reduce((sum, index) => sum + Number(fields[index]), 0) * TICK_MS;
}
