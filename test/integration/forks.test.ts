import { decodeChangeSets, formatPosition } from '@evertree/core';
import { beforeEach, describe, expect, it } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { Loopback } from '../support/loopback.ts';
import { SimulatedMember } from '../support/replica.ts';
import { allowErrors, expectErrors } from '../support/reports.ts';
import { Simulation } from '../support/simulation.ts';

/**
 * Sites whose histories part, with real stores and journals on virtual disks. Each commit puts a value of its own at a key
 * of its own, so that what became of each can be told by content.
 */
let simulation: Simulation;
let network: Loopback;
let sites: Record<'a' | 'b' | 'c', SimulatedMember>;
/** All values that were ever written. */
let written: string[];

beforeEach(() => {
  simulation = new Simulation(23);
  network = new Loopback(simulation);
  const member = (name: string, ...others: string[]) => new SimulatedMember(name, network, simulation, others);
  sites = { a: member('a', 'b', 'c'), b: member('b', 'a', 'c'), c: member('c', 'a', 'b') };
  written = [];
});

async function write(site: SimulatedMember, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const value = `${site.name}${written.length}`;
    written.push(value);
    site.store.put(['values', value], value);
    site.store.cut();
  }
  await simulation.during(site.store.flush());
}

/** a leads, and the others follow it as far as they are started. */
async function begin(...followers: SimulatedMember[]): Promise<void> {
  for (const site of followers) {
    await simulation.during(site.start());
    await simulation.during(site.store.follow());
  }
  await simulation.during(sites.a.start());
  await write(sites.a, 10);
  await together(sites.a, ...followers);
}

async function together(...these: SimulatedMember[]): Promise<void> {
  const told = () =>
    these.map(({ name, store }) => `${name} ${store.standing} ${formatPosition(store.position)} ${store.digest}`).join(', ');
  const isTogether = () => new Set(these.flatMap(({ store }) => [store.digest, store.stable.digest])).size === 1;
  await simulation.until(isTogether, 60_000, told);
}

async function divergedAt({ store }: SimulatedMember): Promise<string[]> {
  const values: string[] = [];
  for (const { name } of store.journal.divergences.list()) {
    for await (const { frame } of store.journal.divergences.read(name)) {
      for (const { operations } of decodeChangeSets(frame)) values.push(...operations.map(({ path }) => String(path.at(-1))));
    }
  }
  return values;
}

const valuesAt = ({ store }: SimulatedMember) => Object.keys(store.get<Record<string, string>>('/values') ?? {});

/** Every value is in the common history, or in a listed divergence: exactly one of the two. */
async function accountForAll(...these: SimulatedMember[]): Promise<void> {
  const [winner] = these;
  const held = new Set(valuesAt(winner!));
  const lost = written.filter(value => !held.has(value));
  const listed = new Set((await Promise.all(these.map(divergedAt))).flat());
  expect(lost.filter(value => !listed.has(value))).toEqual([]);
}

function isolate(): void {
  network.up = false;
  network.cut();
}

