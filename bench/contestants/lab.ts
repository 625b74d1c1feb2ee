import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { keepsCompiledCode } from '../compiled-code.ts';
import { tracked } from '../processes.ts';

const PIPELINE = 'proto.mjs';
const PROBE = new URL('./lab-probe.ts', import.meta.url).href;

export interface LabRun {
  /** Changes a second, until the last one is visible at its secondary. */
  readonly visiblePerSecond: number;
  /** User and system, both sites together, microseconds a change. */
  readonly cpuUs: number;
}

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

  /** In new processes: an in-process writer, durable at both sites, 100k leaves. It warms itself up. */
  async run(count: number): Promise<LabRun> {
    mkdirSync(this.#directory, { recursive: true });
    const args = ['--import', PROBE, this.#pipeline, 'mode=thr', 'journal=strict', 'jmode=dsync', 'D=1000', `n=${count}`];
    const place = { cwd: this.#directory, env: keepsCompiledCode() };
    const child = tracked(spawn(process.execPath, args, { ...place, stdio: ['ignore', 'pipe', 'inherit'] }));
    const exited = once(child, 'exit');
    let cpuMs: number | undefined;
    let visiblePerSecond: number | undefined;
    for await (const line of createInterface(child.stdout)) {
      if (!line.startsWith('{')) continue;
      const told = JSON.parse(line) as { primaryMs?: number; secondaryMs?: number; visPerS?: number };
      if (told.primaryMs !== undefined) cpuMs = told.primaryMs + (told.secondaryMs ?? 0);
      visiblePerSecond ??= told.visPerS;
    }
    await exited;
    rmSync(this.#directory, { recursive: true, force: true });
    if (cpuMs === undefined || visiblePerSecond === undefined)
      throw new Error("the lab's pipeline ended without a result; what it says is above");
    return { visiblePerSecond, cpuUs: (cpuMs / count) * 1e3 };
  }
}
