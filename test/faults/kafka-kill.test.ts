import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { BatchWriter, expectAnswered, treeOf } from '../support/batch-writer.ts';
import { startKafka } from '../support/kafka/broker.ts';
import type { KafkaBroker } from '../support/kafka/broker.ts';
import { QUICK_RESTART } from '../support/kafka/server-properties.ts';
import { describeKafka } from '../support/kafka/suite.ts';
import { run } from '../support/program.ts';
import { Simulation } from '../support/simulation.ts';
import { until } from '../support/site-process.ts';
import type { SiteProcess, SiteStatus } from '../support/site-process.ts';
import { START_LIMIT_MS, TopicProcesses, expectNever, untilEqual } from '../support/topic-processes.ts';
import { KAFKA_CLIENTS } from '@evertree/transport/kafka';
import { drawKafkaClient, useKafkaClient } from '../support/kafka/client.ts';

/** How long faults are injected; then the three run undisturbed until their trees are equal. */
const MISTREATED_MS = 15_000;
/** On a slow machine the faults go on until there were so many. */
const LEAST_MISHAPS = 4;
/** Frames flow again within this; the figure itself is in the run's output. */
const FLOW_LIMIT_MS = 15_000;
const OUTAGE_MS = 4_000;
const TEXT_BYTES = 4096;
/** What an outage may cost the primary beside its tree, while several times as much waits for the broker. */
const MEMORY_BYTES = 64 * 1024 * 1024;

interface Trio {
  readonly broker: KafkaBroker;
  readonly primary: SiteProcess;
  readonly secondary: SiteProcess;
  readonly writer: BatchWriter;
}

/** The processes to kill together; one row is drawn each time. After a random time they are started again. */
const MISHAPS: readonly (readonly (keyof Omit<Trio, 'writer'>)[])[] = [
  // No process is killed: the broker is frozen.
  [],
  ['broker'],
  ['broker'],
  ['primary'],
  ['primary'],
  ['secondary'],
  ['secondary'],
  ['broker', 'primary'],
  ['broker', 'secondary'],
  ['primary', 'secondary'],
  ['broker', 'primary', 'secondary'],
];

/** A while of load, counted in batches, so that a slow machine gets as many; while the primary is dead, in time. */
async function load({ primary, writer }: Trio, batches: number): Promise<void> {
  const enough = writer.batches + batches;
  const endMs = performance.now() + batches * 20;
  const done = async (): Promise<boolean> => (primary.isRunning ? writer.batches >= enough : performance.now() > endMs);
  await until('the writer goes on', done, START_LIMIT_MS);
}

async function stall(trio: Trio, dice: Simulation): Promise<void> {
  trio.broker.freeze();
  await load(trio, dice.below(100));
  trio.broker.thaw();
}

async function mistreat(trio: Trio, dice: Simulation): Promise<string[]> {
  const endMs = performance.now() + MISTREATED_MS;
  const history: string[] = [];
  while (performance.now() < endMs || history.length < LEAST_MISHAPS) {
    await load(trio, dice.below(40));
    const dead = [...MISHAPS[dice.below(MISHAPS.length)]!].toSorted(() => dice.below(2) - 0.5);
    if (dead.length === 0) await stall(trio, dice);
    for (const name of dead) {
      await trio[name].kill();
      await load(trio, dice.below(10));
    }
    for (const name of dead.toSorted(() => dice.below(2) - 0.5)) {
      await load(trio, dice.below(40));
      if (name === 'broker') await trio.broker.restart();
      else await trio[name].start(START_LIMIT_MS);
    }
    history.push(dead.join(' and ') || 'a stall');
  }
  return history;
}

function topicOf(status: SiteStatus | undefined): SiteStatus['peers'][number] | undefined {
  return status?.peers.find(({ relay }) => relay);
}

