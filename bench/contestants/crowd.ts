import { join } from 'node:path';
import { until } from '../clock.ts';
import type { Shape } from '../shape.ts';
import { SiteProcess } from '../site/site-process.ts';
import type { Bursts } from '../site/writer.ts';
import type { Wire } from './wires.ts';

/**
 * V8 sizes the young generation by how fast a process has allocated. A primary that waits for eight secondaries would
 * get a smaller one and collect more often, so both get the same size.
 */
const SAME_HEAPS = ['--min-semi-space-size=16', '--max-semi-space-size=16'];

/** A primary and several secondaries that read one topic, each a process with a directory of its own. */
export class Crowd {
  readonly #primary = new SiteProcess(SAME_HEAPS);
  readonly #secondaries: readonly SiteProcess[];
  readonly #window: number;

  private constructor(count: number, window: number) {
    this.#window = window;
    this.#secondaries = Array.from({ length: count }, () => new SiteProcess());
  }

  /** Resolves when all hold what the primary holds. */
  static async start(directory: string, shape: Shape, wire: Wire, count: number): Promise<Crowd> {
    const crowd = new Crowd(count, wire.window);
    const primary = crowd.#primary;
    await primary.call('open', { data: join(directory, 'primary') });
    await primary.call('fill', shape);
    await primary.call('aim', shape);
    await primary.call('feed', wire.primary);
    await crowd.#each(async (secondary, index) => {
      await secondary.call('open', { data: join(directory, `secondary-${index}`) });
      await secondary.call('follow', wire.secondary);
    });
    await crowd.equal();
    return crowd;
  }

  /**
   * @returns changes a second of all secondaries together, each from the first commit until the last one is visible
   *   there
   */
  async throughput(count: number): Promise<number> {
    const { revision } = await this.#primary.call('state');
    const seen = this.#each(secondary => secondary.call('arrival', revision + count, 'visible'));
    const { startedMs } = await this.#primary.call('write', count, this.#secondaries.length, this.#window);
    return (await seen).reduce((sum, time) => sum + (count / (time - startedMs)) * 1e3, 0);
  }

  /** @returns what the primary takes for a change, user and system, microseconds, until all have them */
  async primaryCpu(bursts: Bursts): Promise<number> {
    const count = bursts.bursts * bursts.commits;
    const { revision } = await this.#primary.call('state');
    const seen = this.#each(secondary => secondary.call('arrival', revision + count, 'durable'));
    const before = await this.#primary.call('cpu');
    await this.#primary.call('writeInBursts', bursts);
    await seen;
    return ((await this.#primary.call('cpu')) - before) / count;
  }

  /** Waits until all hold the same, durably, and the primary knows. */
  async equal(): Promise<void> {
    const { revision, digest } = await this.#primary.call('state');
    await this.#each(async secondary => {
      await secondary.call('arrival', revision, 'durable');
      const theirs = await secondary.call('state');
      if (theirs.digest !== digest) throw new Error(`the trees differ at ${revision}: ${digest} and ${theirs.digest}`);
      await until('the primary knows', async () => ((await this.#primary.call('peer', theirs.site))?.durable ?? -1) >= revision);
    });
  }

  async close(): Promise<void> {
    await this.#each(secondary => secondary.kill());
    await this.#primary.kill();
  }

  #each<T>(run: (secondary: SiteProcess, index: number) => Promise<T>): Promise<T[]> {
    return Promise.all(this.#secondaries.map(run));
  }
}
