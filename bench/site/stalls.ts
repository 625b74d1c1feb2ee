import * as fs from 'node:fs';
import { PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

const TICK_MS = 1;
/** Shorter gaps between two ticks are not kept. */
const LEAST_GAP_MS = 4;
/** Entries about garbage collection arrive a little later than they happen. */
const SETTLE_MS = 20;

export interface Stalls {
  /** The longest that the event loop ran nothing else, in milliseconds. */
  readonly worstMs: number;
  /** The same, without the garbage collection in it. */
  readonly worstBeyondGcMs: number;
  /** CPU time of the thread in it. */
  readonly ranMs: number;
  /** How long the thread was ready in it, and other threads had the cores; undefined where the system does not tell. */
  readonly waitedMs: number | undefined;
  /** The most CPU time of the process in one such stretch: other load does not lengthen it. */
  readonly mostRanMs: number;
}

interface Span {
  readonly from: number;
  readonly to: number;
}

interface Gap extends Span {
  readonly ranMs: number;
  readonly waitedMs: number | undefined;
}

/** Looks for stretches in which the event loop had no turn. */
export class StallProbe {
  readonly #gaps: Gap[] = [];
  readonly #collections: Span[] = [];
  readonly #observer = new PerformanceObserver(list => this.#collected(list.getEntries()));
  #timer: NodeJS.Timeout | undefined;
  #last = performance.now();
  #lastRanMs = 0;
  #waiting: WaitingTime | undefined;
  #lastWaitedMs = 0;

  start(): void {
    this.#observer.observe({ entryTypes: ['gc'] });
    this.#last = performance.now();
    this.#lastRanMs = ranMs();
    this.#waiting = WaitingTime.open();
    this.#lastWaitedMs = this.#waiting?.ms ?? 0;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  async stop(): Promise<Stalls> {
    clearInterval(this.#timer);
    this.#waiting?.close();
    await sleep(SETTLE_MS);
    this.#collected(this.#observer.takeRecords());
    this.#observer.disconnect();
    const beyond = (gap: Gap) => lengthOf(gap) - overlap(gap, this.#collections);
    const worst = this.#gaps.toSorted((a, b) => beyond(b) - beyond(a))[0];
    return {
      worstMs: Math.max(0, ...this.#gaps.map(lengthOf)),
      worstBeyondGcMs: worst === undefined ? 0 : beyond(worst),
      ranMs: worst?.ranMs ?? 0,
      waitedMs: worst?.waitedMs,
      mostRanMs: Math.max(0, ...this.#gaps.map(({ ranMs: ran }) => ran)),
    };
  }

  #tick(): void {
    const to = performance.now();
    const from = this.#last + TICK_MS;
    const ran = ranMs();
    const waited = this.#waiting?.ms;
    if (to - from >= LEAST_GAP_MS) {
      this.#gaps.push({ from, to, ranMs: ran - this.#lastRanMs, waitedMs: waited === undefined ? undefined : waited - this.#lastWaitedMs });
    }
    this.#last = to;
    this.#lastRanMs = ran;
    this.#lastWaitedMs = waited ?? 0;
  }

  #collected(entries: readonly { readonly startTime: number; readonly duration: number }[]): void {
    for (const { startTime, duration } of entries) this.#collections.push({ from: startTime, to: startTime + duration });
  }
}

/** How long this thread was ready to run and had no core, all in all. Linux tells it. */
class WaitingTime {
  static readonly #FILE = '/proc/thread-self/schedstat';
  readonly #descriptor: number;
  readonly #text = Buffer.alloc(128);

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  static open(): WaitingTime | undefined {
    return fs.existsSync(WaitingTime.#FILE) ? new WaitingTime(fs.openSync(WaitingTime.#FILE, 'r')) : undefined;
  }

  get ms(): number {
    const length = fs.readSync(this.#descriptor, this.#text, 0, this.#text.length, 0);
    // Nanoseconds on a core, nanoseconds waiting for one, and turns.
    return Number(this.#text.toString('latin1', 0, length).split(' ')[1]) / 1e6;
  }

  close(): void {
    fs.closeSync(this.#descriptor);
  }
}

/** User and system time of this thread. */
function ranMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1e3;
}

function lengthOf({ from, to }: Span): number {
  return to - from;
}

function overlap(gap: Span, spans: readonly Span[]): number {
  return spans.reduce((sum, { from, to }) => sum + Math.max(0, Math.min(to, gap.to) - Math.max(from, gap.from)), 0);
}
