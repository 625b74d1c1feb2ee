import { EvertreeError, type Site, openSite, openStore, startConsumer } from 'evertree';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { until } from '../support/http-site.ts';
import { allowErrors, expectErrors } from '../support/reports.ts';
import { RoleSites } from '../support/role-sites.ts';
import { freePort } from '../support/site-process.ts';

const ENOUGH_MS = 20_000;

let sites: RoleSites;
afterEach(() => sites[Symbol.asyncDispose]());

async function writes(site: Site, path: string, count = 1): Promise<void> {
  await site.store.put(path, true).acknowledged(count, { timeoutMs: ENOUGH_MS });
}

/** The primary is gone; before it went, it committed something that no secondary heard of. */
async function lastCommitLost(others: readonly string[]): Promise<void> {
  for (const name of others) await sites.stop(name);
  await sites.site('north').store.put('/lost', { by: 'north' }, { author: 'ann' }).durable;
  await sites.stop('north');
  for (const name of others) await sites.start(name);
}

describe('a promotion', () => {
  test('tells before what may be lost, and then begins an epoch (dry run, confirm)', async () => {
    sites = await RoleSites.prepare('north', 'south');
    const [north] = (await sites.startAll()) as [Site, Site];
    await sites.settled(north);
    await sites.stop('north');
    const south = sites.site('south');
    const told: string[] = [];
    south.on('switch', status => told.push(status?.step ?? 'none'));
    const { position } = south.store;
    const forecast = await south.promote({ dryRun: true });
    expect(forecast).toMatchObject({
      possible: true,
      site: 'south',
      position,
      primary: { site: 'north', position },
      lastContact: expect.any(Number),
      reached: [],
      unreached: [expect.stringMatching(/^127\.0\.0\.1:/)],
      lost: { commits: 0, more: true, paths: 'unknown', authors: 'unknown' },
      obstacles: [],
      confirm: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
    expect([told, south.standing, south.store.journal.identity.fencedBy]).toEqual([[], 'secondary', undefined]);
    await expect(south.promote({ confirm: '0'.repeat(16) })).rejects.toMatchObject({ code: 'WRONG_ROLE' });
    const result = await south.promote({ confirm: forecast.confirm });
    expect(result).toMatchObject({
      epoch: { number: 2 },
      position: { epoch: 2, revision: position.revision + 1 },
      lost: { more: true },
      unheard: forecast.unreached,
    });
    expect([south.role, told]).toEqual(['primary', ['raising', 'beginning', 'none']]);
    expect(sites.reports.filter(({ event }) => event === 'reign-begun')).toMatchObject([
      { level: 'warn', message: expect.stringMatching(/^south has become the primary by a promotion, in epoch 2 \(/) },
    ]);
    await south.store.put('/a', 1).durable;
  });

  test('counts and names commits that came here and could not be applied, and says of how many it knows', async () => {
    expectErrors('frame-quarantined');
    sites = await RoleSites.prepare('north', 'south');
    const [north, south] = (await sites.startAll()) as [Site, Site];
    await sites.settled(north);
    const applying = vi.spyOn(south.store, 'applyFrame').mockImplementation(() => {
      throw new EvertreeError('DIGEST_MISMATCH', 'its digest differs');
    });
    await north.store.put('/lost/here', 1, { author: 'ann' }).durable;
    await until(() => south.state === 'quarantined');
    await sites.stop('north');
    applying.mockRestore();
    const forecast = await south.promote({ dryRun: true, force: true });
    const lost = { commits: 1, more: true, named: 1, paths: ['/lost/here'], authors: ['ann'] };
    expect(forecast).toMatchObject({ possible: true, obstacles: [{ code: 'quarantined' }], lost });
    expect(forecast.primary?.position.revision).toBe(south.store.position.revision + 1);
    expect(await south.promote({ confirm: forecast.confirm, force: true })).toMatchObject({ epoch: { number: 2 }, lost });
  });

  test('of a secondary whose primary answers is refused: a switchover loses nothing', async () => {
    sites = await RoleSites.prepare('north', 'south');
    const [north, south] = (await sites.startAll()) as [Site, Site];
    await expect(south.promote()).rejects.toMatchObject({
      code: 'WRONG_ROLE',
      message: expect.stringMatching(/use switchover/),
      details: { obstacles: [{ code: 'primary-alive' }] },
    });
    await writes(north, '/a');
    expect(south.standing).toBe('secondary');
  });

  test('that is forced fences a primary that answers, and loses nothing of it', async () => {
    allowErrors('primary-fenced');
    sites = await RoleSites.prepare('north', 'south');
    const [north, south] = (await sites.startAll()) as [Site, Site];
    await writes(north, '/a');
    expect(await south.promote({ force: true })).toMatchObject({ epoch: { number: 2 }, lost: { commits: 0, more: false }, unheard: [] });
    await writes(south, '/b');
    await sites.settled(south);
    expect([north.role, north.store.get('/a'), north.divergences.list()]).toEqual(['secondary', true, []]);
    expect(() => north.store.put('/c', 1)).toThrow(expect.objectContaining({ code: 'NOT_PRIMARY' }));
  });

  test('of the primary is refused', async () => {
    sites = await RoleSites.prepare('north', 'south');
    const [north] = (await sites.startAll()) as [Site, Site];
    await expect(north.promote({ force: true })).rejects.toMatchObject({ code: 'WRONG_ROLE', message: expect.stringMatching(/already/) });
    await expect(north.promote({ confirm: '0'.repeat(16) })).rejects.toThrow(/already/);
  });

  test('takes over the history of a secondary that is further, before it begins (rule 15, trap 20)', async () => {
    sites = await RoleSites.prepare('north', 'south', 'west');
    const [north] = (await sites.startAll()) as [Site, Site, Site];
    await sites.stop('south');
    await writes(north, '/only-at-west');
    await sites.stop('north');
    const south = await sites.start('south');
    const west = sites.site('west');
    expect(await south.promote({ dryRun: true })).toMatchObject({
      reached: [{ site: 'west' }],
      adopts: { site: 'west', commits: 1, leaves: 0 },
      lost: { commits: 0 },
    });
    expect(await south.promote()).toMatchObject({ epoch: { number: 2 }, lost: { commits: 0 } });
    expect(south.store.get('/only-at-west')).toBe(true);
    await writes(south, '/b');
    await sites.settled(south);
    expect([west.divergences.list(), west.consumer?.state.resyncs.count]).toEqual([[], 0]);
  });

  test('makes the others promise: the number is above all that they know (rule 16)', async () => {
    sites = await RoleSites.prepare('north', 'south', 'west');
    await sites.startAll();
    await sites.stop('north');
    const west = sites.site('west');
    await west.store.fence({ number: 7, id: 'aa'.repeat(8) }, false);
    expect(await sites.site('south').promote()).toMatchObject({ epoch: { number: 8 }, unheard: [expect.any(String)] });
    await writes(sites.site('south'), '/a');
    expect(west.store.journal.identity.fencedBy).toMatchObject({ number: 8 });
  });

  test('of a site in an epoch that is over is refused, and the site that is further is named (rule 16)', async () => {
    allowErrors('primary-fenced');
    sites = await RoleSites.prepare('north', 'south', 'west');
    const [north] = (await sites.startAll()) as [Site, Site, Site];
    await sites.stop('west');
    await north.switchover({ to: 'south' });
    await sites.settled(sites.site('south'));
    await sites.stop('south');
    const west = await sites.start('west', {}, 'both');
    // North follows nobody now, and knows epoch 2, which west never saw.
    expect(await west.promote({ dryRun: true })).toMatchObject({ possible: false, obstacles: [{ code: 'epoch-unknown' }] });
    expect(west.store.journal.identity.fencedBy).toBeUndefined();
    await expect(west.promote()).rejects.toMatchObject({
      code: 'WRONG_ROLE',
      message: expect.stringMatching(/north is in epoch 2 .* which this site never saw; promote north/),
    });
    expect(await north.promote()).toMatchObject({ epoch: { number: 3 } });
    await writes(north, '/a');
  });

  test('that was refused raises the number of the next one, after a restart and with nobody reached, too (rule 16)', async () => {
    allowErrors('primary-fenced');
    sites = await RoleSites.prepare('north', 'south', 'west');
    const [north] = (await sites.startAll()) as [Site, Site, Site];
    await sites.stop('west');
    await north.switchover({ to: 'south' });
    await sites.settled(sites.site('south'));
    await sites.stop('south');
    await expect((await sites.start('west', {}, 'both')).promote()).rejects.toThrow(/north is in epoch 2/);
    await sites.stop('north');
    await sites.stop('west');
    const west = await sites.start('west', {}, 'both');
    expect(await west.promote()).toMatchObject({ epoch: { number: 3 }, unheard: [expect.any(String), expect.any(String)] });
  });

  test('may follow a handover whose target is gone (rule 14), and never takes the number that belongs to it (rule 13)', async () => {
    sites = await RoleSites.prepare('north', 'south');
    await sites.startAll();
    await sites.leaveHandover('north', 'south', 'c1');
    await sites.stop('south');
    const north = await sites.start('north');
    expect(await north.promote({ dryRun: true })).toMatchObject({ primary: { site: 'south' }, lost: { commits: 0, more: true } });
    expect(await north.promote()).toMatchObject({ epoch: { number: 3 } });
    await north.store.put('/a', 1).durable;
    expect(await north.switchover({ command: 'c1' })).toMatchObject({ outcome: 'abandoned' });
    const south = await sites.start('south');
    await writes(north, '/b');
    // The second is the restart entry before the handover.
    expect([south.role, south.store.epochs.map(({ number }) => number)]).toEqual(['secondary', [1, 1, 3]]);
  });

  test('makes its target, which had not begun, decline: it follows (rules 13 and 15)', async () => {
    allowErrors('primary-fenced');
    sites = await RoleSites.prepare('north', 'south', 'west');
    await sites.startAll();
    await sites.leaveHandover('north', 'south', 'c1');
    const west = sites.site('west');
    expect(await west.promote()).toMatchObject({ epoch: { number: 2 } });
    const north = await sites.start('north');
    await writes(west, '/a', 2);
    await sites.settled(west);
    expect([north.role, sites.site('south').role]).toEqual(['secondary', 'secondary']);
    expect([north.divergences.list(), north.switching]).toMatchObject([[{ commits: 0 }], undefined]);
  });

  test('keeps a fenced primary from writing even if its disk can not record the fence (rule 17)', async () => {
    allowErrors('primary-fenced', 'fence-not-recorded');
    sites = await RoleSites.prepare('north', 'south');
    const [north, south] = (await sites.startAll()) as [Site, Site];
    const full = new Error('no room');
    north.store.journal.identity.fence = () => Promise.reject(full);
    await expect(south.promote({ force: true, confirm: undefined as never })).resolves.toMatchObject({ unheard: ['north'] });
    expect(() => north.store.put('/a', 1)).toThrow(expect.objectContaining({ code: 'FENCED' }));
  });

  test('answers a commit that became durable while the site was fenced with FENCED, not with success (rule 7)', async () => {
    allowErrors('primary-fenced');
    sites = await RoleSites.prepare('north', 'south');
    const [north] = (await sites.startAll()) as [Site, Site];
    const commit = north.store.put('/a', 1);
    const durable = commit.durable;
    const fenced = north.store.fence({ number: 5, id: 'aa'.repeat(8) }, true);
    await expect(durable).rejects.toMatchObject({ code: 'FENCED' });
    await fenced;
  });
});

describe('the old primary comes back', () => {
  test('fenced at the first contact, keeps what only it had, goes back and follows by itself', async () => {
    allowErrors('primary-fenced');
    sites = await RoleSites.prepare('north', 'south');
    await sites.startAll();
    await lastCommitLost(['south']);
    const south = sites.site('south');
    await south.promote();
    await south.store.put('/new', 1).durable;
    const kept: string[] = [];
    const north = await sites.start('north');
    north.on('divergence', ({ name }) => kept.push(name));
    await writes(south, '/later');
    await sites.settled(south);
    expect([north.role, north.store.has('/lost'), north.store.get('/new')]).toEqual(['secondary', false, 1]);
    expect(north.divergences.list()).toMatchObject([{ commits: 1, authors: ['ann'], paths: ['/lost'] }]);
    expect(kept).toEqual(north.divergences.list().map(({ name }) => name));
    expect(north.consumer?.state.resyncs.count).toBe(0);
    expect(await north.promote({ dryRun: true })).toMatchObject({ possible: false });
    await until(() => south.producer?.peers.find(({ site }) => site === 'north')?.state === 'replicate');
    expect(await south.switchover({ to: 'north' })).toMatchObject({ outcome: 'done' });
    await writes(north, '/back');
  });

  test('is fenced, and says what to do, if it has no standby file', async () => {
    expectErrors('primary-fenced');
    sites = await RoleSites.prepare('north', 'south');
    await sites.startAll();
    await lastCommitLost(['south']);
    await sites.site('south').promote();
    const north = await sites.start('north', {}, 'primary');
    await until(() => north.standing === 'fenced');
    expect(() => north.store.put('/a', 1)).toThrow(expect.objectContaining({ code: 'FENCED' }));
    expect(north.store.stateReason?.message).toMatch(/secondary/);
    await sites.stop('north');
    // Nor after a restart (rules 1 and 17), until it has the file of a secondary.
    const again = await sites.start('north', {}, 'primary');
    expect([again.standing, again.store.has('/lost')]).toEqual(['fenced', true]);
    await sites.stop('north');
    const both = await sites.start('north');
    await until(() => both.role === 'secondary' && both.store.position.epoch === 2);
    expect(both.divergences.list()).toMatchObject([{ commits: 1 }]);
  });

  test('so do third sites that were ahead of the promoted one, without a full copy (trap 4)', async () => {
    allowErrors('primary-fenced');
    sites = await RoleSites.prepare('north', 'south', 'west');
    const [north] = (await sites.startAll()) as [Site, Site, Site];
    await sites.stop('south');
    await writes(north, '/ahead');
    await sites.stop('north');
    await sites.stop('west');
    const south = await sites.start('south');
    expect(await south.promote()).toMatchObject({ lost: { more: true } });
    await south.store.put('/new', 1).durable;
    const west = await sites.start('west');
    await sites.start('north');
    await writes(south, '/later', 2);
    await sites.settled(south);
    for (const site of [west, sites.site('north')]) {
      expect(site.divergences.list()).toMatchObject([{ commits: 1, paths: ['/ahead'] }]);
      expect(site.consumer?.state.resyncs.count).toBe(0);
    }
    // Two sites that hold the same divergence show one (rule 18).
    expect(west.divergences.list()[0]?.name).toBe(sites.site('north').divergences.list()[0]?.name);
  });

  test('empty, it wipes nobody and takes no writes (rule 8, trap 19)', async () => {
    allowErrors('primary-fenced');
    sites = await RoleSites.prepare('north', 'south');
    const [, south] = (await sites.startAll()) as [Site, Site];
    await sites.stop('north');
    await sites.erase('north');
    const north = await sites.start('north', { role: 'primary' }, 'primary');
    await until(() => north.store.state === 'refusing');
    expect(() => north.store.put('/a', 1)).toThrow(expect.objectContaining({ code: 'FENCED' }));
    expect(south.store.get('/begun')).toBe(true);
    expect(await south.promote({ force: true })).toMatchObject({ epoch: { number: 2 } });
  });
});

test('two independent promotions give one winner, one divergence, and word of it on both sides (rule 5, trap 6)', async () => {
  allowErrors('primary-fenced');
  expectErrors('two-primaries');
  sites = await RoleSites.prepare('north', 'south', 'west');
  await sites.startAll();
  await sites.stop('north');
  await sites.stop('west');
  const south = sites.site('south');
  await south.promote();
  await south.store.put('/south', 1).durable;
  await sites.stop('south');
  const west = await sites.start('west');
  await west.promote();
  await west.store.put('/west', 1).durable;
  expect([south.store.position.epoch, west.store.position.epoch]).toEqual([2, 2]);
  const again = await sites.start('south');
  await until(() => again.role !== west.role && again.rival !== undefined && west.rival !== undefined);
  const [winner, loser] = again.role === 'primary' ? [again, west] : [west, again];
  await writes(winner, '/after');
  await sites.settled(winner);
  expect(loser.divergences.list()).toMatchObject([{ commits: 1, paths: [`/${loser.name}`] }]);
  expect(winner.divergences.list()).toEqual([]);
  expect(winner.rival).toMatchObject({ site: loser.name, wins: true, ours: { number: 2 }, epoch: { number: 2 } });
  expect(loser.rival).toMatchObject({ wins: false, epoch: winner.rival!.ours, ours: winner.rival!.epoch });
});

test('a store of the library is promoted, and its consumer feeds it no more', async () => {
  sites = await RoleSites.prepare('north', 'south');
  const port = await freePort();
  await using store = await openStore({ data: sites.data('south'), site: 'south' });
  await using consumer = await startConsumer(store, { 'netty-consumer': { 'listening-port': port } });
  await using north = await openSite({
    data: sites.data('north'),
    site: 'north',
    primary: { 'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': port, 'connection-retry-interval-ms': 20 } },
  });
  await writes(north, '/a');
  await expect(store.promote()).rejects.toMatchObject({ code: 'WRONG_ROLE', details: { obstacles: [{ code: 'primary-alive' }] } });
  await north.close();
  await until(() => consumer.state.state === 'offline');
  expect(await store.promote()).toMatchObject({ epoch: { number: 2 } });
  await store.put('/b', 1).durable;
  expect([store.role, store.get('/a')]).toEqual(['primary', true]);
});
