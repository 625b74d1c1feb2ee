import { expect, it } from 'vitest';
import type { BrokerOptions, ReaderOptions } from '../broker.ts';
import { BatchReader } from './batch-reader.ts';
import { explainer } from './failures.ts';
import { EARLIEST, type FetchQuestion, type RecordWire } from './record-wire.ts';

const BROKER: BrokerOptions = { connection: { brokers: ['here:9092'] }, report: () => undefined, answerMs: 300 };
const EXPLAIN = explainer({ clueOf: error => error, explainOwn: () => undefined });

/** A broker with an empty partition of which offsets 3 to 8 are gone. It notes what it is asked. */
class EmptyWire implements RecordWire {
  readonly receivedBytes = 0;
  readonly fetches: FetchQuestion[] = [];
  readonly isolation: number[] = [];
  forgotten = 0;
  failure: Error | undefined;

  async fetch(question: FetchQuestion) {
    this.fetches.push(question);
    if (this.failure !== undefined) throw this.failure;
    return { low: 3n, high: 9n, aborted: [], records: Buffer.alloc(0) };
  }

  async offset(_topic: string, _partition: number, time: bigint, isolationLevel: number): Promise<bigint> {
    this.isolation.push(isolationLevel);
    if (time >= 0n) return time > 1_000n ? -1n : 4n;
    return time === EARLIEST ? 3n : 9n;
  }

  forget(): void {
    this.forgotten++;
  }

  canRetry(): boolean {
    return false;
  }

  checksum(): number {
    return 0;
  }

  async connect(): Promise<void> {}
  async reach(): Promise<void> {}
  async introduce(): Promise<never> {
    throw new Error('a reader writes nothing');
  }
  async produce(): Promise<never> {
    throw new Error('a reader writes nothing');
  }
  abandon(): void {}
  async close(): Promise<void> {}
}

function readerOf(wire: RecordWire, options: Partial<ReaderOptions> = {}): BatchReader {
  return new BatchReader(BROKER, { topic: 'a', partition: 0, ...options }, wire, EXPLAIN);
}

it('stays where it is when a fetch brings nothing', async () => {
  expect(await readerOf(new EmptyWire()).fetch(5n)).toEqual({ records: [], next: 5n, low: 3n, high: 9n });
});

it('waits for half of what an answer may take, at most', async () => {
  const wire = new EmptyWire();
  const reader = readerOf(wire);
  await reader.fetch(5n);
  await reader.fetch(5n, 20);
  await readerOf(wire, { maxWaitMs: 1_000 }).fetch(5n);
  expect(wire.fetches.map(({ waitMs }) => waitMs)).toEqual([150, 20, 150]);
});

it('reads what is committed, unless it is told otherwise', async () => {
  const wire = new EmptyWire();
  for (const options of [{}, { readUncommitted: true }]) {
    const reader = readerOf(wire, options);
    await reader.fetch(5n);
    expect(await reader.offsets()).toEqual({ low: 3n, high: 9n });
    expect([await reader.offsetAt(1_000), await reader.offsetAt(1_001)]).toEqual([4n, undefined]);
  }
  expect(wire.fetches.map(({ isolationLevel }) => isolationLevel)).toEqual([1, 0]);
  expect(wire.isolation).toEqual([1, 1, 1, 1, 0, 0, 0, 0]);
});

it('asks anew who leads after a failure, which it explains', async () => {
  const wire = new EmptyWire();
  const reader = readerOf(wire);
  wire.failure = new Error('planted');
  await expect(reader.fetch(5n)).rejects.toThrow('the broker here:9092: planted');
  expect(wire.forgotten).toBe(1);
  wire.failure = undefined;
  expect((await reader.fetch(5n)).next).toBe(5n);
  expect(wire.forgotten).toBe(1);
});
