import { randomUUID } from 'node:crypto';
import type { Site } from 'evertree';
import { afterEach, expect, test } from 'vitest';
import { Claimant } from '../support/claimant.ts';
import { until } from '../support/http-site.ts';
import { startKafka } from '../support/kafka/broker.ts';
import { QUICK_RESTART } from '../support/kafka/server-properties.ts';
import { describeKafka, sharedBroker } from '../support/kafka/suite.ts';
import { allowErrors } from '../support/reports.ts';
import { RoleSites } from '../support/role-sites.ts';
import { Topic } from '../support/topic.ts';

const ENOUGH_MS = 30_000;
const TEST_MS = 90_000;

let sites: RoleSites;
let topic: Topic;
afterEach(async () => {
  await sites[Symbol.asyncDispose]();
  await topic[Symbol.asyncDispose]();
});

async function started(broker: string, ...names: string[]): Promise<Site[]> {
  topic = await Topic.at(broker, `c-${randomUUID().slice(0, 8)}`);
  sites = await RoleSites.onTopic(broker, topic.name, ...names);
  const all = await sites.startAll();
  await sites.settled(all[0]!);
  return all;
}

/** Writes one after the other, and keeps those that a secondary acknowledged, until the site takes no writes. */
async function writeUntilFenced({ store }: Site, acknowledged: number[]): Promise<void> {
  for (let index = 0; ; index++) {
    try {
      const commit = store.put(`/w/${index}`, index);
      await commit.acknowledged(1, { timeoutMs: ENOUGH_MS });
      acknowledged.push(index);
    } catch {
      return;
    }
  }
}

async function claims(): Promise<number> {
  return (await topic.records()).filter(({ headers }) => String(headers?.['type']) === 'claim').length;
}

function told(event: string): string[] {
  return sites.reports.filter(report => report.event === event).map(({ message }) => message);
}

