import { randomUUID } from 'node:crypto';
import type { Site } from 'evertree';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from '../support/http-site.ts';
import { startKafka } from '../support/kafka/broker.ts';
import type { KafkaBroker } from '../support/kafka/broker.ts';
import { describeKafka, sharedBroker } from '../support/kafka/suite.ts';
import { allowErrors } from '../support/reports.ts';
import { RoleSites } from '../support/role-sites.ts';
import { Topic } from '../support/topic.ts';

/** What comes at the worst moment of a change of roles through a topic. */

const ENOUGH_MS = 30_000;
const TEST_MS = 90_000;

let sites: RoleSites;
let topic: Topic;
afterEach(async () => {
  await sites[Symbol.asyncDispose]();
  await topic[Symbol.asyncDispose]();
});

async function started(broker: string): Promise<[Site, Site, Site]> {
  topic = await Topic.at(broker, `f-${randomUUID().slice(0, 8)}`);
  sites = await RoleSites.onTopic(broker, topic.name, 'north', 'south', 'west');
  return (await sites.startAll()) as [Site, Site, Site];
}

/** The values that a site has below /w. */
function written({ store }: Site): number[] {
  return Object.values(store.get<Record<string, number>>('/w') ?? {}).toSorted((a, b) => a - b);
}

async function write({ store }: Site, number: number): Promise<void> {
  await store.put(`/w/${number}`, number, { author: 'ann' }).durable;
}

function feeds(leader: Site, { name }: Site): Promise<void> {
  return until(() => leader.producer?.peers.some(({ site, state }) => site === name && state === 'replicate') === true, ENOUGH_MS);
}

/** The same command, until it is done, as an operator gives it. */
async function swap(from: Site, to: Site): Promise<void> {
  await until(async () => {
    if (from.standing === 'secondary') return true;
    const { outcome } = await from.switchover({ to: to.name });
    return outcome === 'done';
  }, ENOUGH_MS);
  await until(() => to.standing === 'primary', ENOUGH_MS);
}

/** What everybody wrote stands everywhere, and the topic leads back again. */
async function expectWhole([north, south, west]: readonly [Site, Site, Site], count: number): Promise<void> {
  await write(south, count);
  await sites.settled(south);
  for (const site of [north, south, west]) {
    expect(written(site), site.name).toEqual(Array.from({ length: count + 1 }, (_, number) => number));
    expect(site.divergences.list(), site.name).toEqual([]);
  }
  await feeds(south, north);
  await swap(south, north);
  await write(north, count + 1);
  await sites.settled(north);
  expect(written(west)).toHaveLength(count + 2);
}

describeKafka('a swap through a topic', () => {
  test.for(['consent', 'handing-over', 'handed-over'] as const)(
    'goes well although retention empties the topic at the step %s',
    { timeout: TEST_MS },
    async step => {
      const all = await started(await sharedBroker());
      const [north, south] = all;
      for (let number = 0; number < 20; number++) await write(north, number);
      const emptied = Promise.withResolvers<unknown>();
      north.on('switch', status => {
        if (status?.step === step) emptied.resolve(topic.deleteBefore());
      });
      await feeds(north, south);
      await swap(north, south);
      await emptied.promise;
      await expectWhole(all, 20);
    },
  );

  test('goes well although retention empties the topic again and again, from its beginning to its end', { timeout: TEST_MS }, async () => {
    const all = await started(await sharedBroker());
    const [north, south] = all;
    for (let number = 0; number < 20; number++) await write(north, number);
    await feeds(north, south);
    const over = new AbortController();
    const emptying = (async () => {
      let times = 0;
      for (; !over.signal.aborted; times++) await topic.deleteBefore();
      return times;
    })();
    try {
      await swap(north, south);
    } finally {
      over.abort();
    }
    expect(await emptying).toBeGreaterThan(0);
    await expectWhole(all, 20);
  });
});

describeKafka('a cut of the broker from all sites', () => {
  let broker: KafkaBroker;
  beforeEach(async () => {
    broker = await startKafka({ proxied: true });
  });
  afterEach(() => broker[Symbol.asyncDispose]());

  test(
    'and a promotion meanwhile: both primaries publish at once when it heals, one wins, and each commit is in the history or in one divergence',
    { timeout: TEST_MS },
    async () => {
      allowErrors('primary-fenced', 'two-primaries', 'second-primary');
      const [north, south, west] = await started(broker.address);
      for (let number = 0; number < 10; number++) await write(north, number);
      await sites.settled(north);
      broker.proxy.setAccepting('refuse');
      broker.proxy.cut();
      for (let number = 10; number < 20; number++) await write(north, number);
      await until(() => south.consumer?.state.state === 'offline', ENOUGH_MS);
      expect(await south.promote()).toMatchObject({ epoch: { number: 2 }, lost: { more: true } });
      for (let number = 20; number < 30; number++) await write(south, number);
      broker.proxy.setAccepting('forward');
      await until(() => north.standing === 'secondary', ENOUGH_MS);
      await write(south, 30);
      await sites.settled(south);
      const survived = [...Array.from({ length: 10 }, (_, number) => number), ...Array.from({ length: 11 }, (_, number) => 20 + number)];
      for (const site of [north, south, west]) expect(written(site), site.name).toEqual(survived);
      expect(north.divergences.list()).toMatchObject([{ commits: 10, authors: ['ann'] }]);
      expect(south.divergences.list()).toEqual([]);
      expect([north.standing, south.standing, west.standing]).toEqual(['secondary', 'primary', 'secondary']);
    },
  );
});
