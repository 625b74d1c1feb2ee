import type { Commit, ExactPosition, Frame, Journal } from '@evertree/core';
import type { JournalOptions } from '@evertree/journal';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Loopback } from '../support/loopback.ts';
import { allowErrors } from '../support/reports.ts';
import { SimulatedPrimary, SimulatedSecondary } from '../support/replica.ts';
import { ScriptedSource } from '../support/scripted-source.ts';
import { Simulation } from '../support/simulation.ts';

/** What may happen to a pair, in any order. */
type Action =
  | { readonly do: 'commit'; readonly count: number }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'delay'; readonly ms: number }
  | { readonly do: 'slow-disk'; readonly ms: number }
  | { readonly do: 'snapshot' }
  | { readonly do: 'cut' | 'half-open' | 'partition' | 'join' | 'second-link' }
  | { readonly do: 'kill-primary' | 'stop-primary' | 'kill-secondary' | 'stop-secondary' | 'unplug-primary' | 'unplug-secondary' | 'start' }
  | { readonly do: 'fill-disk' | 'free-disk' };

const simple = (...names: readonly Action['do'][]): fc.Arbitrary<Action> => fc.constantFrom(...names).map(name => ({ do: name }) as Action);

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('commit' as const), count: fc.integer({ min: 1, max: 40 }) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 120 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delay' as const), ms: fc.constantFrom(0, 5, 80) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('slow-disk' as const), ms: fc.constantFrom(1, 30) }) },
  { weight: 3, arbitrary: simple('cut', 'half-open', 'partition', 'join', 'second-link') },
  {
    weight: 4,
    arbitrary: simple('kill-primary', 'stop-primary', 'kill-secondary', 'stop-secondary', 'unplug-primary', 'unplug-secondary'),
  },
  { weight: 6, arbitrary: simple('start') },
  { weight: 1, arbitrary: simple('fill-disk', 'free-disk') },
);

const actionWithRetention = fc.oneof({ weight: 8, arbitrary: action }, { weight: 1, arbitrary: simple('snapshot') });

/** A primary, a secondary and the network between them, and what they promise, checked as it goes. */
class Pair {
  readonly simulation: Simulation;
  readonly network: Loopback;
  readonly primary: SimulatedPrimary;
  readonly secondary: SimulatedSecondary;
  /** The last revision that was acknowledged to have reached the secondary's disk, and where that was not true. */
  acknowledged = 0;
  readonly lies: string[] = [];
  /** Every value of /sequence that the secondary's listener was told, in order; null where it began anew. */
  readonly seen: (number | null)[] = [];
  /** What an archive of the primary has; the secondary reads it after `readArchive`. */
  readonly archived: Frame[] = [];

  constructor(seed: number) {
    this.simulation = new Simulation(seed);
    this.network = new Loopback(this.simulation);
    this.primary = new SimulatedPrimary('a', this.network, this.simulation, ['b']);
    this.secondary = new SimulatedSecondary('b', this.network, this.simulation);
    this.primary.limits = { windowBytes: 2048 };
    this.secondary.limits = { pendingBytes: 4096, recentFrames: 4 };
  }

  async act(what: Action): Promise<void> {
    const { simulation, network, primary, secondary } = this;
    switch (what.do) {
      case 'commit':
        return this.#commit(what.count);
      case 'pass':
        return simulation.pass(what.ms);
      case 'delay':
        network.delayMs = [0, what.ms];
        return;
      case 'slow-disk':
        return secondary.setLatency(what.ms);
      case 'cut':
        return network.cut();
      case 'half-open':
        return network.halfOpen();
      case 'partition':
        network.up = false;
        return network.cut();
      case 'join':
        network.up = true;
        return;
      case 'second-link':
        if (primary.isRunning) network.duplicate(primary.transport);
        return;
      case 'kill-primary':
        return primary.kill(false);
      case 'unplug-primary':
        return primary.kill(true);
      case 'stop-primary':
        return primary.isRunning ? simulation.during(primary.stop()) : undefined;
      case 'kill-secondary':
        return secondary.kill(false);
      case 'unplug-secondary':
        return secondary.kill(true);
      case 'stop-secondary':
        secondary.setFull(false);
        return secondary.isRunning ? simulation.during(secondary.stop()) : undefined;
      case 'start':
        return this.start();
      case 'fill-disk':
      case 'free-disk':
        if (secondary.isRunning) secondary.setFull(what.do === 'fill-disk');
        return;
      case 'snapshot':
        if (!primary.isRunning) return;
        await this.#archive();
        await simulation.during(primary.store.saveSnapshot());
    }
  }

