import { expect, it } from 'vitest';
import { startKafka } from '../support/kafka/broker.ts';
import { QUICK_RESTART } from '../support/kafka/server-properties.ts';
import { describeKafka } from '../support/kafka/suite.ts';
import { until } from '../support/site-process.ts';
import type { SiteProcess } from '../support/site-process.ts';
import { Topic } from '../support/topic.ts';
import { START_LIMIT_MS, TopicProcesses, expectNever, untilEqual } from '../support/topic-processes.ts';

const LEAVES = 40_000;
const LIMIT_MS = 20_000;
/** So that a snapshot of some megabytes takes seconds. */
const THIN_BYTES_PER_SECOND = 1_500_000;

async function put(primary: SiteProcess, path: string, value: unknown): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${primary.url}/data${path}`, { method: 'PUT', headers, body: JSON.stringify(value) });
  expect(response.status).toBe(200);
}

function manyLeaves(): Record<string, string> {
  return Object.fromEntries(Array.from({ length: LEAVES }, (_, index) => [`leaf-${index}`, `${index} ${'x'.repeat(index % 100)}`]));
}

async function idsIn(topic: Topic): Promise<Set<string>> {
  return new Set((await topic.records(topic.snapshots)).map(({ key }) => String(key)));
}

describeKafka('a snapshot in the topic beside', () => {
  it(
    'that its primary or its secondary was killed in the middle of is not taken; the next one is, whole',
    { timeout: 90_000 },
    async () => {
      await using broker = await startKafka({ proxied: true, serverProperties: QUICK_RESTART });
      await using sites = await TopicProcesses.at(broker.address);
      await using topic = await Topic.at(broker.address, sites.topic);
      const [primary, secondary] = [await sites.primary(), await sites.secondary()];
      await primary.start(START_LIMIT_MS);
      await put(primary, '/leaves', manyLeaves());
      await until('the topic has it', async () => ((await primary.status())?.peers[0]?.lagRevisions ?? 1) === 0, LIMIT_MS);
      await topic.deleteBefore();
      await put(primary, '/after', 1);

      // The primary notices by itself that a new secondary could not start from the topic.
      broker.proxy.setRate(THIN_BYTES_PER_SECOND);
      await until('a snapshot has begun', async () => (await topic.offsets(topic.snapshots)).high > 2, LIMIT_MS);
      await primary.kill();
      broker.proxy.setRate(undefined);
      const torn = await idsIn(topic);
      expect([...torn].length).toBe(1);

      await primary.start(START_LIMIT_MS);
      await until('there is a whole one', async () => primary.log.some(({ event }) => event === 'topic-snapshot'), LIMIT_MS);
      broker.proxy.setRate(THIN_BYTES_PER_SECOND);
      await secondary.start(START_LIMIT_MS);
      await until('it is on its way', async () => (await secondary.status())?.consumer?.state === 'snapshot', LIMIT_MS);
      await secondary.kill();
      // It starts without the broker, so that it shows what it has of itself.
      broker.proxy.setRate(undefined);
      broker.proxy.setAccepting('refuse');
      await secondary.start(START_LIMIT_MS);
      expect((await secondary.status())!.position.revision).toBe(0);
      broker.proxy.setAccepting('forward');
      await untilEqual(primary, secondary);
      expect((await secondary.status())!.consumer!.resyncs).toEqual({ count: 1, lastReason: expect.stringMatching(/^new secondary/) });
      expectNever(['frame-quarantined'], primary, secondary);
    },
  );
});
