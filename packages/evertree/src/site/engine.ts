import { readdirSync, readFileSync } from 'node:fs';
import { constants, getPriority, setPriority } from 'node:os';
import { setFlagsFromString } from 'node:v8';

/** Of this process, a folder for each thread. */
const THREADS = '/proc/self/task';
/** What Node calls the threads on which V8 collects garbage and compiles beside those that run JavaScript. */
const NAME = 'V8Worker\n';
/** So many steps of `nice` below the process. Where four of them and the event loop want one core, that gets 43 % of it. */
const STEPS = 5;

/** That of Node 24. Where V8 does not know an option it says so on stderr. */
const BUFFERS_APART = '13.6.';

/**
 * Counts buffers with the heap. Without that V8 13.6 looks for garbage in the whole heap whenever buffers have grown by
 * 64 MiB; until it has looked at all of it, the event loop does 5 ms of that for each further buffer, be it a few KiB
 * from a socket. Later versions count like this by default (nodejs/node#61967). For the whole process, for good.
 */
export function countBuffersWithHeap(): void {
  if (process.versions.v8.startsWith(BUFFERS_APART)) setFlagsFromString('--external-memory-accounted-in-global-limit');
}

/**
 * Lets the threads that answer go before V8's own. Node starts four of these, whatever the number of cores: with equal
 * priorities, while they look for garbage after a large request, the event loop gets a fifth of a core that all of them
 * want. Linux alone has a priority for each thread; elsewhere nothing happens.
 */
export function letEngineThreadsYield(): void {
  try {
    const priority = Math.min(getPriority() + STEPS, constants.priority.PRIORITY_LOW);
    for (const thread of readdirSync(THREADS)) {
      if (readFileSync(`${THREADS}/${thread}/comm`, 'latin1') === NAME) setPriority(Number(thread), priority);
    }
  } catch {
    // Elsewhere they have the priority of the process.
  }
}
