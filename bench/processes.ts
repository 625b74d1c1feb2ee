import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** The processes of contestants that have not ended. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const each of running) each.kill('SIGKILL');
});

/** Remembers a process until it ends, so that a measure that fails leaves none behind. */
export function tracked<Process extends ChildProcess>(started: Process): Process {
  running.add(started);
  // A process that could not be started has no exit.
  for (const event of ['exit', 'error']) started.once(event, () => running.delete(started));
  return started;
}

/** Kills a process and waits for its end. */
export async function kill(started: ChildProcess): Promise<void> {
  if (!running.has(started)) return;
  const exited = once(started, 'exit');
  started.kill('SIGKILL');
  await exited;
}

export async function killAll(): Promise<void> {
  await Promise.all([...running].map(kill));
}
