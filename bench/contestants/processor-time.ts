import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A tick of the kernel's account, USER_HZ. */
const TICK_MS = 10;

/** User and system time of another process since it began, in milliseconds. */
export function processorTime(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The second field is the program's name in parentheses, and may hold spaces.
  const [, ...fields] = stat.slice(stat.lastIndexOf(')')).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

const LOOK_MS = 50;
/** A process that does more than this between two looks has work to do. */
const BUSY_MS = 10;
const LIMIT_MS = 10_000;

/**
 * Resolves when none of the processes, nor a thread of theirs, has had work to do for so long; after 10 s in any case.
 * Linux alone tells what another process does: elsewhere it resolves at once.
 */
export async function idle(pids: readonly number[], forMs: number): Promise<void> {
  if (process.platform !== 'linux') return;
  const all = () => pids.map(processorTime);
  let before = all();
  for (let waited = 0, idleMs = 0; waited < LIMIT_MS && idleMs < forMs; waited += LOOK_MS) {
    await sleep(LOOK_MS);
    const after = all();
    idleMs = after.every((each, index) => each - before[index]! <= BUSY_MS) ? idleMs + LOOK_MS : 0;
    before = after;
  }
}
