import { performance } from 'node:perf_hooks';
import { cpuUsage, threadCpuUsage } from 'node:process';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { BuildingPace } from './building-pace.ts';
import { IndexBuilder } from './index-builder.ts';
import { synchronousDisk } from './synchronous-disk.ts';
import { EndFlag } from './thread-ending.ts';
import type { IndexTask, ThreadAnswer, ThreadRequest } from './thread-messages.ts';
import { yieldProcessor } from './thread-priority.ts';

// The thread that builds an index: carries out requests of `IndexThread`.

/** How long it works before it looks for messages, in milliseconds of the processor's time. */
const TURN_MS = 20;
/** The pause between two looks, in a rest, at what the site has worked meanwhile, in milliseconds. */
const REST_LOOK_MS = 200;

function tell(answer: ThreadAnswer): void {
  parentPort!.postMessage(answer);
}

/** Milliseconds of the processor's time. */
function milliseconds({ user, system }: { readonly user: number; readonly system: number }): number {
  return (user + system) / 1e3;
}

function threadMs(): number {
  return milliseconds(threadCpuUsage());
}

/** Of the whole process. */
function siteMs(): number {
  return milliseconds(cpuUsage());
}

yieldProcessor();
const { directory, end: memory } = workerData as IndexTask;
const end = new EndFlag(memory);
const pace = new BuildingPace();
/** When the present turn began, by `threadMs`. */
let began = threadMs();
/** Ends the present wait of a rest. */
let wake: () => void = () => undefined;
const builder = new IndexBuilder(
  {
    disk: synchronousDisk(directory, () => end.check()),
    breathe: () => (threadMs() - began < TURN_MS ? undefined : rest()),
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
  pace.worked(threadMs() - began, performance.now(), siteMs());
  await setImmediate();
  // What is asked for meanwhile may lengthen the rest or end it.
  while (!end.isSet && pace.rests(performance.now(), siteMs())) {
    await new Promise<void>(resolve => {
      wake = resolve;
      // Messages keep the thread alive, and nothing else has to.
      void setTimeout(REST_LOOK_MS, undefined, { ref: false }).then(resolve);
    });
  }
  began = threadMs();
}

/** With its port closed the thread ends when nothing is under way any more. */
async function close(): Promise<void> {
  wake();
  await builder.close();
  parentPort!.close();
}

function extend({ range, least }: Extract<ThreadRequest, { readonly type: 'extend' }>): void {
  const { revision } = range.stable;
  // Who waits for the index asks for all of it.
  if (least === 1) {
    pace.hurry(revision, performance.now());
    wake();
  } else {
    pace.asked(revision, performance.now());
  }
  builder.extend(range, least);
}

parentPort!.on('message', (request: ThreadRequest) => {
  switch (request.type) {
    case 'extend':
      return extend(request);
    case 'drop':
      return builder.drop(request.paths);
    case 'end':
      return void close();
  }
});
