import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { describeKafka, sharedBroker } from '../support/kafka/suite.ts';
import { run } from '../support/program.ts';
import { freePort, until } from '../support/site-process.ts';
import type { SiteProcess, SiteStatus } from '../support/site-process.ts';
import { Topic } from '../support/topic.ts';
import { START_LIMIT_MS, TopicProcesses, expectNever, untilEqual } from '../support/topic-processes.ts';

const LIMIT_MS = 20_000;
/** Longer than a secondary may stay silent that is configured so. */
const IDLE_MS = 2_000;

type Peer = SiteStatus['peers'][number];

async function put(primary: SiteProcess, path: string, value: unknown): Promise<void> {
  const response = await fetch(`${primary.url}/data${path}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(value),
  });
  expect(response.status, await response.text()).toBe(200);
}

/** Resolves with what the primary tells of a peer once that holds. */
async function peer(primary: SiteProcess, site: string, holds: (peer: Peer) => boolean): Promise<Peer> {
  let found: Peer | undefined;
  const look = async (): Promise<boolean> => {
    found = (await primary.status())?.peers.find(each => each.site === site);
    return found !== undefined && holds(found);
  };
  await until(`${site} is listed so`, look, LIMIT_MS).catch((cause: unknown) => {
    throw new Error(`${JSON.stringify(found)}\n${primary.tail()}`, { cause });
  });
  return found!;
}

function connectionTo(port: number): object {
  return { 'consumer-address': '127.0.0.1', 'consumer-port': port, 'connection-retry-interval-ms': 50 };
}

async function metric(site: SiteProcess, name: string): Promise<string[]> {
  const text = await (await fetch(`${site.url}/metrics`)).text();
  return text.split('\n').filter(line => line.startsWith(name));
}

/** It is at the only commit that was made. */
function isCurrent({ state, lagRevisions, position }: Peer): boolean {
  return state === 'replicate' && lagRevisions === 0 && position?.revision === 2;
}

describeKafka('sites as people run them, over Kafka', () => {
  let sites: TopicProcesses;
  let topic: Topic;
  let primary: SiteProcess;

  beforeEach(async () => {
    const broker = await sharedBroker();
    sites = await TopicProcesses.at(broker);
    topic = await Topic.at(broker, sites.topic);
    primary = await sites.primary();
  });
  afterEach(async () => {
    await sites[Symbol.asyncDispose]();
    await topic[Symbol.asyncDispose]();
  });

  async function startSecondary(site: string): Promise<SiteProcess> {
    const secondary = await sites.secondary(site);
    await secondary.start(START_LIMIT_MS);
    return secondary;
  }

  describe('the status of the primary', () => {
    test('lists each secondary with position, lag and a last contact that moves, and says which one closed, and why', async () => {
      await primary.start(START_LIMIT_MS);
      const [b, c] = await Promise.all([startSecondary('b'), startSecondary('c')]);
      await put(primary, '/a', 1);
      for (const secondary of [b, c]) await untilEqual(primary, secondary);
      const through = `topic ${sites.topic}`;
      const first = await peer(primary, 'b', isCurrent);
      expect(first).toMatchObject({ relay: false, through, lastError: null, lagMs: 0 });
      await peer(primary, through, each => isCurrent(each) && each.relay);
      // Nothing is committed, and still each is heard of the other.
      const contact = (await b.status())!.consumer!.lastContact!;
      await peer(primary, 'b', each => each.lastSeen! > first.lastSeen! + IDLE_MS);
      await until('b heard of it', async () => (await b.status())!.consumer!.lastContact! > contact, LIMIT_MS);
      expectNever(['reader-lost', 'primary-lost'], primary, b, c);

      await b.stop();
      expect((await peer(primary, 'b', each => each.state === 'offline')).lastError).toMatch(/^going-away: /);
      await c.kill();
      expect((await peer(primary, 'c', each => each.state === 'offline')).lastError).toMatch(/^silent: nothing was heard from c/);
      await put(primary, '/a', 2);
      await peer(primary, 'c', each => each.lagRevisions === 1 && each.lagMs! > 0);
      expect((await run(['status', '--url', primary.url])).stdout).toMatch(/\n {2}c {2}offline, at 1-2, lag 1 revision .*through topic p-/);

      expect(await run(['forget', 'b', '--url', primary.url])).toMatchObject({ status: 0 });
      expect((await primary.status())!.peers.map(each => each.site).toSorted()).toEqual(['c', through]);
      // Also after a restart, which reads the control topic anew.
      await primary.stop();
      await primary.start(START_LIMIT_MS);
      await peer(primary, 'c', each => each.state === 'offline' && each.through === through);
      expect((await primary.status())!.peers.map(each => each.site).toSorted()).toEqual(['c', through]);
      await b.start(START_LIMIT_MS);
      await peer(primary, 'b', each => each.state === 'replicate' && each.lagRevisions === 0);
      expectNever(['resync', 'peer-resync'], primary, b, c);
    });
  });

  test("offsets move under the group's name and the site's, for people's dashboards", async () => {
    await primary.start(START_LIMIT_MS);
    const secondary = await startSecondary('b');
    for (const value of [1, 2]) {
      await put(primary, '/a', value);
      await untilEqual(primary, secondary);
      const { high } = await topic.offsets();
      await until('it is committed', async () => (await topic.committed('test.b')) === high, LIMIT_MS);
    }
    expectNever([], primary, secondary);
  });

  test('a secondary is started with a file for Kafka, then with one for WebSocket, and continues where it was', async () => {
    const [port, otherPort] = [await freePort(), await freePort()];
    const producer = await sites.write('nettyProducer.json', { 'netty-connection': [port, otherPort].map(connectionTo) });
    const consumer = await sites.write('nettyConsumer.json', { 'netty-consumer': { 'listening-port': port } });
    const otherConsumer = await sites.write('far.json', { 'netty-consumer': { 'listening-port': otherPort } });
    primary.config = [sites.producer, producer];
    const [secondary, lan, far] = [await sites.secondary('b'), await sites.secondary('lan'), await sites.secondary('far', otherConsumer)];
    await Promise.all([primary, secondary, lan, far].map(site => site.start(START_LIMIT_MS)));
    const through = `topic ${sites.topic}`;
    for (const [round, config] of [sites.consumer, consumer, sites.consumer, consumer].entries()) {
      await put(primary, '/away', round);
      if (secondary.config !== config) {
        secondary.config = config;
        await secondary.start(START_LIMIT_MS);
      }
      await put(primary, '/here', round);
      for (const each of [secondary, lan, far]) await untilEqual(primary, each);
      const linked = config === consumer ? null : through;
      const { position } = (await primary.status())!;
      await peer(
        primary,
        'b',
        each => each.state === 'replicate' && each.through === linked && each.position?.revision === position.revision,
      );
      await peer(primary, 'lan', each => each.state === 'replicate' && each.through === through);
      await peer(primary, 'far', each => each.state === 'replicate' && each.through === null);
      await secondary.stop();
    }
    expectNever(['resync', 'peer-resync', 'frame-quarantined'], primary, secondary, lan, far);
    // One journal for all of them: what each has are the same frames.
    await Promise.all([primary, lan, far].map(site => site.stop()));
    const frames = await sites.framesOf(primary);
    for (const each of [secondary, lan, far]) expect(await sites.framesOf(each)).toEqual(frames);
  });

  test('a full copy after retention appears in the log, the status and the metrics of both sites', async () => {
    await primary.start(START_LIMIT_MS);
    const secondary = await startSecondary('b');
    await put(primary, '/a', 1);
    await untilEqual(primary, secondary);
    await secondary.stop();
    await put(primary, '/a', 2);
    await peer(primary, `topic ${sites.topic}`, each => each.lagRevisions === 0);
    await topic.deleteBefore();
    await put(primary, '/a', 3);
    await secondary.start(START_LIMIT_MS);
    await untilEqual(primary, secondary);
    const reason = /^retention has passed it by: p-.* begins after 1-3, the secondary stands at 1-2$/;
    expect((await secondary.status())!.consumer!.resyncs).toEqual({ count: 1, lastReason: expect.stringMatching(reason) });
    expect((await peer(primary, 'b', each => each.resyncs.count === 1)).resyncs.lastReason).toMatch(reason);
    // A log comes by a pipe, and may be later than an answer.
    for (const [site, event] of [
      [primary, 'peer-resync'],
      [secondary, 'resync'],
    ] as const) {
      const told = async () =>
        site.log.some(line => line.level === 'warn' && line.event === event && line.message.includes('passed it by'));
      await until(`the log of ${site.site} tells of it`, told, LIMIT_MS);
    }
    for (const site of [primary, secondary]) {
      expect(await metric(site, 'evertree_resyncs_total')).toEqual(['evertree_resyncs_total{kind="snapshot",reason="retention-passed"} 1']);
    }
    expectNever([], primary, secondary);
  });
});
