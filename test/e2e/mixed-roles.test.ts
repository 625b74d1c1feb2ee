import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeKafka, sharedBroker } from '../support/kafka/suite.ts';
import { RoleProcesses, RoleWriter, send, switchover } from '../support/role-processes.ts';
import { type SiteProcess, until } from '../support/site-process.ts';
import { Topic } from '../support/topic.ts';
import { expectNever } from '../support/topic-processes.ts';

const LIMIT_MS = 30_000;
const WRITES = 30;

interface Shown {
  readonly standing: string;
  readonly epochs: readonly { readonly number: number; readonly id: string; readonly site: string }[];
  readonly divergences: readonly object[];
}

async function shown(site: SiteProcess): Promise<Shown> {
  return (await send<Shown>(site, 'GET', '/status')).json;
}

describeKafka('a primary that feeds one secondary by WebSocket and two through a topic', () => {
  let broker: string;
  let topic: Topic;
  let processes: RoleProcesses;

  beforeEach(async () => {
    broker = await sharedBroker();
    topic = await Topic.at(broker, `m-${randomUUID().slice(0, 8)}`);
  });
  afterEach(async () => {
    await processes[Symbol.asyncDispose]();
    await topic[Symbol.asyncDispose]();
  });

  /** The same command again is what an operator does when it was abandoned, as while a link is made anew. */
  async function swap(from: SiteProcess, to: SiteProcess): Promise<void> {
    await processes.feeds(from, to);
    const done = async () => {
      const { json } = await switchover(from, { to: to.site });
      expect(json.outcome ?? 'abandoned', `${from.tail()}\n\n${to.tail()}`).toMatch(/done|abandoned/);
      return json.outcome === 'done';
    };
    await until(`${to.site} leads instead of ${from.site}`, done, LIMIT_MS);
  }

  test('swaps with each of them, wire by wire, under load: all follow, nothing is lost, nothing parts', { timeout: 120_000 }, async () => {
    processes = await RoleProcesses.mixed(broker, topic.name, { listening: ['north', 'south'], reading: ['west', 'east'] });
    const [north, south, west, east] = processes.sites as [SiteProcess, SiteProcess, SiteProcess, SiteProcess];
    const writers = ['a', 'b'].map(name => new RoleWriter(processes, name));
    const reigns = [north, south, west, east, north] as const;
    for (const [index, to] of reigns.entries()) {
      await Promise.all(writers.map(writer => writer.more(WRITES)));
      if (index > 0) await swap(reigns[index - 1]!, to);
    }
    await Promise.all(writers.map(writer => writer.more(WRITES)));
    await Promise.all(writers.map(writer => writer.stop()));
    await processes.following(north);
    expectNever(['second-primary', 'foreign-records', 'resync', 'peer-resync'], ...processes.sites);
    const { epochs } = await shown(north);
    for (const site of processes.sites) {
      for (const writer of writers) expect(await writer.lostAt(site), site.site).toEqual([]);
      expect(await shown(site), site.site).toMatchObject({ divergences: [], epochs });
    }
    const led = epochs.filter(({ number }, index) => epochs[index + 1]?.number !== number).map(({ site }) => site);
    expect(led).toEqual(reigns.map(({ site }) => site));
  });

  test('hears before of the readers of a topic that the target would not feed', async () => {
    processes = await RoleProcesses.mixed(broker, topic.name, { listening: ['north', 'south'], reading: ['west'], without: ['south'] });
    const [north, south, west] = processes.sites as [SiteProcess, SiteProcess, SiteProcess];
    await send(north, 'PUT', '/data/a', 1);
    for (const secondary of [south, west]) await processes.feeds(north, secondary);
    expect((await switchover(north, { to: 'west', dryRun: true })).json, west.tail()).toMatchObject({ possible: true, warnings: [] });
    const text = `south would not feed west: west reads topic ${topic.name}, and the primary file of south does not name it`;
    expect((await switchover(north, { to: 'south', dryRun: true })).json, south.tail()).toMatchObject({
      possible: true,
      warnings: [{ code: 'secondary-unreached', text: expect.stringContaining(text) as string }],
    });
  });
});