describe('an old primary', () => {
  it('is fenced by the new one at the first contact, keeps what it wrote alone, goes back and follows, without a full copy', async () => {
    allowErrors('primary-fenced', 'primary-refused');
    const { a, b } = sites;
    await begin(b);
    isolate();
    b.promote(2);
    await write(a, 5);
    await write(b, 3);
    network.up = true;
    await together(a, b);
    expect([a.store.standing, b.store.standing]).toEqual(['secondary', 'primary']);
    expect(a.store.journal.divergences.list()).toMatchObject([{ commits: 5 }]);
    expect(b.store.journal.divergences.list()).toEqual([]);
    await accountForAll(b, a);
    expect([...a.events('resync'), ...b.events('peer-resync')]).toEqual([]);
    await write(b, 2);
    await together(a, b);
  });

  it('takes no write after it has heard of the higher epoch', async () => {
    allowErrors('primary-fenced', 'primary-refused');
    const { a, b } = sites;
    await begin(b);
    isolate();
    b.promote(2);
    await write(a, 1);
    network.up = true;
    await simulation.until(
      () => a.store.standing !== 'primary',
      10_000,
      () => a.store.standing,
    );
    expect(() => a.store.put('/late', 1)).toThrow(expect.objectContaining({ code: expect.stringMatching(/^(FENCED|NOT_PRIMARY)$/) }));
    await together(a, b);
    expect(b.store.has('/late')).toBe(false);
  });

  it('that dials a site which never saw its epoch goes back all the same', async () => {
    allowErrors('primary-fenced', 'primary-refused');
    const { a, b, c } = sites;
    await begin(b, c);
    isolate();
    // c never sees epoch 2, and begins epoch 3 where epoch 1 was cut.
    b.promote(2);
    await write(b, 4);
    c.promote(3);
    await write(c, 2);
    network.up = true;
    await together(a, b, c);
    expect([a, b, c].map(({ store }) => store.standing)).toEqual(['secondary', 'secondary', 'primary']);
    await accountForAll(c, a, b);
    expect(b.store.journal.divergences.list()).toMatchObject([{ last: { epoch: 2 }, commits: 4 }]);
  });

  it('whose rewind is interrupted at any step ends at one history, and keeps one divergence', { timeout: 60_000 }, async () => {
    allowErrors('primary-fenced', 'primary-refused', 'rewind-failed', 'peer-read-failed');
    for (let step = 0; step < 30; step++) {
      simulation = new Simulation(100 + step);
      network = new Loopback(simulation);
      sites.a = new SimulatedMember('a', network, simulation, ['b']);
      sites.b = new SimulatedMember('b', network, simulation, ['a']);
      written = [];
      const { a, b } = sites;
      await begin(b);
      isolate();
      b.promote(2);
      await write(a, 5);
      await write(b, 1);
      network.up = true;
      await simulation.pass(60 + 2 * step);
      a.kill(step % 2 === 0);
      await simulation.pass(100);
      await simulation.during(a.start());
      await together(a, b);
      expect(a.store.journal.divergences.list(), `step ${step}`).toMatchObject([{ commits: 5 }]);
      await accountForAll(b, a);
    }
  });
});

describe('a new primary whose epoch is not durable', () => {
  it('makes nobody go back, and nothing is undone if its epoch is lost', async () => {
    allowErrors('primary-fenced', 'primary-refused');
    const { a, b } = sites;
    await begin(b);
    isolate();
    await write(a, 3);
    const { position, digest } = a.store;
    b.setLatency(500);
    b.promote(2);
    network.up = true;
    await simulation.pass(300);
    expect(a.store.position).toEqual(position);
    b.kill(true);
    b.setLatency(1);
    await simulation.during(b.start());
    await together(a, b);
    expect(a.store.digest).toBe(digest);
    expect([...a.store.journal.divergences.list(), ...b.store.journal.divergences.list()]).toEqual([]);
    expect(a.store.standing).toBe('primary');
  });
});

describe('a third site', () => {
  it('that is ahead of the promoted one is not said to follow before it has gone back', async () => {
    allowErrors('primary-fenced', 'primary-refused');
    const { a, b, c } = sites;
    await begin(b, c);
    b.kill(false);
    await write(a, 6);
    await together(a, c);
    a.kill(false);
    await simulation.during(b.start());
    b.promote(2);
    const states = new Set<string>();
    const ahead = c.store.position;
    await simulation.until(
      () => {
        const peer = b.producer?.peers.find(({ site }) => site === 'c');
        if (peer !== undefined) states.add(`${peer.state}${c.store.position.revision === ahead.revision ? ' ahead' : ''}`);
        return c.store.digest === b.store.digest;
      },
      60_000,
      () => [...states].join(),
    );
    expect([...states].filter(state => state === 'replicate ahead' || state === 'snapshot ahead')).toEqual([]);
    expect(states).toContain('diverged ahead');
    await accountForAll(b, c);
    expect(c.store.journal.divergences.list()).toMatchObject([{ commits: 6 }]);
  });

  it('that was stale when it was promoted costs the others nothing without a word', async () => {
    allowErrors('primary-fenced', 'primary-refused');
    const { a, b, c } = sites;
    await begin(b, c);
    c.kill(false);
    await write(a, 4);
    await together(a, b);
    for (const site of [a, b]) site.kill(true);
    await simulation.during(c.start());
    c.promote(2);
    await write(c, 2);
    for (const site of [b, a]) await simulation.during(site.start());
    await together(a, b, c);
    await accountForAll(c, a, b);
    // Both hold the same commits behind the same fork: one name.
    const names = [a, b].map(({ store }) => store.journal.divergences.list().map(({ name }) => name));
    expect(names[0]).toEqual(names[1]);
  });
});

