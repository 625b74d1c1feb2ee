import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeKafka, sharedBroker } from '../support/kafka/suite.ts';
import { RoleProcesses, RoleWriter, send, switchover } from '../support/role-processes.ts';
import { until } from '../support/site-process.ts';
import { Topic } from '../support/topic.ts';
import { expectNever } from '../support/topic-processes.ts';

/** `EVERTREE_SWAPS=100 pnpm test kafka-swaps` changes roles a hundred times. */
const SWAPS = Number(process.env['EVERTREE_SWAPS'] ?? 12);
const LIMIT_MS = 30_000;
/** A swap, the links made anew after it, and the writes between two. */
const SWAP_LIMIT_MS = 12_000;

interface Shown {
  readonly epochs: readonly { readonly number: number; readonly id: string; readonly site: string }[];
  readonly divergences: readonly object[];
}

describeKafka('three processes on one topic', () => {
  let topic: Topic;
  let processes: RoleProcesses;

  beforeEach(async () => {
    const broker = await sharedBroker();
    topic = await Topic.at(broker, `s-${randomUUID().slice(0, 8)}`);
    processes = await RoleProcesses.onTopic(broker, topic.name, 'north', 'south', 'west');
  });
  afterEach(async () => {
    await processes[Symbol.asyncDispose]();
    await topic[Symbol.asyncDispose]();
  });

  test(
    'change roles again and again under load: no answered write is lost, none is twice, and no history parts',
    { timeout: 60_000 + SWAPS * SWAP_LIMIT_MS },
    async () => {
      const { sites } = processes;
      const writers = ['a', 'b', 'c'].map(name => new RoleWriter(processes, name));
      let leader = sites[0]!;
      const reigns = [leader.site];
      for (let round = 1; round <= SWAPS; round++) {
        const next = sites[round % sites.length]!;
        await Promise.all(writers.map(writer => writer.more(10)));
        await processes.feeds(leader, next);
        const done = async () => {
          const { json } = await switchover(leader, { to: next.site });
          expect(json.outcome ?? 'abandoned', `${leader.tail()}\n\n${next.tail()}`).toMatch(/done|abandoned/);
          return json.outcome === 'done';
        };
        await until(`${next.site} leads in round ${round}`, done, LIMIT_MS);
        leader = next;
        reigns.push(leader.site);
      }
      await Promise.all(writers.map(writer => writer.more(10)));
      await Promise.all(writers.map(writer => writer.stop()));
      await processes.following(leader);
      expectNever(['second-primary', 'foreign-records', 'resync', 'peer-resync'], ...sites);
      const { epochs } = (await send<Shown>(leader, 'GET', '/status')).json;
      for (const site of sites) {
        for (const writer of writers) expect(await writer.lostAt(site), site.site).toEqual([]);
        expect((await send<Shown>(site, 'GET', '/status')).json, site.site).toMatchObject({ epochs, divergences: [] });
      }
      // The status tells the newest entries; a restart of a primary goes on with its number, and there was none.
      expect(epochs.map(({ site }) => site)).toEqual(reigns.slice(-epochs.length));
      expect(new Set(epochs.map(({ id }) => id)).size).toBe(epochs.length);
    },
  );
});
