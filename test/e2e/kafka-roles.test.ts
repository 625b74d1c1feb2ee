import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeKafka, sharedBroker } from '../support/kafka/suite.ts';
import { RoleProcesses, RoleWriter, switchover } from '../support/role-processes.ts';
import { Topic } from '../support/topic.ts';
import { expectNever } from '../support/topic-processes.ts';

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

  test('change roles and change them back under load, with no answered write lost and one history for a third site', async () => {
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
  });
});
