import { EvertreeError } from '@evertree/core';
import type { Clock } from '@evertree/core';
import type { Broker, PartitionReader, RecordWriter, Watermarks } from '../broker.ts';
import type { ReceivedRecord } from '../records.ts';
import type { ReportOnce } from './report-once.ts';
import type { PublisherSettings } from './settings.ts';
import { TailSearch } from './tail.ts';
import { prepareTopics } from './topic-setup.ts';
import type { TopicFacts } from './topic-setup.ts';

/** The wait of a fetch for records that are there already. */
const NO_WAIT_MS = 1;
/** The client's own bound for an answer to a batch. It is above those of PrimaryEnd, which count the batch's bytes. */
const ANSWER_MOST_MS = 60_000;
/** Pause between two looks at topics that have just been made, and how many there are: their leaders take a moment. */
const LEADER_WAIT_MS = 100;
const LEADER_LOOKS = 50;

/** What was found when the topics were opened for a link. */
export interface OpenedTopics {
  readonly facts: TopicFacts;
  /** Where the topic ends; its first step has been read. */
  readonly search: TailSearch;
  /** The ends of the control topic. */
  readonly control: Watermarks;
}

/** The connections of one link, all new: after a failure nothing is known of a client's requests. */
export interface TopicConnection {
  readonly broker: Broker;
  readonly opened: OpenedTopics;
  readonly frames: RecordWriter;
  /** A writer of its own, so that a large snapshot delays no frame. */
  readonly beside: RecordWriter;
  readonly reader: PartitionReader;
  readonly control: PartitionReader;
  /** Waits at the topic's end for what others write. */
  readonly watcher: PartitionReader;
}

/**
 * Connects, makes and checks the topics, and reads how the topic ends.
 * @throws BrokerError, EvertreeErrors with what mends it
 */
export async function connectTopic(broker: Broker, settings: PublisherSettings, once: ReportOnce): Promise<TopicConnection> {
  const { clock, openingMs, remote } = settings;
  const connected = await within(clock, openingMs, `connecting to ${remote}`, connect(broker, settings, once));
  const { facts, reader, control } = connected;
  // From here on a broker that does not answer is found by its readers; one that answers slowly gets its time.
  const ends = await control.offsets();
  const { low, high } = await reader.offsets();
  const search = new TailSearch(low, high);
  for await (const { records } of readRange(reader, search.from, search.end)) search.take(records);
  return { ...connected, broker, opened: { facts, search, control: ends } };
}

/** Reads from `from` to before `to`, and what comes with the last fetch. */
export async function* readRange(
  reader: PartitionReader,
  from: bigint,
  to: bigint,
): AsyncGenerator<{ readonly records: readonly ReceivedRecord[]; readonly done: boolean }> {
  for (let offset = from; offset < to;) {
    const { records, next } = await reader.fetch(offset, NO_WAIT_MS);
    // The broker gives no records where some were: the topic was cut meanwhile.
    if (next === offset)
      throw new EvertreeError('UNREACHABLE', `the topic has nothing at offset ${offset}, where records were: it is being cut short`);
    offset = next;
    yield { records, done: offset >= to };
  }
}

async function connect(broker: Broker, settings: PublisherSettings, once: ReportOnce) {
  const { topics, partition, retries, idempotent, compression } = settings;
  const writer = { acks: 'all', answerMs: ANSWER_MOST_MS, idempotent, retries, compression } as const;
  const [frames, beside] = await Promise.all([broker.openWriter(writer), broker.openWriter(writer)]);
  const { facts, created } = await prepareTopics(broker, settings, once);
  const read = (topic: string, from: number) => openReader(broker, topic, from, created ? LEADER_LOOKS : 1, settings.clock);
  const [reader, control, watcher] = await Promise.all([
    read(topics.frames, partition),
    read(topics.control, 0),
    read(topics.frames, partition),
  ]);
  return { facts, frames, beside, reader, control, watcher };
}

/** A reader that has been answered. */
async function openReader(broker: Broker, topic: string, partition: number, looks: number, clock: Clock): Promise<PartitionReader> {
  for (let look = 1; ; look++) {
    try {
      const reader = await broker.openReader({ topic, partition, readUncommitted: true });
      await reader.offsets();
      return reader;
    } catch (error) {
      if (look >= looks) throw error;
      await new Promise<void>(resolve => void clock.after(LEADER_WAIT_MS, resolve));
    }
  }
}

/** Resolves or rejects as `work` does, and rejects after `ms` at the latest. The work's outcome is ignored then. */
async function within<T>(clock: Clock, ms: number, what: string, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const deadline = clock.after(ms, () => late.reject(new EvertreeError('UNREACHABLE', `${what} took longer than ${ms} ms`)));
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    deadline[Symbol.dispose]();
  }
}