  /** The secondary takes from the archive what its primary no longer keeps, a frame a millisecond or so. */
  readArchive(): void {
    const { clock } = this.simulation;
    const source = new ScriptedSource(() => this.archived);
    source.before = () => new Promise<void>(resolve => void clock.after(this.simulation.below(3), resolve));
    this.secondary.earlierFrames = source;
  }

  /** Retention follows a snapshot: everything is archived before. */
  async #archive(): Promise<void> {
    const { store } = this.primary;
    await this.simulation.during(store.flush());
    this.archived.push(...(await this.simulation.during(framesAfter(store.journal, this.archived.at(-1)?.header.last))));
  }

  async start(): Promise<void> {
    const { simulation, primary, secondary } = this;
    if (!secondary.isRunning) {
      await simulation.during(secondary.start());
      this.#checkRecovered();
      this.#listen();
    }
    if (!primary.isRunning) await simulation.during(primary.start());
  }

  /** Ends all faults, and waits until the two trees are equal. */
  async settle(): Promise<void> {
    const { simulation, network, primary, secondary } = this;
    network.up = true;
    network.delayMs = [0, 1];
    await this.start();
    secondary.setLatency(1);
    secondary.setFull(false);
    this.#commit(1);
    const equal = (): boolean =>
      secondary.store.journal.log.stable.revision === primary.store.position.revision && primary.producer.peers[0]?.lagRevisions === 0;
    await simulation.until(equal, 60_000, () =>
      JSON.stringify([primary.producer.peers, secondary.consumer.state, primary.reports.slice(-5), secondary.reports.slice(-5)], null, 1),
    );
    await simulation.pass(500);
  }

  #commit(count: number): void {
    const { primary } = this;
    if (!primary.isRunning) return;
    const { store } = primary;
    for (let index = 0; index < count; index++) {
      const next = Number(store.get('/sequence') ?? 0) + 1;
      const commit = store.transact(tx => {
        tx.put('/sequence', next);
        tx.put(`/wide/${next % 17}`, { next, text: 'x'.repeat(next % 50) });
        if (next % 5 === 0) tx.delete(`/wide/${(next * 7) % 17}`);
      });
      void this.#expectAcknowledged(commit);
    }
  }

  /** An acknowledgement means that the revision is on the secondary's disk, now and after whatever happens to it. */
  async #expectAcknowledged(commit: Commit): Promise<void> {
    const { revision } = commit.position;
    try {
      await commit.acknowledged(1);
    } catch {
      // Its process has ended.
      return;
    }
    this.acknowledged = Math.max(this.acknowledged, revision);
    if (this.secondary.isRunning) this.#checkRecovered();
  }

  #checkRecovered(): void {
    const { revision } = this.secondary.store.journal.log.stable;
    if (revision < this.acknowledged) this.lies.push(`${this.acknowledged} was acknowledged, and the secondary has ${revision}`);
  }

  #listen(): void {
    this.seen.push(null);
    this.secondary.store.listen('/sequence', batch => {
      for (const change of batch.changes) if (typeof change.after === 'number') this.seen.push(change.after);
    });
  }
}

/** The trees are equal, nothing acknowledged is lost, and the primary found no secondary ahead of it. */
function expectEqual({ primary, secondary, acknowledged, lies }: Pair): void {
  expect(lies).toEqual([]);
  expect(secondary.store.digest).toBe(primary.store.digest);
  expect(secondary.store.get('')).toEqual(primary.store.get(''));
  expect(secondary.store.position).toEqual(primary.store.position);
  expect(primary.store.state).toBe('open');
  expect(primary.store.position.revision).toBeGreaterThanOrEqual(acknowledged);
  expect(secondary.quarantined).toEqual([]);
  expect(primary.producer.peers).toMatchObject([{ site: 'b', state: 'replicate', lagRevisions: 0, lagMs: 0 }]);
  expect(secondary.consumer.state).toMatchObject({ state: 'replicating', primary: { site: 'a' }, lag: { revisions: 0, ms: 0 } });
}

