import { afterAll, beforeAll } from 'vitest';
import { loadKafkaClient } from '@evertree/transport/kafka';
import { startKafka } from '../support/kafka/broker.ts';
import type { KafkaBroker } from '../support/kafka/broker.ts';
import { describeKafka } from '../support/kafka/suite.ts';
import { testKafkaClient } from './kafka-client.ts';

const createBroker = await loadKafkaClient('platformatic');

describeKafka('conformance', () => {
  let server: KafkaBroker;
  beforeAll(async () => {
    server = await startKafka({ proxied: true });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  testKafkaClient('@platformatic/kafka', createBroker, () => server);
});
