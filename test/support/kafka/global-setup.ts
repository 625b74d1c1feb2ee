import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestProject } from 'vitest/node';
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

  const server = createServer((request, response) => {
    const answer = request.url === '/broker' ? share().then(({ address }) => address) : prepare().then(() => '');
    answer.then(
      text => response.end(text),
      (error: unknown) => response.writeHead(500).end(error instanceof Error ? error.message : String(error)),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const kafka: KafkaOfRun = { obstacle: obstacle ?? null, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  project.provide('kafka', kafka);

  return async () => {
    server.close();
    server.closeAllConnections();
    // A broker that did not start has reported that to its callers.
    await broker?.then(
      started => started[Symbol.asyncDispose](),
      () => undefined,
    );
    if (obstacle !== undefined) tellMissed(project, obstacle);
  };
}

/** The closing lines: what did not run, and what helps. */
function tellMissed(project: TestProject, obstacle: string): void {
  const missed: string[] = [];
  let tests = 0;
  for (const file of project.vitest.state.getTestModules()) {
    for (const suite of file.children.allSuites()) {
      // The suites inside it bear its mark, too.
      const isWhole = suite.parent.type === 'module' || suite.parent.meta().needsKafka !== true;
      if (suite.meta().needsKafka !== true || !isWhole) continue;
      const count = [...suite.children.allTests()].length;
      tests += count;
      missed.push(`  ${file.relativeModuleId}: ${suite.fullName} (${count})`);
    }
  }
  if (missed.length === 0) return;
  const lines = ['', `${tests} TESTS DID NOT RUN, for want of a Kafka broker:`, ...missed, obstacle, ''];
  project.vitest.logger.log(lines.join('\n'));
}
