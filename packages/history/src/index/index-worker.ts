import { readlinkSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { performance } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { IndexBuilder } from './index-builder.ts';
import { synchronousDisk } from './synchronous-disk.ts';
import type { ThreadAnswer, ThreadRequest } from './thread-messages.ts';

// The thread that builds an index: carries out requests of `IndexThread`.

/** How long it works before it looks for messages, in milliseconds. */
const TURN_MS = 20;

/**
 * Gives this thread the lowest priority: it takes what the site leaves of the processor. Linux alone has a priority for
 * each thread, and tells a thread's number.
 */
function yieldProcessor(): void {
  try {
    setPriority(Number(readlinkSync('/proc/thread-self').split('/').at(-1)), constants.priority.PRIORITY_LOW);
  } catch {
    // Elsewhere the index is built with the priority of the process.
  }
}

function tell(answer: ThreadAnswer): void {
  parentPort!.postMessage(answer);
}

yieldProcessor();
let began = performance.now();
const builder = new IndexBuilder(
  {
    disk: synchronousDisk(workerData as string),
    breathe: () => (performance.now() - began < TURN_MS ? undefined : rest()),
  },
  {
    changed: paths => tell({ type: 'changed', paths }),
    dropped: (file, problem) => tell({ type: 'dropped', file, problem }),
    stuck: position => tell({ type: 'stuck', position }),
    failed: ({ message }) => tell({ type: 'failed', message }),
    idle: requests => tell({ type: 'idle', requests }),
  },
);

async function rest(): Promise<void> {
  await setImmediate();
  began = performance.now();
}

parentPort!.on('message', (request: ThreadRequest) => {
  if (request.type === 'extend') builder.extend(request.range, request.least);
  else builder.drop(request.paths);
});
