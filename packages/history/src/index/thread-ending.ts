import { clearTimeout, setTimeout } from 'node:timers';
import type { Worker } from 'node:worker_threads';

/**
 * A thread that was told to end has this time for it, in milliseconds. It needs 5 to 50, up to 400 while it loads its code
 * from sources, and more where others leave no processor to its low priority.
 */
const END_LIMIT_MS = 2_000;

/** Asks a thread to end: its files closed, and as soon as its step allows that. */
export interface EndRequest {
  readonly type: 'end';
}

/** Thrown in a thread that is to end, where it may leave what it does. */
class ThreadEnding extends Error {
  override name = 'ThreadEnding';
}

/**
 * Whether a thread is to end, in memory that it shares with whoever began it: where it reads files synchronously it gets
 * no message for seconds.
 */
export class EndFlag {
  /** What the thread makes the same flag of. */
  readonly memory: SharedArrayBuffer;
  readonly #flag: Int32Array;

  constructor(memory = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#flag = new Int32Array(memory);
  }

  get isSet(): boolean {
    return Atomics.load(this.#flag, 0) !== 0;
  }

  set(): void {
    Atomics.store(this.#flag, 0, 1);
  }

  /** Called by the thread where it may stop. @throws ThreadEnding if it is to end */
  check(): void {
    if (this.isSet) throw new ThreadEnding('the thread is to end');
  }
}

/**
 * Lets a thread end by itself, and resolves when it has. Keeps the process alive meanwhile. One that has not ended within
 * the limit is terminated wherever it is, as a death of the process would: in a native call that is no safe place, so it
 * is the last resort. A call of the system that hangs keeps it even then, and this does not resolve.
 * @param flag that the thread was begun with
 */
export async function endThread(worker: Worker, flag: EndFlag): Promise<void> {
  const ended = new Promise<void>(resolve => void worker.once('exit', () => resolve()));
  flag.set();
  worker.postMessage({ type: 'end' } satisfies EndRequest);
  worker.ref();
  const timer = setTimeout(() => void worker.terminate(), END_LIMIT_MS);
  await ended;
  clearTimeout(timer);
}
