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
  /** CPU time of the process in it; the rest of it other processes ran, or this one waited for the disk. */
  readonly ranMs: number;
  /** The most CPU time of the process in one such stretch: other load does not lengthen it. */
  readonly mostRanMs: number;
}

interface Span {
  readonly from: number;
  readonly to: number;
}

interface Gap extends Span {
  readonly ranMs: number;
}

/** Looks for stretches in which the event loop had no turn. */
export class StallProbe {
  readonly #gaps: Gap[] = [];
  readonly #collections: Span[] = [];
  readonly #observer = new PerformanceObserver(list => this.#collected(list.getEntries()));
  #timer: NodeJS.Timeout | undefined;
  #last = performance.now();
  #lastRanMs = 0;

  start(): void {
    this.#observer.observe({ entryTypes: ['gc'] });
    this.#last = performance.now();
    this.#lastRanMs = ranMs();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  async stop(): Promise<Stalls> {
    clearInterval(this.#timer);
    await sleep(SETTLE_MS);
    this.#collected(this.#observer.takeRecords());
    this.#observer.disconnect();
    const beyond = (gap: Gap) => lengthOf(gap) - overlap(gap, this.#collections);
    const worst = this.#gaps.toSorted((a, b) => beyond(b) - beyond(a))[0];
    return {
      worstMs: Math.max(0, ...this.#gaps.map(lengthOf)),
      worstBeyondGcMs: worst === undefined ? 0 : beyond(worst),
      ranMs: worst?.ranMs ?? 0,
      mostRanMs: Math.max(0, ...this.#gaps.map(({ ranMs: ran }) => ran)),
    };
  }

  #tick(): void {
    const to = performance.now();
    const from = this.#last + TICK_MS;
    const ran = ranMs();
    if (to - from >= LEAST_GAP_MS) this.#gaps.push({ from, to, ranMs: ran - this.#lastRanMs });
    this.#last = to;
    this.#lastRanMs = ran;
  }

  #collected(entries: readonly { readonly startTime: number; readonly duration: number }[]): void {
    for (const { startTime, duration } of entries) this.#collections.push({ from: startTime, to: startTime + duration });
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
