import { type ProducerFile, type Site, type SiteStore, openSite } from 'evertree';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { until } from '../support/http-site.ts';
import { RoleSites } from '../support/role-sites.ts';

const ENOUGH_MS = 20_000;

let sites: RoleSites;
afterEach(() => sites[Symbol.asyncDispose]());

function steps(site: Site): string[] {
  const told: string[] = [];
  site.on('switch', status => told.push(status?.step ?? 'none'));
  return told;
}

function thrown(call: () => unknown): unknown {
  try {
    call();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** A new commit of the site is durable at `count` secondaries. */
async function writes(site: Site, path: string, count = 1): Promise<void> {
  await site.store.put(path, true).acknowledged(count, { timeoutMs: ENOUGH_MS });
}

/** When a site stops to keep history for each of those that it feeds, or fed. */
function expiries({ store }: Site): Map<string, number | undefined> {
  return new Map(
    store.journal.leases
      .of('peer')
      .entries()
      .map(([name, { expiresAt }]) => [name, expiresAt]),
  );
}

describe('a switchover', () => {
  test('lets the secondary lead in both processes, while they run', async () => {
    sites = await RoleSites.prepare('north', 'south');
    const [north, south] = (await sites.startAll()) as [Site, Site];
    const given = steps(north);
    const taken = steps(south);
    const last = north.store.put('/a', 1);
    const result = await north.switchover();
    expect(result).toMatchObject({ outcome: 'done', from: 'north', to: 'south', obstacles: [] });
    expect(result.pauseMs).toEqual(expect.any(Number));
    expect([south.role, south.standing]).toEqual(['primary', 'primary']);
    await last.durable;
    expect(sites.reports.filter(({ event }) => event === 'reign-begun')).toMatchObject([
      { level: 'info', message: expect.stringMatching(/^south has become the primary by a switchover, in epoch 2 \(/) },
    ]);
    await writes(south, '/b');
    expect([north.role, north.standing, north.store.get('/b'), south.store.get('/a')]).toEqual(['secondary', 'secondary', true, 1]);
    expect(() => north.store.put('/c', 3)).toThrow(expect.objectContaining({ code: 'NOT_PRIMARY' }));
    expect(given).toEqual(['consent', 'handing-over', 'handed-over', 'none']);
    expect(taken).toEqual(['examining', 'consented', 'beginning', 'none']);
    expect(south.store.epochs).toMatchObject([
      { number: 1, site: 'north', end: { to: 'south', command: result.command } },
      { number: 2, site: 'south' },
    ]);
    await sites.settled(south);
  });

  test('tells writers that wait where they write from now on', async () => {
    sites = await RoleSites.prepare('north', 'south');
    const [north, south] = (await sites.startAll()) as [Site, Site];
    const held = Promise.withResolvers<unknown>();
    let refused: unknown;
    north.on('switch', status => {
      if (status?.step !== 'handing-over') return;
      refused = thrown(() => north.store.put('/held', true));
      held.resolve(north.store.writable());
    });
    await north.switchover({ to: 'south' });
    expect(refused).toMatchObject({ code: 'SWITCHING' });
    expect(await held.promise).toMatchObject({ kind: 'elsewhere', site: 'south', epoch: { number: 2 } });
    expect(south.store.has('/held')).toBe(false);
  });

  test('goes back by the same command, again and again, with nothing lost and nothing twice', async () => {
    sites = await RoleSites.prepare('north', 'south');
    let [leader, other] = (await sites.startAll()) as [Site, Site];
    for (let round = 1; round <= 10; round++) {
      leader.store.put(`/rounds/${round}`, leader.name);
      await until(() => leader.producer?.peers[0]?.state === 'replicate');
      expect(await leader.switchover({ to: other.name })).toMatchObject({ outcome: 'done' });
      expect([leader.role, leader.standing], 'the command is over when the old primary follows').toEqual(['secondary', 'secondary']);
      [leader, other] = [other, leader];
      expect(leader.store.position.epoch).toBe(round + 1);
    }
    await sites.settled(leader);
    expect(Object.keys(other.store.get<Record<string, string>>('/rounds')!)).toHaveLength(10);
    expect(other.divergences.list()).toEqual([]);
    expect(leader.store.epochs.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  });

  test('may be asked for at its target, which passes it on and tells the pause', async () => {
    sites = await RoleSites.prepare('north', 'south');
    const [north, south] = (await sites.startAll()) as [Site, Site];
    expect(await south.switchover({ dryRun: true })).toMatchObject({ possible: true, from: 'north', to: 'south', obstacles: [] });
    expect(await south.switchover({ command: 'mine' })).toMatchObject({
      command: 'mine',
      outcome: 'done',
      from: 'north',
      to: 'south',
      pauseMs: expect.any(Number),
    });
    await sites.settled(south);
    expect(north.role).toBe('secondary');
  });

  test('that is over is told again to whoever gives its command, wherever that is', async () => {
    sites = await RoleSites.prepare('north', 'south');
    const [north, south] = (await sites.startAll()) as [Site, Site];
    const { command } = await north.switchover();
    await sites.settled(south);
    for (const site of [north, south]) {
      expect(await site.switchover({ command })).toMatchObject({ command, outcome: 'done', from: 'north', to: 'south' });
    }
    expect(south.store.epochs).toHaveLength(2);
  });

  test('to the site that leads is done already', async () => {
    sites = await RoleSites.prepare('north', 'south');
    const [, south] = (await sites.startAll()) as [Site, Site];
    expect(await south.switchover({ to: 'north' })).toMatchObject({ outcome: 'done', from: 'north', to: 'north' });
    expect(south.store.epochs).toHaveLength(1);
  });

  test('takes third sites along', async () => {
    sites = await RoleSites.prepare('north', 'south', 'west');
    const [north, south, west] = (await sites.startAll()) as [Site, Site, Site];
    expect(await north.switchover()).toMatchObject({
      outcome: 'abandoned',
      obstacles: [{ code: 'target-ambiguous', text: expect.stringMatching(/south, west|west, south/) }],
    });
    expect(await north.switchover({ to: 'west' })).toMatchObject({ outcome: 'done' });
    await writes(west, '/b', 2);
    await until(() => west.producer?.peers.every(({ state }) => state === 'replicate') === true);
    expect(await west.switchover({ to: 'south' })).toMatchObject({ outcome: 'done' });
    await writes(south, '/c', 2);
    await sites.settled(south);
    for (const site of [north, west]) {
      expect(site.consumer?.state.resyncs.count).toBe(0);
      // For those that it fed nothing is kept for long any more.
      expect(expiries(site).values().toArray(), site.name).not.toContain(undefined);
    }
    expect(expiries(south)).toEqual(
      new Map([
        ['north', undefined],
        ['west', undefined],
      ]),
    );
  });
});

/** Writes at whichever site takes it, one commit after the other, until it is stopped. */
class Wanderer {
  readonly #sites: readonly Site[];
  #isStopped = false;
  /** Numbers of the commits that became durable. */
  readonly durable: number[] = [];
  readonly ended: Promise<void>;

  constructor(...all: readonly Site[]) {
    this.#sites = all;
    this.ended = this.#run();
  }

  stop(): Promise<void> {
    this.#isStopped = true;
    return this.ended;
  }

  async #run(): Promise<void> {
    let { store } = this.#sites[0]! as { store: Pick<SiteStore, 'put' | 'writable'> };
    for (let number = 0; !this.#isStopped; number++) {
      const destination = await store.writable();
      if (destination.kind === 'elsewhere') store = this.#sites.find(({ name }) => name === destination.site)!.store;
      const commit = thrown(() => store.put(`/wandered/${number}`, number).durable.then(() => this.durable.push(number)));
      if (commit !== undefined) number -= 1;
      await new Promise(resolve => setTimeout(resolve, 1));
    }
  }
}

test(
  'roles change a hundred times among three sites under load: nothing is lost, nothing is twice, no hole',
  { timeout: 120_000 },
  async () => {
    sites = await RoleSites.prepare('north', 'south', 'west');
    const all = (await sites.startAll()) as [Site, Site, Site];
    const writer = new Wanderer(...all);
    let leader: Site = all[0];
    for (let round = 1; round <= 100; round++) {
      const next = all[round % 3]!;
      const target = () => leader.producer?.peers.find(({ site }) => site === next.name)?.state;
      await until(() => target() === 'replicate');
      expect(await leader.switchover({ to: next.name })).toMatchObject({ outcome: 'done' });
      leader = next;
    }
    await writer.stop();
    await sites.settled(leader);
    for (const { store, divergences, consumer } of all) {
      const wandered = Object.values(store.get<Record<string, number>>('/wandered')!).toSorted((a, b) => a - b);
      expect(writer.durable.filter(number => wandered[number] !== number)).toEqual([]);
      expect(wandered).toEqual(wandered.map((_, index) => index));
      expect([divergences.list(), consumer?.state.resyncs.count ?? 0]).toEqual([[], 0]);
      expect(store.epochs).toHaveLength(101);
      expect(new Set(store.epochs.map(({ id }) => id)).size).toBe(101);
    }
    expect(writer.durable.length).toBeGreaterThan(100);
  },
);

function unknownOption(command: string): object {
  return { code: 'CONFIGURATION_INVALID', message: `${command}: dryrun is not known; did you mean "dryRun"?` };
}

test('a change of roles that is asked for with a misspelt option does not happen', async () => {
  sites = await RoleSites.prepare('north', 'south');
  const [north, south] = (await sites.startAll()) as [Site, Site];
  const misspelt = { dryrun: true } as object;
  await expect(north.switchover(misspelt)).rejects.toMatchObject(unknownOption('switchover'));
  await expect(south.promote(misspelt)).rejects.toMatchObject(unknownOption('promote'));
  await expect(north.switchover({ maxPauseMs: -1 })).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
  expect([north.standing, south.standing]).toEqual(['primary', 'secondary']);
});

describe('a preflight', () => {
  test('changes nothing, and foretells the pause', async () => {
    sites = await RoleSites.prepare('north', 'south');
    const [north] = (await sites.startAll()) as [Site, Site];
    const told = steps(north);
    const forecast = await north.switchover({ dryRun: true });
    expect(forecast).toEqual({
      possible: true,
      from: 'north',
      to: 'south',
      obstacles: [],
      warnings: [],
      predictedPauseMs: expect.any(Number),
    });
    expect([told, north.standing, north.store.epochs.length]).toEqual([[], 'primary', 1]);
  });

  test('tells all obstacles at once, and they keep a switchover from beginning', async () => {
    sites = await RoleSites.prepare('north', 'south');
    await sites.start('south', { role: 'secondary' }, 'standby');
    const north = await sites.start('north', { role: 'primary' }, 'primary');
    await writes(north, '/a');
    const { possible, obstacles } = await north.switchover({ dryRun: true, maxPauseMs: 0 });
    expect([possible, obstacles.map(({ code }) => code)]).toEqual([false, ['no-standby-file', 'no-primary-file', 'pause-too-long']]);
    expect(await north.switchover()).toMatchObject({ outcome: 'abandoned', pauseMs: null, obstacles: [{}, {}] });
    await writes(north, '/b');
  });

  test('tells of a target whose disk has little room', async () => {
    sites = await RoleSites.prepare('north', 'south');
    const [north, south] = (await sites.startAll()) as [Site, Site];
    vi.spyOn(south.store.journal.retention, 'freeBytes').mockResolvedValue(3.5 * 1024 * 1024);
    expect(await north.switchover({ dryRun: true })).toMatchObject({
      possible: false,
      obstacles: [
        { code: 'little-room', text: expect.stringMatching(/^the disk of south has 3\.5 MiB free, .* at least 16\.0 MiB/) as string },
      ],
    });
    expect(await north.switchover()).toMatchObject({ outcome: 'abandoned', obstacles: [{ code: 'little-room' }] });
    expect(north.standing).toBe('primary');
  });

  test('tells of a target that would not reach its primary, and names whom it reaches', async () => {
    sites = await RoleSites.prepare('north', 'south', 'west');
    const all = sites;
    await all.start('west', { role: 'secondary' });
    const { 'netty-connection': connections } = all.primary('south') as { readonly 'netty-connection': readonly object[] };
    await all.start('south', { role: 'secondary', primary: { 'netty-connection': [connections[1]] } as ProducerFile });
    const north = await all.start('north', { role: 'primary' });
    await north.store.put('/a', 1).acknowledged(2, { timeoutMs: 20_000 });
    expect(await north.switchover({ to: 'south', dryRun: true })).toMatchObject({
      obstacles: [
        { code: 'primary-unreachable', text: expect.stringMatching(/^south does not reach north .*; it reaches west;/) as string },
      ],
    });
  });

  test('names a target that nobody knows, and one that is away', async () => {
    sites = await RoleSites.prepare('north', 'south');
    const [north] = (await sites.startAll()) as [Site, Site];
    expect(await north.switchover({ to: 'east', dryRun: true })).toMatchObject({ obstacles: [{ code: 'target-unknown' }] });
    await sites.stop('south');
    await until(() => north.producer?.peers[0]?.state === 'offline');
    expect(await north.switchover({ to: 'south', dryRun: true })).toMatchObject({ obstacles: [{ code: 'target-not-replicating' }] });
  });

  test('there is none to cancel where no switchover is under way', async () => {
    sites = await RoleSites.prepare('north', 'south');
    const [north] = (await sites.startAll()) as [Site, Site];
    await expect(north.switchover({ cancel: true })).rejects.toMatchObject({ code: 'WRONG_ROLE' });
    expect(north.standing).toBe('primary');
  });
});

describe('after a restart (rules 9, 12 and 13)', () => {
  test('a primary that has handed over takes no writes, feeds its target, and the switchover goes on by itself', async () => {
    sites = await RoleSites.prepare('north', 'south');
    await sites.startAll();
    await sites.leaveHandover('north', 'south', 'c1');
    await sites.stop('south');
    const north = await sites.start('north');
    expect([north.standing, north.switching]).toMatchObject(['handing-over', { command: 'c1', step: 'handed-over', to: 'south' }]);
    expect(() => north.store.put('/a', 1)).toThrow(expect.objectContaining({ code: 'SWITCHING' }));
    const south = await sites.start('south');
    await until(() => south.standing === 'primary');
    await writes(south, '/b');
    await sites.settled(south);
    expect([north.role, north.switching]).toEqual(['secondary', undefined]);
    expect(await north.switchover({ command: 'c1' })).toMatchObject({ outcome: 'done', to: 'south' });
  });

  test('the same command waits for what goes on by itself', async () => {
    sites = await RoleSites.prepare('north', 'south');
    await sites.startAll();
    await sites.leaveHandover('north', 'south', 'c1');
    await sites.stop('south');
    const north = await sites.start('north');
    const result = north.switchover({ to: 'south' });
    await sites.start('south');
    expect(await result).toMatchObject({ command: 'c1', outcome: 'done' });
  });

  test('a target that has declined makes the old primary go on, in the epoch after the one that it would have begun', async () => {
    sites = await RoleSites.prepare('north', 'south');
    const [, south] = (await sites.startAll()) as [Site, Site];
    await south.store.journal.identity.decline('c1');
    await sites.leaveHandover('north', 'south', 'c1');
    const north = await sites.start('north');
    await until(() => north.standing === 'primary');
    await writes(north, '/a');
    // The second is the restart entry before the handover.
    expect(north.store.epochs.map(({ number, site }) => [number, site])).toEqual([
      [1, 'north'],
      [1, 'north'],
      [3, 'north'],
    ]);
    expect(await north.switchover({ command: 'c1' })).toMatchObject({ outcome: 'abandoned' });
    await sites.settled(north);
    expect(await south.switchover({ command: 'c1' })).toMatchObject({ outcome: 'abandoned' });
  });

  test('a switchover that is cancelled goes back where its target declines', async () => {
    sites = await RoleSites.prepare('north', 'south');
    await sites.startAll();
    await sites.leaveHandover('north', 'south', 'c1');
    await sites.stop('south');
    const north = await sites.start('north');
    const cancelled = north.switchover({ cancel: true });
    await until(() => north.switching?.step === 'withdrawing');
    await sites.start('south');
    expect(await cancelled).toMatchObject({ command: 'c1' });
    await until(() => north.standing === 'primary');
    expect(await north.switchover({ command: 'c1' })).toMatchObject({ outcome: 'abandoned' });
    await writes(north, '/a');
  });
});

describe('a target that has the handover, and has not begun (rule 13)', () => {
  test('does not begin by itself', async () => {
    sites = await RoleSites.prepare('north', 'south');
    await sites.startAll();
    await sites.leaveDelivered('north', 'south', 'c1');
    const south = await sites.start('south');
    expect([south.standing, south.store.epochs.at(-1)?.end]).toEqual(['secondary', { to: 'south', command: 'c1' }]);
  });

  test('begins when the command is given again there, and the old primary follows', async () => {
    sites = await RoleSites.prepare('north', 'south');
    await sites.startAll();
    await sites.leaveDelivered('north', 'south', 'c1');
    const south = await sites.start('south');
    expect(await south.switchover()).toMatchObject({ command: 'c1', outcome: 'done', from: 'north', to: 'south' });
    await sites.start('north');
    await writes(south, '/a');
  });

  test('never begins when it was cancelled there, and the old primary goes on', async () => {
    sites = await RoleSites.prepare('north', 'south');
    await sites.startAll();
    await sites.leaveDelivered('north', 'south', 'c1');
    const south = await sites.start('south');
    expect(await south.switchover({ cancel: true })).toMatchObject({ command: 'c1', outcome: 'abandoned' });
    const north = await sites.start('north');
    await until(() => north.standing === 'primary');
    await writes(north, '/a');
    expect([north.store.position.epoch, south.role]).toEqual([3, 'secondary']);
  });
});

describe('the role at a start', () => {
  test('is the one of the history where the site has the files of both roles, whatever it was started as before', async () => {
    sites = await RoleSites.prepare('north', 'south');
    const [north, south] = (await sites.startAll()) as [Site, Site];
    await north.switchover();
    await sites.settled(south);
    await sites.stop('north');
    await sites.stop('south');
    const again = await sites.start('south', { role: 'secondary' });
    const other = await sites.start('north', { role: 'primary' });
    expect([again.role, other.role]).toEqual(['primary', 'secondary']);
    expect(sites.reports.filter(({ event }) => event === 'role-kept')).toHaveLength(2);
    await writes(again, '/a');
  });

  test("is refused on a secondary's directory with a primary's file alone, with what to do", async () => {
    sites = await RoleSites.prepare('north', 'south');
    await sites.startAll();
    await sites.stop('south');
    const alone = { data: sites.data('south'), primary: sites.primary('south') };
    await expect(openSite(alone)).rejects.toMatchObject({
      code: 'WRONG_ROLE',
      message: expect.stringMatching(/belongs to a secondary.*add --promote: commits that only its old primary has are then left behind/),
    });
  });

  test("changes with promote, the ancestor's way: stop both, start each with the other's file", async () => {
    sites = await RoleSites.prepare('north', 'south');
    const [before] = (await sites.startAll()) as [Site, Site];
    await sites.settled(before);
    await sites.stop('north');
    await sites.stop('south');
    const south = await sites.start('south', { promote: true }, 'primary');
    expect([south.standing, south.store.position.epoch]).toEqual(['primary', 2]);
    const north = await sites.start('north');
    await writes(south, '/a');
    expect([north.role, north.store.get('/a'), north.divergences.list()]).toEqual(['secondary', true, []]);
  });
});
