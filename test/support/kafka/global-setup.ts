import type { TestProject } from 'vitest/node';
import { answerWorkers, tellMissed } from '../run-server.ts';
import { type KafkaBroker, prepareKafka, startKafka } from './broker.ts';
import { findObstacle } from './distribution.ts';
import { STEADY } from './server-properties.ts';
import type { KafkaOfRun } from './suite.ts';

/**
 * Stands by for a run of the tests: the workers, a process each, ask it to fetch Kafka, and for the address of the
 * broker that they share. Nothing starts before the first of them asks.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const obstacle = await findObstacle();
  const tell = (line: string): void => project.vitest.logger.log(line);
  let prepared: Promise<unknown> | undefined;
  let broker: Promise<KafkaBroker> | undefined;
  const prepare = (): Promise<unknown> => (prepared ??= prepareKafka(tell));
  const share = (): Promise<KafkaBroker> => (broker ??= prepare().then(() => startKafka({ serverProperties: STEADY })));

  const server = await answerWorkers({
    '/prepared': async () => (await prepare(), ''),
    '/broker': async () => (await share()).address,
  });
  const kafka: KafkaOfRun = { obstacle: obstacle ?? null, url: server.url };
  project.provide('kafka', kafka);

  return async () => {
    server.close();
    // A broker that did not start has reported that to its callers.
    await broker?.then(
      started => started[Symbol.asyncDispose](),
      () => undefined,
    );
    if (obstacle !== undefined) tellMissed(project, 'needsKafka', 'a Kafka broker', obstacle);
  };
}
