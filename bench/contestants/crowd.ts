import { join } from 'node:path';
import { until } from '../clock.ts';
import type { Shape } from '../shape.ts';
import { SiteProcess } from '../site/site-process.ts';
import type { Wire } from './wires.ts';

export interface CrowdRun {
  /** Changes a second of all secondaries together, each from the first commit until the last one is visible there. */
  readonly visiblePerSecond: number;
  /** User and system, microseconds a change. */
  readonly primaryCpuUs: number;
}

/** A primary and several secondaries that read one topic, each a process with a directory of its own. */
export class Crowd {
  readonly #primary = new SiteProcess();
  readonly #secondaries: readonly SiteProcess[];

  private constructor(count: number) {
    this.#secondaries = Array.from({ length: count }, () => new SiteProcess());
  }

  /** Resolves when all hold what the primary holds. */
  static async start(directory: string, shape: Shape, wire: Wire, count: number): Promise<Crowd> {
    const crowd = new Crowd(count);
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

  async throughput(count: number): Promise<CrowdRun> {
    const primary = this.#primary;
    const { revision } = await primary.call('state');
    const before = await primary.call('cpu');
    const seen = this.#each(secondary => secondary.call('arrival', revision + count, 'visible'));
    const { startedMs } = await primary.call('write', count, this.#secondaries.length);
    const primaryCpuUs = ((await primary.call('cpu')) - before) / count;
    const visiblePerSecond = (await seen).reduce((sum, time) => sum + (count / (time - startedMs)) * 1e3, 0);
    return { visiblePerSecond, primaryCpuUs };
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
