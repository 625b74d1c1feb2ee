import { expect, it, vi } from 'vitest';
import { startKafka } from '../support/kafka/broker.ts';
import type { KafkaBroker } from '../support/kafka/broker.ts';
import { describeKafka } from '../support/kafka/suite.ts';
import { Simulation } from '../support/simulation.ts';
import { until } from '../support/site-process.ts';
import { SOON, TopicPrimary, TopicSecondary } from '../support/topic-sites.ts';
import { expectNoCopy } from '../support/topic-stage.ts';
import { KAFKA_CLIENTS } from '@evertree/transport/kafka';
import { drawKafkaClient, useKafkaClient } from '../support/kafka/client.ts';

const MISTREATED_MS = 6_000;
/** So that a client that is stuck is found out soon. */
const limits = { answerMs: 1_000 };

interface Scene {
  readonly broker: KafkaBroker;
  readonly primary: TopicPrimary;
  readonly secondary: TopicSecondary;
}

const MISHAPS: readonly ((broker: KafkaBroker, dice: Simulation) => void)[] = [
  ({ proxy }) => proxy.cut(),
  ({ proxy }, dice) => proxy.cutAfter(dice.below(100_000)),
  ({ proxy }, dice) => proxy.cutAfter(dice.below(100_000)),
  ({ proxy }) => proxy.halfOpen(),
  ({ proxy }, dice) => proxy.setDelay(dice.below(100)),
  ({ proxy }) => proxy.setDelay(0),
  ({ proxy }, dice) => proxy.setRate([0, 50_000, 500_000][dice.below(3)]),
  ({ proxy }) => proxy.setRate(undefined),
  ({ proxy }) => proxy.setAccepting('refuse'),
  ({ proxy }) => proxy.setAccepting('silent'),
  ({ proxy }) => proxy.setAccepting('forward'),
  ({ proxy }) => proxy.setAccepting('forward'),
];

function mend({ proxy }: KafkaBroker): void {
  proxy.setAccepting('forward');
  proxy.setDelay(0);
  proxy.setRate(undefined);
}

async function withScene(play: (scene: Scene) => Promise<void>): Promise<void> {
  await using broker = await startKafka({ proxied: true });
  await using primary = await TopicPrimary.start({ broker: broker.address, topic: 'T', limits });
  await primary.commit(1);
  await primary.sent();
  await using secondary = await TopicSecondary.start({ broker: broker.address, topic: 'T', limits });
  await secondary.equals(primary);
  await play({ broker, primary, secondary });
}

/**
 * Until the network has seen so many more pieces of bytes, or so many more attempts to connect: one of them comes in
 * any mishap.
 */
async function goOn({ proxy }: KafkaBroker, dice: Simulation): Promise<void> {
  const [pieces, accepted] = [proxy.pieces + dice.below(100), proxy.accepted + 1 + dice.below(3)];
  await until('a site sends or connects', async () => proxy.pieces >= pieces || proxy.accepted >= accepted, SOON.timeout);
}

describeKafka('between the sites and the broker', () => {
  it('a network that cuts, stalls, delays and refuses at random loses nothing and repeats nothing', { timeout: 60_000 }, async () => {
    const dice = Simulation.seeded();
    drawKafkaClient(dice);
    await withScene(async ({ broker, primary, secondary }) => {
      const endMs = performance.now() + MISTREATED_MS;
      let mishaps = 0;
      for (; performance.now() < endMs; mishaps++) {
        MISHAPS[dice.below(MISHAPS.length)]!(broker, dice);
        const commits = dice.below(50);
        await primary.commit(commits, index => `/round/${mishaps % 10}/${index}`, 'x'.repeat(dice.below(20_000)));
        await goOn(broker, dice);
      }
      mend(broker);
      const mendedMs = performance.now();
      await secondary.equals(primary);
      const equalMs = Math.round(performance.now() - mendedMs);
      expectNoCopy(secondary);
      await primary.sent();
      console.log(
        `${mishaps} mishaps, ${primary.store.position.revision} commits, ${primary.told('peer-linked').length} links to the topic, equal after ${equalMs} ms`,
      );
    });
  });

  it.each(KAFKA_CLIENTS)('clients abandon a broker that is frozen, and everything arrives once it goes on (%s)', async client => {
    useKafkaClient(client);
    await withScene(async ({ broker, primary, secondary }) => {
      broker.freeze();
      await primary.commit(20);
      await vi.waitFor(() => expect(primary.topic).toMatchObject({ state: 'offline', lagRevisions: 20 }), SOON);
      await vi.waitFor(() => expect(secondary.consumer.state.state).toBe('offline'), SOON);
      await primary.commit(20, index => `/later/${index}`);
      broker.thaw();
      await secondary.equals(primary);
      await primary.sent();
      expectNoCopy(secondary);
    });
  });

  it('a broker whose disk is full stops by itself; when it is started again with room, nothing is missing', async () => {
    await withScene(async ({ broker, primary, secondary }) => {
      await broker.fillDisk();
      await primary.commit(20);
      await vi.waitFor(() => expect(primary.topic).toMatchObject({ state: 'offline', lagRevisions: 20 }), SOON);
      await broker.restart();
      await secondary.equals(primary);
      await primary.sent();
      expectNoCopy(secondary);
    });
  });
});
