import { expect, it } from 'vitest';
import type { BrokerOptions, WriterOptions } from '../broker.ts';
import { BatchWriter, sequenceAfter } from './batch-writer.ts';
import { explainer } from './failures.ts';
import type { RecordWire } from './record-wire.ts';

const BROKER: BrokerOptions = { connection: { brokers: ['here:9092'] }, report: () => undefined, answerMs: 1_000 };
const EXPLAIN = explainer({ clueOf: error => error, explainOwn: () => undefined });
/** Where a batch has the epoch of its producer, the number of its first record among the producer's, and its count. */
const [EPOCH_AT, SEQUENCE_AT, COUNT_AT] = [51, 53, 57];

interface Sent {
  readonly place: string;
  readonly epoch: number;
  readonly sequence: number;
  readonly count: number;
}

/** What a broker got. Each failure is that of one send, the first first. */
function wireTo(sent: Sent[], failures: Error[]): RecordWire & { readonly forgotten: () => number } {
  let [epoch, forgotten] = [0, 0];
  return {
    receivedBytes: 0,
    forgotten: () => forgotten,
    connect: async () => undefined,
    reach: async () => undefined,
    offset: async () => 0n,
    fetch: () => Promise.reject(new Error('a writer fetches nothing')),
    introduce: async () => ({ id: 7n, epoch: epoch++ }),
    produce: async (topic, partition, batch) => {
      const [found, sequence, count] = [batch.readInt16BE(EPOCH_AT), batch.readInt32BE(SEQUENCE_AT), batch.readInt32BE(COUNT_AT)];
      sent.push({ place: `${topic}:${partition}`, epoch: found, sequence, count });
      const failure = failures.shift();
      if (failure !== undefined) throw failure;
      return 5n;
    },
    forget: () => void forgotten++,
    canRetry: error => error instanceof Error && error.message === 'passing',
    checksum: () => 0,
    abandon: () => undefined,
    close: async () => undefined,
  };
}

function writerOf(wire: RecordWire, options: Partial<WriterOptions> = {}): BatchWriter {
  return new BatchWriter(BROKER, { acks: 'all', idempotent: true, answerMs: 1_000, ...options }, wire, EXPLAIN);
}

const records = (count: number) => Array.from({ length: count }, () => ({ key: Buffer.from('k'), value: Buffer.from('v'), headers: {} }));

it('numbers the records of each partition on, so that the broker finds a batch that is missing or came twice', async () => {
  const sent: Sent[] = [];
  const writer = writerOf(wireTo(sent, []));
  await writer.connect();
  for (const [topic, count] of [
    ['a', 3],
    ['b', 1],
    ['a', 2],
    ['a', 1],
  ] as const)
    expect(await writer.send(topic, 0, records(count))).toBe(5n);
  expect(sent.map(({ place, epoch, sequence }) => [place, epoch, sequence])).toEqual([
    ['a:0', 0, 0],
    ['b:0', 0, 0],
    ['a:0', 0, 3],
    ['a:0', 0, 5],
  ]);
});

it.each([
  [0, 3, 3],
  [2 ** 31 - 3, 2, 2 ** 31 - 1],
  [2 ** 31 - 3, 3, 0],
  [2 ** 31 - 1, 5, 4],
])('numbers on within 31 bits, from 0 again: %d and %d records make %d', (sequence, count, next) => {
  expect(sequenceAfter(sequence, count)).toBe(next);
});

it('sends the very batch again whose answer was lost, and asks anew who leads', async () => {
  const sent: Sent[] = [];
  const wire = wireTo(sent, [new Error('passing'), new Error('passing')]);
  const writer = writerOf(wire);
  await writer.send('a', 0, records(2));
  await writer.send('a', 0, records(1));
  expect(sent.map(({ epoch, sequence, count }) => [epoch, sequence, count])).toEqual([
    [0, 0, 2],
    [0, 0, 2],
    [0, 0, 2],
    [0, 2, 1],
  ]);
  expect(wire.forgotten()).toBe(2);
});

it('begins a new sequence under a new identity after a send of which nothing is known', async () => {
  const sent: Sent[] = [];
  const writer = writerOf(wireTo(sent, []));
  await writer.send('a', 0, records(2));
  const failing = writerOf(wireTo(sent, [new Error('lasting')]));
  await expect(failing.send('a', 0, records(2))).rejects.toThrow('lasting');
  await failing.send('a', 0, records(4));
  await failing.send('a', 0, records(1));
  expect(sent.slice(1).map(({ epoch, sequence, count }) => [epoch, sequence, count])).toEqual([
    [0, 0, 2],
    [1, 0, 4],
    [1, 4, 1],
  ]);
});

it('begins all sequences anew with a new identity, also that of a partition where nothing failed', async () => {
  const sent: Sent[] = [];
  const failures: Error[] = [];
  const writer = writerOf(wireTo(sent, failures));
  await writer.send('a', 0, records(2));
  failures.push(new Error('lasting'));
  await expect(writer.send('b', 0, records(1))).rejects.toThrow('lasting');
  await writer.send('a', 0, records(1));
  expect(sent.at(-1)).toEqual({ place: 'a:0', epoch: 1, sequence: 0, count: 1 });
});

it('tries as often as it is told, and without idempotence names no producer', async () => {
  const sent: Sent[] = [];
  const failures = Array.from({ length: 3 }, () => new Error('passing'));
  const writer = writerOf(wireTo(sent, failures), { idempotent: false, retries: 1 });
  await expect(writer.send('a', 0, records(1))).rejects.toThrow('passing');
  expect(sent.map(({ epoch, sequence }) => [epoch, sequence])).toEqual([
    [-1, -1],
    [-1, -1],
  ]);
});
