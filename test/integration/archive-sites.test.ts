import { initArchive, restoreSite } from '@evertree/archive';
import { nodeDisk } from '@evertree/journal';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ArchivedStores } from '../support/archived-stores.ts';
import { systemClock as clock, systemRandom as random } from '../support/host.ts';
import { expectErrors } from '../support/reports.ts';
import { RoleSites } from '../support/role-sites.ts';

let stores: ArchivedStores;
let roles: RoleSites;
beforeEach(async () => {
  stores = await ArchivedStores.prepare();
  roles = await RoleSites.prepare('north', 'south');
  await using target = await stores.target();
  await initArchive(target, { sealing: 'plain', conditions: true, random });
});
afterEach(async () => {
  await roles[Symbol.asyncDispose]();
  await stores[Symbol.asyncDispose]();
});

/** North has led, and both archived; then it had commits of its own, and south was promoted without them. */
async function part(): Promise<void> {
  const { archive } = stores;
  const behind = await roles.start('south', { role: 'secondary', archive });
  const north = await roles.start('north', { role: 'primary', archive });
  await stores.commit(north.store, 30);
  await north.store.put('/met', true).acknowledged(1, { timeoutMs: 20_000 });
  await stores.archived(behind.store);
  await roles.stop('south');
  await stores.commit(north.store, 10);
  await stores.archived(north.store);
  await roles.stop('north');
  const south = await roles.start('south', { archive });
  const { confirm } = await south.promote({ dryRun: true });
  await south.promote({ confirm });
  await stores.commit(south.store, 20);
  await stores.archived(south.store);
}

describe('sites that archive into one target', () => {
  it('go on in lines of their own when one is promoted, and the other comes back', async () => {
    expectErrors('primary-fenced');
    await part();
    const south = roles.site('south');
    const north = await roles.start('north', { archive: stores.archive });
    await roles.settled(south);
    await stores.commit(south.store, 10);
    await roles.settled(south);
    for (const { store } of [north, south]) {
      await stores.archived(store);
      await stores.hear(store);
    }
    const { lines, states } = await stores.judge();
    // That of north before, which has what only it had; and one of each since.
    expect(lines).toBe(3);
    expect(states).toBeGreaterThan(100);
    const trees = await stores.restoreAll();
    const whole = south.store.get('');
    expect(trees.filter(tree => JSON.stringify(tree) === JSON.stringify(whole)).length).toBe(2);
    expect(trees.filter(tree => (tree as { by: string }).by === 'north in epoch 1').length).toBe(1);
  });

  it('do no harm to each other while a former and a present primary both lead', async () => {
    await part();
    await roles.stop('south');
    const [north, south] = [await stores.open('north', roles.data('north')), await stores.open('south', roles.data('south'))];
    await Promise.all([stores.commit(north, 60), stores.commit(south, 60)]);
    for (const store of [north, south]) await stores.archived(store);
    const { lines, ends } = await stores.judge();
    expect(lines).toBe(2);
    expect(ends).toEqual(expect.arrayContaining([north.position, south.position]));
    const trees = await stores.restoreAll();
    for (const store of [north, south]) expect(trees).toContainEqual(store.get(''));
  });

  it('do no harm to each other if one is a copy of the other', async () => {
    const original = await stores.open('north');
    await stores.commit(original, 30);
    await stores.close('north');
    await stores.copy('north', 'copy');
    const [north, copy] = [await stores.open('north'), await stores.open('north', stores.data('copy'))];
    await Promise.all([stores.commit(north, 40), stores.commit(copy, 40)]);
    for (const store of [north, copy]) await stores.archived(store);
    const { lines, ends } = await stores.judge();
    expect(lines).toBe(2);
    expect(ends).toEqual(expect.arrayContaining([north.position, copy.position]));
    const trees = await stores.restoreAll();
    for (const store of [north, copy]) expect(trees).toContainEqual(store.get(''));
  });

  it('go on beside each other if one was restored from the archive, again and again, and no revision is used twice', async () => {
    const original = await stores.open('north');
    await stores.commit(original, 30);
    await stores.archived(original);
    const began: number[] = [];
    let newest = original.get('');
    for (const name of ['first', 'second']) {
      await using target = await stores.target();
      await restoreSite({ target, disk: nodeDisk(stores.data(name)), clock, random, site: name, dryRun: false });
      const again = await stores.open(name);
      expect(again.get('')).toEqual(newest);
      began.push(again.epochs.at(-1)!.number);
      await Promise.all([stores.commit(again, 25), stores.commit(original, 25)]);
      await stores.archived(original);
      // The line of the highest epoch stands: the next one is restored from what this one wrote.
      newest = again.get('');
      await stores.close(name);
    }
    expect(began).toEqual([...new Set(began)].toSorted((a, b) => a - b));
    const { lines } = await stores.judge();
    expect(lines).toBe(3);
    expect((await stores.restoreAll()).length).toBe(3);
  });
});