async function run(seed: number, actions: readonly Action[], journal: JournalOptions = {}, fromArchive = false): Promise<Pair> {
  const pair = new Pair(seed);
  pair.primary.journalOptions = { ...pair.primary.journalOptions, ...journal };
  if (fromArchive) pair.readArchive();
  await pair.start();
  // A secondary that holds nothing takes the whole tree.
  if (fromArchive) await pair.settle();
  for (const what of actions) await pair.act(what);
  await pair.settle();
  expectEqual(pair);
  return pair;
}

const schedule = { minLength: 10, maxLength: 60, size: 'max' } as const;
const seeds = fc.integer({ min: 1, max: 0x7fff_ffff });

describe('a pair, after any schedule of commits, faults and restarts', () => {
  it('has equal trees, each change applied once and in order, and no full copy', async () => {
    allowErrors('storage-full');
    let told = 0;
    await fc.assert(
      fc.asyncProperty(seeds, fc.array(action, schedule), async (seed, actions) => {
        const pair = await run(seed, actions);
        expect(pair.primary.events('peer-resync')).toEqual([]);
        expectEachOnce(pair.seen);
        told += pair.seen.length;
      }),
      { numRuns: 120, endOnFailure: false },
    );
    expect(told, 'changes that the listener was told of in all of these schedules').toBeGreaterThan(1000);
  });

  it("has equal trees even if retention removes the secondary's next frame", async () => {
    allowErrors('storage-full');
    let resyncs = 0;
    await fc.assert(
      fc.asyncProperty(seeds, fc.array(actionWithRetention, schedule), async (seed, actions) => {
        const pair = await run(seed, actions, { segmentBytes: 2048, retentionMaxBytes: 6000 });
        resyncs += pair.primary.events('peer-resync').length;
        expectRising(pair.seen);
      }),
      { numRuns: 120, endOnFailure: false },
    );
    expect(resyncs, 'full copies in all of these schedules').toBeGreaterThan(0);
  });
});

describe('a pair with an archive, after any schedule of commits, faults and restarts', () => {
  it('has equal trees, each change applied once and in order, and no full copy, whatever retention removes', async () => {
    allowErrors('storage-full');
    let caughtUp = 0;
    await fc.assert(
      fc.asyncProperty(seeds, fc.array(actionWithRetention, schedule), async (seed, actions) => {
        const pair = await run(seed, actions, { segmentBytes: 2048, retentionMaxBytes: 6000 }, true);
        expect(pair.primary.events('peer-resync')).toEqual([]);
        expect(pair.secondary.events('catch-up-failed').filter(({ level }) => level === 'warn')).toEqual([]);
        expectEachOnce(pair.seen);
        caughtUp += pair.secondary.events('catch-up-done').length;
      }),
      { numRuns: 120, endOnFailure: false },
    );
    expect(caughtUp, 'times that the archive was read in all of these schedules').toBeGreaterThan(0);
  });
});

/** Between two beginnings each value is the one before it plus one: nothing was skipped or repeated. */
function expectEachOnce(seen: readonly (number | null)[]): void {
  for (let index = 1; index < seen.length; index++) {
    const before = seen[index - 1];
    const value = seen[index];
    if (typeof before === 'number' && typeof value === 'number') expect(value, `after ${before} in ${seen.join()}`).toBe(before + 1);
  }
}

function expectRising(seen: readonly (number | null)[]): void {
  for (let index = 1; index < seen.length; index++) {
    const before = seen[index - 1];
    const value = seen[index];
    if (typeof before === 'number' && typeof value === 'number') expect(value, `after ${before} in ${seen.join()}`).toBeGreaterThan(before);
  }
}

async function framesAfter({ log }: Journal, after: ExactPosition = log.base): Promise<Frame[]> {
  const frames: Frame[] = [];
  const reader = log.read(after);
  for (let stored = await reader.next(); stored !== undefined; stored = await reader.next()) frames.push(stored.frame);
  await reader.close();
  return frames;
}
