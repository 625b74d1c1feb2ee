import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
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

// The part of @platformatic/kafka 2 that is used. It is not a dependency, so its own types are not available.
interface Library {
  readonly Producer: new (options: object) => Client & { send(options: object): Promise<unknown> };
  readonly Consumer: new (options: object) => Client & {
    fetch(options: object): Promise<{ readonly responses: readonly { readonly partitions: readonly Fetched[] }[] }>;
    listOffsets(options: { topics: string[] }): Promise<Map<string, bigint[]>>;
  };
}

interface Client {
  metadata(options: { topics: string[] }): Promise<{ readonly topics: Map<string, Topic> }>;
  close(force: boolean): Promise<void>;
}

interface Topic {
  readonly id: string;
  readonly partitions: readonly { readonly leader: number }[];
}

interface Fetched {
  readonly records?: readonly {
    readonly firstOffset: bigint;
    readonly lastOffsetDelta: number;
    readonly records: readonly { readonly offsetDelta: number; readonly value: Buffer }[];
  }[];
}

const READ_COMMITTED = 1;
const ANY_EPOCH = -1;
const CONNECT_MS = 3_000;
const headers = new Map(Object.entries(HEADERS).map(([name, value]) => [Buffer.from(name), Buffer.from(value)]));
const key = Buffer.from(KEY);

/** @param folder where `npm i @platformatic/kafka@2` was done */
export async function platformaticClient(folder: string): Promise<FrameClient> {
  const file = createRequire(join(folder, 'package.json')).resolve('@platformatic/kafka');
  const library = (await import(pathToFileURL(file).href)) as Library;
  return {
    openWriter: (broker, topic) => openWriter(library, broker, topic),
    openReader: (broker, topic) => openReader(library, broker, topic),
  };
}

/** The client does not retry: its callers do. */
function optionsFor(broker: string): object {
  return {
    clientId: 'bench',
    bootstrapBrokers: [broker],
    retries: 0,
    timeout: ANSWER_MS,
    connectTimeout: CONNECT_MS,
    autocreateTopics: false,
  };
}

async function openWriter({ Producer }: Library, broker: string, topic: string): Promise<FrameWriter> {
  const producer = new Producer({ ...optionsFor(broker), idempotent: true, acks: -1 });
  await opened(producer, topic);
  return {
    async send(frames) {
      await producer.send({ messages: frames.map(value => ({ topic, key, value, headers, partition: PARTITION })) });
    },
    abandon: () => letGo(producer),
  };
}

async function openReader({ Consumer }: Library, broker: string, topic: string): Promise<FrameReader> {
  const consumer = new Consumer({ ...optionsFor(broker), groupId: 'bench' });
  const { id, partitions } = await opened(consumer, topic);
  const common = {
    node: partitions[PARTITION]!.leader,
    minBytes: 1,
    maxBytes: FETCH_BYTES,
    maxWaitTime: WAIT_MS,
    isolationLevel: READ_COMMITTED,
  };
  return {
    async fetch(fetchOffset) {
      const epochs = { currentLeaderEpoch: ANY_EPOCH, lastFetchedEpoch: ANY_EPOCH };
      const partition = { partition: PARTITION, fetchOffset, partitionMaxBytes: FETCH_BYTES, ...epochs };
      const { responses } = await consumer.fetch({ ...common, topics: [{ topicId: id, partitions: [partition] }] });
      const batches = responses[0]?.partitions[0]?.records ?? [];
      const last = batches.at(-1);
      const isWanted = (offset: bigint): boolean => offset >= fetchOffset;
      return {
        frames: batches.flatMap(({ firstOffset, records }) =>
          records.filter(({ offsetDelta }) => isWanted(firstOffset + BigInt(offsetDelta))).map(({ value }) => value),
        ),
        next: last === undefined ? fetchOffset : last.firstOffset + BigInt(last.lastOffsetDelta) + 1n,
      };
    },
    end: async () => (await consumer.listOffsets({ topics: [topic] })).get(topic)![PARTITION]!,
    abandon: () => letGo(consumer),
  };
}

async function opened(client: Client, topic: string): Promise<Topic> {
  try {
    const { topics } = await client.metadata({ topics: [topic] });
    return topics.get(topic)!;
  } catch (error) {
    letGo(client);
    throw error;
  }
}

/** Closes a client that has failed: nobody waits for it, and its error is known. */
function letGo(client: Client): void {
  client.close(true).catch(() => undefined);
}
