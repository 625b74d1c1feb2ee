import { readFileSync } from 'node:fs';

/** A tick of the kernel's account, USER_HZ. */
const TICK_MS = 10;

/** User and system time of another process since it began, in milliseconds. */
export function processorTime(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The second field is the program's name in parentheses, and may hold spaces.
  const [, ...fields] = stat.slice(stat.lastIndexOf(')')).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
