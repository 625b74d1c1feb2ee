// Loaded into the lab's pipeline before it: the pipeline takes its primary's CPU at the ends of the measured run, by
// asking `process.cpuUsage()` and later `process.cpuUsage(before)`. This takes the secondary's at the same two moments,
// and prints both.
import childProcess, { type ChildProcess } from 'node:child_process';
import { syncBuiltinESMExports } from 'node:module';
import { processorTime } from './processor-time.ts';

let secondary: ChildProcess | undefined;
let secondaryMs = 0;
const { fork } = childProcess;
const cpuUsage = process.cpuUsage.bind(process);

childProcess.fork = ((...args: Parameters<typeof fork>) => (secondary = fork(...args))) as typeof fork;
syncBuiltinESMExports();

process.cpuUsage = before => {
  const used = cpuUsage(before);
  const pid = secondary?.pid;
  if (pid === undefined) return used;
  const nowMs = processorTime(pid);
  if (before === undefined) secondaryMs = nowMs;
  else process.stdout.write(`${JSON.stringify({ primaryMs: (used.user + used.system) / 1e3, secondaryMs: nowMs - secondaryMs })}\n`);
  return used;
};
