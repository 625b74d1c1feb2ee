import { randomUUID } from 'node:crypto';
import { KAFKA_CLIENTS, loadKafkaClient, publishTransport, subscribeTransport } from '@evertree/transport/kafka';
import { afterAll, beforeAll } from 'vitest';
import { systemClock, systemRandom } from '../support/host.ts';
import { strictReport } from '../support/reports.ts';
import { startKafka } from '../support/kafka/broker.ts';
import type { KafkaBroker } from '../support/kafka/broker.ts';
import { describeKafka } from '../support/kafka/suite.ts';
import { testTransport } from './transport.ts';

describeKafka('conformance', () => {
  let broker: KafkaBroker;
  beforeAll(async () => {
    broker = await startKafka({ proxied: true });
  });
  afterAll(() => broker[Symbol.asyncDispose]());

  for (const client of KAFKA_CLIENTS)
    testTransport(
      `kafka, by ${client}`,
      async bounds => {
        const connect = await loadKafkaClient(client);
        const topic = `conformance-${randomUUID().slice(0, 8)}`;
        const limits = { retryMs: 20, retryMostMs: 200, answerMs: 2_000, acknowledgeMs: 1, ...bounds };
        const wire = { clock: systemClock, random: systemRandom, report: strictReport, topic, limits };
        const connection = { brokers: [broker.address] };
        const primary = publishTransport({ ...wire, connection, site: 'norð', partition: 0, key: 'DefaultKey' }, connect);
        const secondary = subscribeTransport(
          { ...wire, connection, site: 'south', groupId: 'conformance', fetch: { maxWaitMs: 100 } },
          connect,
        );
        return {
          primary,
          secondary,
          network: broker.proxy,
          [Symbol.asyncDispose]: async () => {
            broker.proxy.setAccepting('forward');
            broker.proxy.setRate(undefined);
            await Promise.all([primary.close(), secondary.close()]);
          },
        };
      },
      // The log also accepts records that a secondary does not read. The ends recognise such records, and no link ends
      // because of them.
      {
        frameBytes: 20 * 1024 * 1024,
        backPressure: false,
        closeReasons: true,
        violations: false,
        signsOfLife: true,
        faults: true,
        log: true,
      },
    );
});
