import { decodeChangeSets, formatPosition, highestEpoch, isEvertreeError } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import { Loopback } from '../support/loopback.ts';
import { SimulatedMember } from '../support/replica.ts';
import { allowErrors } from '../support/reports.ts';
import { Simulation } from '../support/simulation.ts';

const NAMES = ['a', 'b', 'c'];
const SEEDS = 60;

/** Three sites that may all lead, and what befalls them. */
class World {
  readonly simulation: Simulation;
  readonly network: Loopback;
  readonly sites: SimulatedMember[];
  /** Values whose commit was told to be durable. */
  readonly durable: string[] = [];
  readonly log: string[] = [];
  #count = 0;

  constructor(seed: number) {
    this.simulation = new Simulation(seed);
    this.network = new Loopback(this.simulation);
    this.sites = NAMES.map(name => {
      const site = new SimulatedMember(
        name,
        this.network,
        this.simulation,
        NAMES.filter(other => other !== name),
      );
      site.latencyMs = 1 + this.simulation.below(3);
      return site;
    });
  }

  async begin(): Promise<void> {
    const [a, ...others] = this.sites;
    for (const site of others) {
      await this.simulation.during(site.start());
      await this.simulation.during(site.store.follow());
    }
    await this.simulation.during(a!.start());
    this.write(a!);
    await this.simulation.pass(200);
  }

  write(site: SimulatedMember): void {
    if (!site.isRunning || site.store.standing !== 'primary' || site.store.state !== 'open') return;
    const value = `${site.name}${this.#count++}`;
    const commit = site.store.put(['values', value], value);
    site.store.cut();
    commit.durable.then(
      () => this.durable.push(value),
      () => undefined,
    );
  }

  /** Promises are asked of nobody: two sites may take one number, and the ids decide. */
  promote(site: SimulatedMember): void {
    if (!site.isRunning || site.store.standing === 'primary' || site.store.position.revision === 0) return;
    const number = numberAt(site) + 1;
    try {
      site.promote(number, Buffer.from(this.simulation.random.bytes(8)).toString('hex'));
      this.log.push(`promote ${site.name} ${number}`);
    } catch (error) {
      // It goes back just now, or heard of a higher epoch that is not recorded yet.
      if (!isEvertreeError(error, 'SWITCHING') && !isEvertreeError(error, 'HISTORY_MISMATCH')) throw error;
    }
  }

  async step(): Promise<void> {
    const { simulation, network, sites } = this;
    const site = sites[simulation.below(3)]!;
    const what = simulation.below(100);
    if (what < 40) {
      for (let n = simulation.below(6); n >= 0; n--) for (const each of sites) this.write(each);
    } else if (what < 70) await simulation.pass(simulation.below(120));
    else if (what < 76) {
      network.up = false;
      network.cut();
      this.log.push('partition');
    } else if (what < 84) {
      network.up = true;
      this.log.push('join');
    } else if (what < 87) network.cut();
    else if (what < 92) {
      this.log.push(`kill ${site.name}`);
      site.kill(simulation.below(2) === 0);
    } else if (what < 97) {
      if (!site.isRunning) await simulation.during(site.start());
    } else this.promote(site);
  }

  told(): string {
    const places = this.sites.map(site => {
      if (!site.isRunning) return `${site.name} is down`;
      const { name, store, consumer, producer } = site;
      const peers = producer?.peers.map(peer => `${peer.site} ${peer.state} ${peer.lastError}`) ?? [];
      return [`${name} ${store.standing} ${formatPosition(store.position)} ${consumer.state.state}`, ...peers].join('; ');
    });
    return [this.log.join(', '), ...places].join('\n');
  }

  async settle(): Promise<void> {
    const { simulation, network, sites } = this;
    network.up = true;
    for (const site of sites) if (!site.isRunning) await simulation.during(site.start());
    await simulation.pass(3000);
    const primaries = sites.filter(({ store }) => store.standing === 'primary');
    if (primaries.length === 0) {
      const [furthest] = sites.toSorted((a, b) => numberAt(b) - numberAt(a) || b.store.position.revision - a.store.position.revision);
      furthest!.promote(Math.max(...sites.map(numberAt)) + 1, 'f'.repeat(16));
    }
    const leaders = () => sites.filter(({ store }) => store.standing === 'primary').length;
    const digests = () => new Set(sites.flatMap(({ store }) => [store.digest, store.stable.digest])).size;
    const one = () => leaders() === 1 && digests() === 1;
    await simulation.until(one, 20_000, () => this.told());
  }

  /** The durable values that are neither in the common history nor in a divergence. */
  async unaccounted(): Promise<string[]> {
    const winner = this.sites.find(({ store }) => store.standing === 'primary')!;
    const held = new Set(Object.keys(winner.store.get<Record<string, string>>('/values') ?? {}));
    for (const { store } of this.sites) {
      for (const { name } of store.journal.divergences.list()) {
        for await (const { frame } of store.journal.divergences.read(name)) {
          for (const { operations } of decodeChangeSets(frame)) for (const { path } of operations) held.add(String(path.at(-1)));
        }
      }
    }
    return this.durable.filter(value => !held.has(value));
  }
}

/** The highest epoch's number that a site knows of. */
function numberAt({ store }: SimulatedMember): number {
  return Math.max(highestEpoch(store.epochs, store.position).number, store.journal.identity.fencedBy?.number ?? 0);
}

describe('histories that part at random', () => {
  it.each(Array.from({ length: SEEDS }, (_, index) => 1 + index))(
    'end as one, and every durable commit is in it or in a divergence (seed %d)',
    async seed => {
      allowErrors('primary-fenced', 'primary-refused', 'rewind-failed', 'peer-read-failed');
      const world = new World(seed);
      await world.begin();
      for (let step = 0; step < 120; step++) await world.step();
      await world.settle();
      expect(await world.unaccounted(), world.told()).toEqual([]);
    },
  );
});
