import { join } from 'node:path';
import type { OpenStoreOptions } from 'evertree';
import type { Beat } from '../beat.ts';
import { until } from '../clock.ts';
import type { Shape } from '../shape.ts';
import { SiteProcess } from '../site/site-process.ts';
import type { Stage } from '../site/stage-probe.ts';
import { freePort } from './free-port.ts';
import { type Wire, webSocketWire } from './wires.ts';

export interface Throughput {
  /** Changes a second, from the first commit until the last one is visible at the secondary. */
  readonly visiblePerSecond: number;
  /** The same, until the last one is durable at both. */
  readonly durablePerSecond: number;
  /** User and system, microseconds a change. */
  readonly primaryCpuUs: number;
  readonly secondaryCpuUs: number;
  readonly bytesPerChange: number;
}

export interface PairOptions {
  readonly profiles?: string | undefined;
  /** Of the primary. */
  readonly journal?: OpenStoreOptions['journal'];
  /** Both sites note when changes reach each stage of their way. */
  readonly probed?: boolean;
  /** A WebSocket of its own, unless given. */
  readonly wire?: Wire;
  /** Node's own, of both processes. */
  readonly flags?: readonly string[];
}

/** A primary and a secondary, each a process with a directory of its own, and the wire between them. */
export class Pair {
  readonly #directory: string;
  readonly #profiles: string | undefined;
  readonly #wire: Wire;
  readonly #probed: boolean;
  #secondaries = 0;
  readonly #flags: readonly string[];
  primary: SiteProcess;
  secondary: SiteProcess | undefined;

  private constructor(directory: string, wire: Wire, { profiles, probed = false, flags = [] }: PairOptions) {
    this.#directory = directory;
    this.#profiles = profiles;
    this.#wire = wire;
    this.#probed = probed;
    this.#flags = flags;
    this.primary = new SiteProcess(flags);
  }

  /** A filled primary; no secondary yet. */
  static async start(directory: string, shape: Shape, options: PairOptions = {}): Promise<Pair> {
    const { wire = webSocketWire(await freePort()) } = options;
    const pair = new Pair(directory, wire, options);
    await pair.#fill(shape, options);
    return pair;
  }

