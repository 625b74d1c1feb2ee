import { createClient } from '../../packages/transport/src/kafka/kafkajs/client.ts';
import { createBroker } from '../../packages/transport/src/kafka/kafkajs/broker.ts';
import {
  ANSWER_MS,
  FETCH_BYTES,
  type FrameClient,
  type FrameReader,
  type FrameWriter,
  HEADERS,
  KEY,
  PARTITION,
  WAIT_MS,
} from './client.ts';

const quiet = () => undefined;

/** kafkajs as the transport uses it. */
export const kafkajsClient: FrameClient = { openWriter, openReader };

async function openWriter(broker: string, topic: string): Promise<FrameWriter> {
  const client = createClient({ brokers: [broker] }, quiet, ANSWER_MS);
  const producer = client.producer({ idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false });
  try {
    await producer.connect();
  } catch (error) {
    client.abandon();
    throw error;
  }
  return {
    async send(frames) {
      const messages = frames.map(value => ({ key: KEY, value, headers: HEADERS, partition: PARTITION }));
      await producer.send({ topic, acks: -1, messages });
    },
    abandon: () => client.abandon(),
  };
}

async function openReader(broker: string, topic: string): Promise<FrameReader> {
  const client = createBroker({ connection: { brokers: [broker] }, report: quiet, answerMs: ANSWER_MS });
  const reader = await client.openReader({ topic, partition: PARTITION, maxBytes: FETCH_BYTES, maxWaitMs: WAIT_MS });
  return {
    async fetch(offset) {
      const { records, next } = await reader.fetch(offset);
      return { frames: records.flatMap(({ value }) => value ?? []), next };
    },
    end: async () => (await reader.offsets()).high,
    abandon: () => client.abandon(),
  };
}
