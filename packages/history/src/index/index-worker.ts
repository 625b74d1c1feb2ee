import { performance } from 'node:perf_hooks';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { IndexBuilder } from './index-builder.ts';
import { type IndexRange, RUN_CHANGE_SETS } from './index-keeper.ts';
import { synchronousDisk } from './synchronous-disk.ts';
import type { ThreadAnswer, ThreadRequest } from './thread-messages.ts';
import { yieldProcessor } from './thread-priority.ts';

// The thread that builds an index: carries out requests of `IndexThread`.

/** How long it works before it looks for messages, in milliseconds. */
const TURN_MS = 20;
/**
 * How long it rests after that while the site writes as fast as it can, in milliseconds. Its priority is not enough: what
 * it reads and builds takes cache, memory and disk from a site that has no processor to spare, and a pair of sites on
 * two processors made little more than half of its commits. The index falls behind then, and questions read the journal
 * for what it lacks.
 */
const REST_MS = 480;
/** The site writes fast if so many change sets came within this time, in milliseconds. */
const BUSY_MS = 500;

function tell(answer: ThreadAnswer): void {
  parentPort!.postMessage(answer);
}

yieldProcessor();
let began = performance.now();
let busyUntil = 0;
/** Of the rest that it is in. */
let endRest: () => void = () => undefined;
/** What was asked for last, and when. */
let last = { revision: 0, time: -Infinity };
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
  if (performance.now() < busyUntil) {
    await new Promise<void>(resolve => {
      endRest = resolve;
      void setTimeout(REST_MS).then(resolve);
    });
  } else await setImmediate();
  began = performance.now();
}

/** The site asks again after each run's worth of change sets, or after a second. */
function heard({ stable: { revision } }: IndexRange): void {
  const now = performance.now();
  if (revision - last.revision >= RUN_CHANGE_SETS && now - last.time < BUSY_MS) busyUntil = now + BUSY_MS;
  last = { revision, time: now };
}

/** Rests no more for now: after 400,000 commits `caughtUp` took 0.5 s, and 1.2 s with the rests. */
function hurry(): void {
  busyUntil = 0;
  endRest();
}

parentPort!.on('message', (request: ThreadRequest) => {
  if (request.type === 'drop') return builder.drop(request.paths);
  // Who waits for the index asks for all of it.
  if (request.least === 1) hurry();
  else heard(request.range);
  builder.extend(request.range, request.least);
});