  /** A filled primary and its secondary, which holds what the primary holds. */
  static async startConnected(directory: string, shape: Shape, options: PairOptions = {}): Promise<Pair> {
    const { wire = webSocketWire(await freePort()) } = options;
    const pair = new Pair(directory, wire, options);
    // The secondary's process starts meanwhile; it is fed when the primary is filled.
    await Promise.all([pair.#fill(shape, options), pair.startSecondary()]);
    await pair.feed();
    await pair.equal();
    return pair;
  }

  get primaryDirectory(): string {
    return join(this.#directory, 'primary');
  }

  get secondaryDirectory(): string {
    return join(this.#directory, `secondary-${this.#secondaries}`);
  }

  /** Starts the secondary on the directory that the last one had, if there was one. */
  async startSecondary(): Promise<SiteProcess> {
    const secondary = new SiteProcess(this.#flags);
    this.secondary = secondary;
    await secondary.call('open', { data: this.secondaryDirectory });
    if (this.#probed) await secondary.call('watchStages', this.secondaryDirectory, 'secondary');
    await secondary.call('follow', this.#wire.secondary);
    return secondary;
  }

  /** The next secondary starts with an empty directory. */
  freshSecondary(): void {
    this.#secondaries++;
  }

  async feed(): Promise<void> {
    await this.primary.call('feed', this.#wire.primary);
  }

  /** A secondary, fed until it holds what the primary holds. */
  async connect(): Promise<void> {
    await this.startSecondary();
    await this.feed();
    await this.equal();
  }

  /** Waits until both hold the same, durably, and checks that their digests agree. */
  async equal(): Promise<void> {
    const { revision, digest } = await this.primary.call('state');
    const secondary = this.#connected;
    await secondary.call('arrival', revision, 'durable');
    const theirs = await secondary.call('state');
    await until('the primary knows', async () => ((await this.primary.call('peer', theirs.site))?.durable ?? -1) >= revision);
    if (theirs.digest !== digest) throw new Error(`the trees differ at ${revision}: ${digest} and ${theirs.digest}`);
  }

  async throughput(count: number): Promise<Throughput> {
    const { primary } = this;
    const secondary = this.#connected;
    const { revision } = await primary.call('state');
    const before = await this.#counters();
    const visible = secondary.call('arrival', revision + count, 'visible');
    const { startedMs, settledMs } = await primary.call('write', count, 1, this.#wire.window);
    const after = await this.#counters();
    const visibleMs = await visible;
    await this.#settled(revision + count);
    return {
      visiblePerSecond: (count / (visibleMs - startedMs)) * 1e3,
      durablePerSecond: (count / (settledMs - startedMs)) * 1e3,
      primaryCpuUs: (after.primaryUs - before.primaryUs) / count,
      secondaryCpuUs: (after.secondaryUs - before.secondaryUs) / count,
      bytesPerChange: (after.sentBytes - before.sentBytes) / count,
    };
  }

  /** @returns for each change, milliseconds from its commit until it was visible at the secondary */
  async lag(beat: Beat): Promise<Float64Array> {
    const { revision } = await this.primary.call('state');
    const seen = this.#connected.call('arrivals', revision, beat.count);
    const made = await this.primary.call('writeSteadily', beat);
    const lags = (await seen).map((time, index) => time - made[index]!);
    await this.#settled(revision + beat.count);
    return lags;
  }

  /** @returns when each change was made, and when it reached each stage */
  async stages(beat: Beat): Promise<Record<Stage | 'made', Float64Array>> {
    const { revision } = await this.primary.call('state');
    // What was noted before is dropped.
    await this.#stages(revision, 0);
    const made = await this.primary.call('writeSteadily', beat);
    await this.equal();
    return { made, ...(await this.#stages(revision, beat.count)) };
  }

  async #stages(first: number, count: number): Promise<Record<Stage, Float64Array>> {
    const ours = await this.primary.call('stages', first, count);
    const theirs = await this.#connected.call('stages', first, count);
    return { ...ours, ...theirs } as Record<Stage, Float64Array>;
  }

  /** One writer that waits for the secondary's acknowledgement each time. @returns both in milliseconds from the commit */
  async acknowledged(count: number): Promise<{ readonly told: Float64Array; readonly durable: Float64Array }> {
    const { revision } = await this.primary.call('state');
    const seen = this.#connected.call('arrivals', revision, count, 'durable');
    const { made, acknowledged } = await this.primary.call('writeAcknowledged', count);
    const since = (times: Float64Array) => times.map((time, index) => time - made[index]!);
    return { told: since(acknowledged), durable: since(await seen) };
  }

  /** Runs something under a profiler on both sides, and leaves the profiles in the directory for them. */
  async profiled<T>(label: string, run: () => Promise<T>): Promise<T> {
    const sides = [['primary', this.primary] as const, ['secondary', this.#connected] as const];
    for (const [, side] of sides) await side.call('profile');
    const result = await run();
    for (const [name, side] of sides) await side.call('saveProfile', join(this.#profiles ?? '.', `${label}-${name}.cpuprofile`));
    return result;
  }

  async close(): Promise<void> {
    await this.secondary?.kill();
    await this.primary.kill();
  }

  get #connected(): SiteProcess {
    if (this.secondary === undefined) throw new Error('there is no secondary');
    return this.secondary;
  }

  /** What is still to be written or indexed would be in the next contestant's turn. */
  async #settled(revision: number): Promise<void> {
    const secondary = this.#connected;
    await secondary.call('arrival', revision, 'durable');
    await Promise.all([this.primary.call('indexed'), secondary.call('indexed')]);
  }

  async #fill(shape: Shape, { journal = {} }: PairOptions): Promise<void> {
    await this.primary.call('open', { data: this.primaryDirectory, journal });
    await this.primary.call('fill', shape);
    await this.primary.call('aim', shape);
    if (this.#probed) await this.primary.call('watchStages', this.primaryDirectory, 'primary');
  }

  async #counters(): Promise<{ primaryUs: number; secondaryUs: number; sentBytes: number }> {
    const secondaryUs = await this.#connected.call('cpu');
    const primaryUs = await this.primary.call('cpu');
    return { primaryUs, secondaryUs, sentBytes: await this.primary.call('sentBytes') };
  }
}
