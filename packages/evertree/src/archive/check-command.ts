import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface CheckCommandOptions {
  /** Set beside the variables of this process. */
  readonly env: Readonly<Record<string, string>>;
  /** Where what it prints goes; its errors go to stderr. */
  readonly output: 'stdout' | 'stderr';
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a command of the user's in a shell, and shows what it prints.
 * @returns its exit status; null if a signal ended it
 */
export async function runCheck(command: string, { env, output, signal }: CheckCommandOptions): Promise<number | null> {
  // A group of its own: what the shell started ends with it.
  const child = spawn(command, {
    shell: true,
    detached: true,
    stdio: ['ignore', output === 'stdout' ? 1 : 2, 2],
    env: { ...process.env, ...env },
  });
  const end = () => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGTERM');
    } catch {
      // All of it has ended.
    }
  };
  signal?.addEventListener('abort', end);
  try {
    if (signal?.aborted === true) end();
    const [status] = (await once(child, 'exit')) as [number | null];
    return status;
  } finally {
    signal?.removeEventListener('abort', end);
    end();
  }
}
