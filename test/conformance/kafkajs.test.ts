import { afterAll, beforeAll } from 'vitest';
import { createBroker } from '../../packages/transport/src/kafka/kafkajs/broker.ts';
import { startKafka } from '../support/kafka/broker.ts';
import type { KafkaBroker } from '../support/kafka/broker.ts';
import { describeKafka } from '../support/kafka/suite.ts';
import { testKafkaClient } from './kafka-client.ts';

describeKafka('conformance', () => {
  let server: KafkaBroker;
  beforeAll(async () => {
    server = await startKafka({ proxied: true });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  testKafkaClient('kafkajs', createBroker, () => server);
});
