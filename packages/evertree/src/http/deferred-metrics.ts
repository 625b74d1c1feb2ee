import type { Site } from '../site/site.ts';
import type { WriteAdmission } from './admission.ts';
import { EventLoopLag } from './event-loop-lag.ts';
import type { Metrics } from './metrics.ts';

/** The client of Prometheus takes 36 ms of the main thread to load: a site that starts answers before that. */
const LOAD_AFTER_MS = 500;
/** Records that wait for it. At this number it is loaded at once; while it loads some more may come. */
const HELD_LIMIT = 1_000;

/** The metrics of one site. They are made at the first scrape, or soon after the start; nothing is uncounted before. */
export class DeferredMetrics implements Disposable {
  readonly #make: () => Promise<Metrics>;
  readonly #stack = new DisposableStack();
  readonly #timer: NodeJS.Timeout;
  #metrics: Metrics | undefined;
  #loading: Promise<Metrics> | undefined;
  /** In their order; empty once the metrics are made. */
  #held: ((metrics: Metrics) => void)[] = [];

  /** @param watches how many are open */
  constructor(site: Site, admission: WriteAdmission, watches: () => number) {
    const lag = this.#stack.use(new EventLoopLag());
    const startedAt = site.store.stable.position.revision;
    this.#make = async () => {
      const { Metrics: loaded } = await import('./metrics.ts');
      return new loaded(site, { admission, watches, lag, startedAt });
    };
    this.#stack.use(site.on('resync', ({ reason }) => this.#record(metrics => metrics.resynced(reason.code))));
    this.#stack.use(site.on('role', role => this.#record(metrics => metrics.roleChanged(role))));
    this.#stack.use(site.on('divergence', () => this.#record(metrics => metrics.diverged())));
    this.#stack.use(site.on('two-primaries', () => this.#record(metrics => metrics.heardRival())));
    this.#timer = setTimeout(() => void this.load(), LOAD_AFTER_MS).unref();
  }

  load(): Promise<Metrics> {
    return (this.#loading ??= this.#load());
  }

  answered(method: string, route: string, status: number, seconds: number): void {
    this.#record(metrics => metrics.answered(method, route, status, seconds));
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#stack.dispose();
  }

  async #load(): Promise<Metrics> {
    clearTimeout(this.#timer);
    const metrics = await this.#make();
    this.#metrics = metrics;
    for (const record of this.#held) record(metrics);
    this.#held = [];
    return metrics;
  }

  #record(record: (metrics: Metrics) => void): void {
    if (this.#metrics !== undefined) return record(this.#metrics);
    this.#held.push(record);
    if (this.#held.length >= HELD_LIMIT) void this.load();
  }
}