describe('two promotions of one number', () => {
  it('have one winner, by the id, and the other one is a divergence', async () => {
    allowErrors('primary-fenced', 'primary-refused');
    const { a, b, c } = sites;
    await begin(b, c);
    isolate();
    a.kill(false);
    b.promote(2, '2'.repeat(16));
    c.promote(2, '3'.repeat(16));
    await write(b, 3);
    await write(c, 3);
    network.up = true;
    await together(b, c);
    expect([b.store.standing, c.store.standing]).toEqual(['secondary', 'primary']);
    await accountForAll(c, b);
  });
});

describe('a disk that went back in time', () => {
  it('as a primary takes no writes once it meets more of its own reign, wipes nobody, and follows whoever is promoted', async () => {
    allowErrors('primary-fenced', 'primary-refused');
    const { a, b } = sites;
    await begin(b);
    const image = a.diskImage();
    await write(a, 5);
    await together(a, b);
    a.kill(false);
    a.replaceDisk(image);
    isolate();
    await simulation.during(a.start());
    await write(a, 2);
    network.up = true;
    await simulation.until(
      () => a.store.standing !== 'primary',
      10_000,
      () => a.store.standing,
    );
    expect(() => a.store.put('/late', 1)).toThrow(/older copy of its data/);
    expect([a.store.state, a.store.stateReason?.message]).toEqual(['refusing', expect.stringMatching(/older copy of its data/)]);
    expect(valuesAt(b).length).toBe(15);
    b.promote(2);
    await together(a, b);
    expect([a.store.state, a.store.stateReason]).toEqual(['open', undefined]);
    expect(valuesAt(a).length).toBe(15);
    await accountForAll(b, a);
  });

  it('empty, as a primary, takes no writes, wipes nobody, and gets everything from whoever is promoted', async () => {
    allowErrors('primary-fenced', 'primary-refused');
    const { a, b } = sites;
    await begin(b);
    a.kill(false);
    a.replaceDisk(new FaultDisk({ blockBytes: 4096 }));
    await simulation.during(a.start());
    await simulation.until(
      () => a.store.state === 'refusing',
      10_000,
      () => a.store.state,
    );
    expect(() => a.store.put('/late', 1)).toThrow(/a is empty/);
    expect(valuesAt(b).length).toBe(10);
    b.promote(2);
    await together(a, b);
    expect(a.store.standing).toBe('secondary');
    await accountForAll(b, a);
  });
});

describe('a fence that is heard of only', () => {
  it('holds after a restart', async () => {
    expectErrors('primary-fenced');
    const { a, b } = sites;
    await begin(b);
    await simulation.during(b.store.fence({ number: 9, id: '9'.repeat(16) }, false));
    await write(a, 1);
    await simulation.until(
      () => a.store.journal.identity.fencedBy !== undefined,
      10_000,
      () => a.store.standing,
    );
    a.kill(true);
    await simulation.during(a.start());
    expect(a.store.standing).toBe('fenced');
    expect(a.store.journal.identity.fencedBy).toEqual({ number: 9, id: '9'.repeat(16), begun: false });
  });
});
