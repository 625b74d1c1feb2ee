import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export const PROGRAM = fileURLToPath(new URL('../../packages/evertree/bin/evertree.js', import.meta.url));
export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
/** A command that hangs fails its test, and not the whole run; one with much to do is given longer. */
const RUN_LIMIT_MS = 25_000;
const POLL_MS = 20;

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The program, or another script, run as a user runs it in a shell. */
export class Running implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';

  constructor(script: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}) {
    this.process = spawn(process.execPath, [script, ...args], { cwd, stdio: 'pipe', env: { ...process.env, NO_COLOR: '1', ...env } });
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.ended = once(this.process, 'close').then(([status]) => ({
      status: status as number | null,
      stdout: this.stdout,
      stderr: this.stderr,
    }));
  }

  /** Resolves when what it printed fits; rejects when it ends or takes too long before. */
  async printed(pattern: RegExp | string, from: 'stdout' | 'stderr' = 'stdout', withinMs = RUN_LIMIT_MS): Promise<void> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      if (typeof pattern === 'string' ? this[from].includes(pattern) : pattern.test(this[from])) return;
      const over = this.process.exitCode !== null || this.process.signalCode !== null || performance.now() > deadline;
      if (over) throw new Error(`${String(pattern)} was not printed on ${from}:\n${this.stdout}\n${this.stderr}`);
      await new Promise(resolve => setTimeout(resolve, POLL_MS));
    }
  }

  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<Ended> {
    this.process.kill(signal);
    return this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill('SIGKILL');
    await this.ended;
  }
}

export function start(args: readonly string[], cwd = REPOSITORY, env: NodeJS.ProcessEnv = {}): Running {
  return new Running(PROGRAM, args, cwd, env);
}

export interface RunOptions {
  readonly input?: string;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** It is killed when it takes longer. */
  readonly limitMs?: number;
}

/** Runs a command to its end. */
export async function run(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  await using running = start(args, options.cwd, options.env);
  const limit = setTimeout(() => running.process.kill('SIGKILL'), options.limitMs ?? RUN_LIMIT_MS);
  running.process.stdin?.on('error', () => undefined).end(options.input ?? '');
  const ended = await running.ended;
  clearTimeout(limit);
  return ended;
}