describeKafka('a promotion of a site whose primary file names a topic', () => {
  test('claims there, and loses no acknowledged commit of a primary that still writes', { timeout: TEST_MS }, async () => {
    allowErrors('primary-fenced');
    const [north, south, west] = (await started(await sharedBroker(), 'north', 'south', 'west')) as [Site, Site, Site];
    const acknowledged: number[] = [];
    const writing = writeUntilFenced(north, acknowledged);
    await until(() => acknowledged.length > 20, ENOUGH_MS);
    const { epoch, unheard } = (await south.promote({ force: true })) as { epoch: { number: number }; unheard: readonly string[] };
    expect([epoch.number, unheard]).toEqual([2, []]);
    await writing;
    await south.store.put('/after', true).acknowledged(2, { timeoutMs: ENOUGH_MS });
    await sites.settled(south);
    expect(await claims()).toBe(1);
    for (const site of [north, south, west]) {
      for (const index of acknowledged) expect(site.store.get(`/w/${index}`), `${site.name} ${index}`).toBe(index);
    }
  });

  test(
    'settles with another of the same number by the order of the topic: all follow one, and nothing is lost',
    { timeout: TEST_MS },
    async () => {
      allowErrors('primary-fenced', 'two-primaries');
      const [north, south, west] = (await started(await sharedBroker(), 'north', 'south', 'west')) as [Site, Site, Site];
      await north.store.put('/before', 1).acknowledged(2, { timeoutMs: ENOUGH_MS });
      await sites.stop('north');
      const results = await Promise.allSettled([south.promote({ force: true }), west.promote({ force: true })]);
      expect(results.filter(({ status }) => status === 'fulfilled').length, JSON.stringify(results)).toBeGreaterThan(0);
      await sites.start('north');
      await until(() => [south, west].filter(({ standing }) => standing === 'primary').length === 1, ENOUGH_MS);
      const leader = [south, west].find(({ standing }) => standing === 'primary')!;
      await leader.store.put('/after', 1).acknowledged(2, { timeoutMs: ENOUGH_MS });
      await sites.settled(leader);
      for (const name of ['north', 'south', 'west']) expect(sites.site(name).store.get('')).toMatchObject({ before: 1, after: 1 });
    },
  );

  test('goes on after a promoter that died between its claim and its first frame', { timeout: TEST_MS }, async () => {
    allowErrors('primary-fenced');
    const broker = await sharedBroker();
    const [north, south, west] = (await started(broker, 'north', 'south', 'west')) as [Site, Site, Site];
    {
      const dying = { number: 2, id: '22'.repeat(8) };
      await using promoter = await Claimant.ask(broker, topic.name, south.store, dying);
      expect(await promoter.claim(dying)).toMatchObject({ kind: 'promised' });
    }
    await until(() => north.standing === 'fenced', ENOUGH_MS);
    expect(() => north.store.put('/late', 1)).toThrow(expect.objectContaining({ code: 'FENCED' }));
    const forecast = await west.promote({ dryRun: true, force: true });
    expect(forecast).toMatchObject({ possible: true, reached: [{ site: `topic ${topic.name}`, fencedBy: { number: 2 } }] });
    expect(await west.promote({ force: true })).toMatchObject({ epoch: { number: 3 }, unheard: [] });
    await west.store.put('/after', 1).acknowledged(2, { timeoutMs: ENOUGH_MS });
    await sites.settled(west);
    expect([north.standing, south.standing]).toEqual(['secondary', 'secondary']);
  });

  test('takes over frames that its own reading had not brought', { timeout: TEST_MS }, async () => {
    const [north, south] = (await started(await sharedBroker(), 'north', 'south')) as [Site, Site];
    await sites.stop('south');
    for (let index = 0; index < 20; index++) await north.store.put(`/w/${index}`, index).durable;
    await until(() => north.producer?.peers.some(({ relay, lagRevisions }) => relay && lagRevisions === 0) === true, ENOUGH_MS);
    await sites.stop('north');
    // It is promoted before its reader has found its place.
    const again = await sites.start('south');
    expect(again.store.position.revision).toBe(south.store.position.revision);
    const result = await again.promote({ force: true });
    expect(result).toMatchObject({ epoch: { number: 2 }, unheard: [], lost: { commits: 0 } });
    for (let index = 0; index < 20; index++) expect(again.store.get(`/w/${index}`)).toBe(index);
    expect(again.divergences.list()).toEqual([]);
  });

  test('names a topic that it can not reach, and is judged there when its first frame comes', { timeout: TEST_MS }, async () => {
    // The old primary learns of the promotion by its door, or by its own link to the topic.
    allowErrors('primary-fenced');
    await using broker = await startKafka({ serverProperties: QUICK_RESTART });
    const [, south] = (await started(broker.address, 'north', 'south')) as [Site, Site];
    await sites.stop('north');
    await broker.kill();
    const forecast = await south.promote({ dryRun: true, force: true });
    const remote = `kafka://${broker.address}/${topic.name}`;
    expect(forecast).toMatchObject({ unreached: [remote], lost: { more: true } });
    expect(await south.promote({ force: true })).toMatchObject({ epoch: { number: 2 }, unheard: [remote] });
    await south.store.put('/after', 1).durable;
    await broker.restart();
    await until(() => south.producer?.peers.some(({ relay, lagRevisions }) => relay && lagRevisions === 0) === true, ENOUGH_MS);
    expect(await claims()).toBe(0);
    await sites.start('north');
    await sites.settled(south);
  });

  test(
    'without the broker by two sites settles once both publish: one leads, and what the other had is kept',
    { timeout: TEST_MS },
    async () => {
      allowErrors('primary-fenced', 'two-primaries', 'second-primary', 'reign-void');
      await using broker = await startKafka({ serverProperties: QUICK_RESTART });
      const [, south, west] = (await started(broker.address, 'north', 'south', 'west')) as [Site, Site, Site];
      await sites.stop('north');
      await broker.kill();
      await Promise.all([south.promote({ force: true }), west.promote({ force: true })]);
      await south.store.put('/south', 1).durable;
      await west.store.put('/west', 1).durable;
      expect([south, west].map(({ store }) => store.position.epoch)).toEqual([2, 2]);
      await broker.restart();
      const pair = [south, west];
      await until(() => pair.filter(({ standing }) => standing === 'primary').length === 1, ENOUGH_MS);
      await until(() => pair.some(({ standing }) => standing === 'secondary'), ENOUGH_MS);
      const leader = pair.find(({ standing }) => standing === 'primary')!;
      await sites.settled(leader);
      const loser = pair.find(site => site !== leader)!;
      expect(loser.divergences.list()).toHaveLength(1);
      expect([leader.store.get(`/${leader.name}`), leader.store.get(`/${loser.name}`)]).toEqual([1, undefined]);
      expect(told('two-primaries').length).toBeGreaterThan(0);
    },
  );
});

describeKafka('a primary that finds nothing of its epoch in its topic any more', () => {
  test('begins a higher one by itself, and says so', { timeout: TEST_MS }, async () => {
    const [, south] = (await started(await sharedBroker(), 'north', 'south')) as [Site, Site];
    await sites.stop('north');
    await topic.deleteBefore();
    const again = await sites.start('north');
    await until(() => again.store.position.epoch === 2, ENOUGH_MS);
    expect(told('reign-void')).toEqual([expect.stringMatching(/holds no record any more of epoch 1 .*goes on in a higher epoch/)]);
    expect(told('reign-begun').at(-1)).toMatch(/^north has become the primary anew/);
    await again.store.put('/after', 1).acknowledged(1, { timeoutMs: ENOUGH_MS });
    await sites.settled(again);
    expect(south.standing).toBe('secondary');
  });
});

describeKafka('a switchover through a topic', () => {
  test(
    'is done right after a restart of either site, or of both: no question gets lost between two links',
    { timeout: TEST_MS },
    async () => {
      await started(await sharedBroker(), 'north', 'south');
      let [from, to] = ['north', 'south'] as [string, string];
      for (const restarted of [['from'], ['to'], ['from', 'to'], ['to'], ['from', 'to'], ['from']]) {
        const names = restarted.map(which => (which === 'from' ? from : to));
        for (const name of names) await sites.stop(name);
        for (const name of names) await sites.start(name);
        await until(() => sites.site(from).standing === 'primary', ENOUGH_MS);
        expect(await sites.site(from).switchover({ to }), restarted.join()).toMatchObject({ outcome: 'done', from, to });
        await until(() => sites.site(to).standing === 'primary', ENOUGH_MS);
        [from, to] = [to, from];
      }
    },
  );
});
