import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const PIPELINE = 'proto.mjs';
const PROBE = new URL('./lab-probe.ts', import.meta.url).href;

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
   * CPU of both sides together, user and system, microseconds a change: an in-process writer, durable at both sites,
   * 100k leaves.
   */
  async cpuPerChange(count: number): Promise<number> {
    mkdirSync(this.#directory, { recursive: true });
    const args = ['--import', PROBE, this.#pipeline, 'mode=thr', 'journal=strict', 'jmode=dsync', 'D=1000', `n=${count}`];
    const child = spawn(process.execPath, args, { cwd: this.#directory, stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    let cpuMs: number | undefined;
    for await (const line of createInterface(child.stdout)) {
      if (!line.startsWith('{"primaryMs"')) continue;
      const { primaryMs, secondaryMs } = JSON.parse(line) as { primaryMs: number; secondaryMs: number };
      cpuMs = primaryMs + secondaryMs;
    }
    await exited;
    rmSync(this.#directory, { recursive: true, force: true });
    if (cpuMs === undefined) throw new Error("the lab's pipeline ended without a result; what it says is above");
    return (cpuMs / count) * 1e3;
  }
}
