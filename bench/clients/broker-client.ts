import type { MakeBroker } from '@evertree/transport/kafka';
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

const key = Buffer.from(KEY);

/** A client as the transport uses it. */
export function brokerClient(make: MakeBroker): FrameClient {
  const connect = (broker: string) => make({ connection: { brokers: [broker] }, report: () => undefined, answerMs: ANSWER_MS });
  return {
    async openWriter(broker, topic): Promise<FrameWriter> {
      const client = connect(broker);
      const writer = await client.openWriter({ acks: 'all', idempotent: true, answerMs: ANSWER_MS });
      return {
        async send(frames) {
          const records = frames.map(value => ({ key, value, headers: HEADERS }));
          await writer.send(topic, PARTITION, records);
        },
        abandon: () => client.abandon(),
      };
    },
    async openReader(broker, topic): Promise<FrameReader> {
      const client = connect(broker);
      const reader = await client.openReader({ topic, partition: PARTITION, maxBytes: FETCH_BYTES, maxWaitMs: WAIT_MS });
      return {
        async fetch(offset) {
          const { records, next } = await reader.fetch(offset);
          return { frames: records.flatMap(({ value }) => value ?? []), next };
        },
        end: async () => (await reader.offsets()).high,
        abandon: () => client.abandon(),
      };
    },
  };
}
