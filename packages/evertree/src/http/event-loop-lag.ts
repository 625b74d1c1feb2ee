import { monitorEventLoopDelay } from 'node:perf_hooks';

/** A reader that comes at least this often sees every delay. */
const WINDOW_MS = 120_000;
const RESOLUTION_MS = 10;

type NodeMonitor = ReturnType<typeof monitorEventLoopDelay>;

/** Delays of the event loop, in nanoseconds. */
export type DelayFigures = Pick<NodeMonitor, 'count' | 'min' | 'max' | 'mean' | 'stddev' | 'percentile'>;

export type DelayMonitor = DelayFigures & { reset(): void; disable(): void };

/**
 * The delays of the event loop in the last minutes. Reading changes nothing: two scrapers that read in turn both see
 * each delay.
 *
 * Two monitors run, and the older one is read. When the younger one has run for a whole window, the older one is reset
 * and becomes the younger. So what is read covers one window at least, and about two while somebody reads once a
 * window.
 */
export class EventLoopLag implements Disposable {
  readonly #now: () => number;
  #older: DelayMonitor;
  #younger: DelayMonitor;
  /** When `#younger` began. */
  #youngerSince: number;

  constructor(startMonitor: () => DelayMonitor = startNodeMonitor, now: () => number = () => performance.now()) {
    this.#now = now;
    this.#older = startMonitor();
    this.#younger = startMonitor();
    this.#youngerSince = now();
  }

  read(): DelayFigures {
    const now = this.#now();
    if (now - this.#youngerSince >= WINDOW_MS) {
      [this.#older, this.#younger] = [this.#younger, this.#older];
      this.#younger.reset();
      this.#youngerSince = now;
    }
    return this.#older;
  }

  [Symbol.dispose](): void {
    this.#older.disable();
    this.#younger.disable();
  }
}

function startNodeMonitor(): DelayMonitor {
  const monitor = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  monitor.enable();
  return monitor;
}
