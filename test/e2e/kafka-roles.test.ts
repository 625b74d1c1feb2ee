import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeKafka, sharedBroker } from '../support/kafka/suite.ts';
import { RoleProcesses, RoleWriter, promote, put, switchover } from '../support/role-processes.ts';
import { type SiteProcess, until } from '../support/site-process.ts';
import { Topic } from '../support/topic.ts';
import { expectNever } from '../support/topic-processes.ts';
import { KAFKA_CLIENTS } from '@evertree/transport/kafka';
import { useKafkaClient } from '../support/kafka/client.ts';

const LIMIT_MS = 30_000;
/** Each waits several times, and a wait that fails has to be the one that tells. */
const TEST_MS = 90_000;

/** Gives the command until it is done: it may be abandoned while a link is made anew. */
async function swap(from: SiteProcess, to: SiteProcess): Promise<void> {
  const done = async () => {
    const { json } = await switchover(from, { to: to.site });
    expect(json.outcome ?? 'abandoned').toMatch(/done|abandoned/);
    return json.outcome === 'done';
  };
  await until(`${to.site} leads`, done, LIMIT_MS);
}

describeKafka('processes on one topic, each with the files of both roles', () => {
  let topic: Topic;
  let broker: string;
  let processes: RoleProcesses;

  beforeEach(async () => {
    broker = await sharedBroker();
    topic = await Topic.at(broker, `r-${randomUUID().slice(0, 8)}`);
  });
  afterEach(async () => {
    await processes[Symbol.asyncDispose]();
    await topic[Symbol.asyncDispose]();
  });

  test.each(KAFKA_CLIENTS)(
    'change roles and change them back under load, with no answered write lost and one history for a third site (%s)',
    { timeout: TEST_MS },
    async client => {
      useKafkaClient(client);
      processes = await RoleProcesses.onTopic(broker, topic.name, 'north', 'south', 'third');
      const [north, south] = processes.sites as [RoleProcesses['sites'][0], RoleProcesses['sites'][0]];
      const writers = ['a', 'b', 'c'].map(name => new RoleWriter(processes, name));
      for (const [from, to] of [
        [north, south],
        [south, north],
        [north, south],
      ] as const) {
        await Promise.all(writers.map(writer => writer.more(50)));
        await processes.feeds(from, to);
        const answer = await switchover(from, { to: to.site });
        expect(answer, `${from.tail()}\n\n${to.tail()}`).toMatchObject({
          status: 200,
          json: { outcome: 'done', from: from.site, to: to.site, pauseMs: expect.any(Number) },
        });
      }
      await Promise.all(writers.map(writer => writer.more(50)));
      await Promise.all(writers.map(writer => writer.stop()));
      await processes.following(south);
      expectNever(['second-primary', 'foreign-records', 'resync', 'peer-resync', 'divergence'], ...processes.sites);
      for (const site of processes.sites) {
        for (const writer of writers) expect(await writer.lostAt(site)).toEqual([]);
      }
    },
  );

  test(
    'go on when the primary was killed: another is promoted, and the old one comes back as its secondary',
    { timeout: TEST_MS },
    async () => {
      processes = await RoleProcesses.onTopic(broker, topic.name, 'north', 'south', 'third');
      const [north, south] = processes.sites as [RoleProcesses['sites'][0], RoleProcesses['sites'][0]];
      const writer = new RoleWriter(processes, 'a');
      await writer.more(50);
      await writer.stop();
      await processes.following(north);
      await north.kill();
      await until('the primary is missed', async () => (await south.status())?.consumer?.state === 'offline', LIMIT_MS);
      expect(await promote(south)).toMatchObject({ status: 200, json: { epoch: { number: 2 } } });
      expect((await put(south, '/after', 1)).status).toBe(200);
      await processes.following(south);
      await processes.restart(north);
      await processes.following(south);
      await processes.feeds(south, north);
      await swap(south, north);
      await processes.following(north);
      for (const site of processes.sites) expect(await writer.lostAt(site)).toEqual([]);
      expectNever(['second-primary', 'foreign-records', 'resync', 'peer-resync'], ...processes.sites);
    },
  );

  test(
    'end with one primary when the target is killed at the handover, and the same command finishes it',
    { timeout: TEST_MS },
    async () => {
      processes = await RoleProcesses.onTopic(broker, topic.name, 'north', 'south');
      const [north, south] = processes.sites as [RoleProcesses['sites'][0], RoleProcesses['sites'][0]];
      const writer = new RoleWriter(processes, 'a');
      await writer.more(20);
      const command = 'c'.repeat(16);
      const first = switchover(north, { to: 'south', command });
      await until('the target prepares', async () => south.log.some(({ event }) => event === 'primary-linked'), LIMIT_MS);
      await south.kill();
      await processes.restart(south);
      expect((await first).status).toBeLessThan(500);
      const leader = await processes.leader();
      await processes.feeds(leader, leader === north ? south : north);
      if (leader === north) await swap(north, south);
      await writer.stop();
      await processes.following(south);
      for (const site of processes.sites) expect(await writer.lostAt(site)).toEqual([]);
    },
  );
});