async function memoryOf(site: SiteProcess): Promise<number> {
  const text = await readFile(`/proc/${site.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(text)?.[1]) * 1024;
}

describeKafka('broker, primary and secondary, killed under load', () => {
  it('in random order end with equal trees: every answered write is there, once and in order', { timeout: 150_000 }, async () => {
    const dice = Simulation.seeded();
    drawKafkaClient(dice);
    await using broker = await startKafka({ serverProperties: QUICK_RESTART });
    await using sites = await TopicProcesses.at(broker.address);
    const [primary, secondary] = [await sites.primary(), await sites.secondary()];
    await Promise.all([primary.start(START_LIMIT_MS), secondary.start(START_LIMIT_MS)]);
    const writer = new BatchWriter(primary);
    const history = await mistreat({ broker, primary, secondary, writer }, dice);
    await writer.stop();
    console.log(`${history.length} mishaps (${history.join(', ')}), ${writer.answered.length} writes answered`);
    expect(history.length).toBeGreaterThanOrEqual(LEAST_MISHAPS);
    await untilEqual(primary, secondary);
    expectAnswered(writer, await treeOf(secondary));
    expectNever(['peer-resync', 'resync', 'primary-fenced', 'frame-quarantined', 'topic-changed'], primary, secondary);
    await Promise.all([primary.stop(), secondary.stop()]);
    const [ours, theirs] = [await sites.framesOf(primary), await sites.framesOf(secondary)];
    expect([...theirs.keys()]).toEqual([...ours.keys()]);
    for (const [place, bytes] of ours) expect(bytes.equals(theirs.get(place)!), place).toBe(true);
  });

  it.each(KAFKA_CLIENTS)(
    'only the broker is killed: commits go on, the status says since when it is away and how much waits, and all of it arrives (%s)',
    async client => {
      useKafkaClient(client);
      await using broker = await startKafka({ serverProperties: QUICK_RESTART });
      await using sites = await TopicProcesses.at(broker.address);
      const [primary, secondary] = [await sites.primary(), await sites.secondary()];
      await Promise.all([primary.start(START_LIMIT_MS), secondary.start(START_LIMIT_MS)]);
      // The same places again and again: what grows then is not the tree.
      const writer = new BatchWriter(primary, TEXT_BYTES, 1000);
      await until('it flows', async () => ((await secondary.status())?.position.revision ?? 0) > 2000, START_LIMIT_MS);
      // The thread of the index takes its memory with its first run, outage or not.
      const indexFiles = () => readdir(join(primary.data, 'index')).catch(() => []);
      await until('the index has begun', async () => (await indexFiles()).length > 0, START_LIMIT_MS);
      const before = await memoryOf(primary);

      await broker.kill();
      const killed = Date.now();
      const committed = writer.answered.length;
      await until('the status tells', async () => topicOf(await primary.status())?.state === 'offline', FLOW_LIMIT_MS);
      await until('a long outage shows', async () => (topicOf(await primary.status())?.lagMs ?? 0) > OUTAGE_MS, FLOW_LIMIT_MS);
      const topic = topicOf(await primary.status())!;
      expect(topic.since).toBeGreaterThanOrEqual(killed - 1000);
      expect(topic.lagRevisions).toBeGreaterThan(0);
      expect(topic.lagMs).toBeGreaterThan(OUTAGE_MS);
      expect(topic.lastError).toMatch(/ECONNREFUSED|lost|given up|closed/);
      expect(writer.answered.length, 'commits during the outage').toBeGreaterThan(committed + 1000);
      const waitingBytes = topic.lagRevisions! * (TEXT_BYTES - 50);
      const grownBytes = (await memoryOf(primary)) - before;
      const { stdout } = await run(['status', '--url', primary.url]);
      expect(stdout).toMatch(/topic p-\w+ +offline, at 1-\d+, away since 20\S+Z, [\d,.  ]+ revisions wait for it/);
      const behind = (await secondary.status())!.position.revision;

      await broker.restart();
      const back = performance.now();
      await until('frames flow again', async () => ((await secondary.status())?.position.revision ?? 0) > behind, FLOW_LIMIT_MS);
      const flowMs = performance.now() - back;
      await writer.stop();
      await untilEqual(primary, secondary);
      await until('the status tells it', async () => topicOf(await primary.status())?.state === 'replicate', FLOW_LIMIT_MS);
      console.log(
        `${Math.round(flowMs)} ms after the broker was back frames flowed; ${Math.round(waitingBytes / 2 ** 20)} MiB waited for it, ` +
          `and the primary grew by ${Math.round(grownBytes / 2 ** 20)} MiB`,
      );
      expect(grownBytes).toBeLessThan(MEMORY_BYTES);
      expectNever(['peer-resync', 'resync', 'primary-fenced', 'frame-quarantined', 'topic-changed'], primary, secondary);
      await Promise.all([primary.stop(), secondary.stop()]);
      expectNever([], primary, secondary);
    },
    90_000,
  );
});
