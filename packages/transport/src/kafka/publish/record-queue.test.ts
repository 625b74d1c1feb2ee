import { describe, expect, test } from 'vitest';
import { ManualClock } from '../../../../../test/support/host.ts';
import { RecordQueue } from './record-queue.ts';
import type { RecordQueueOptions } from './record-queue.ts';

/** What the queue counts for a record beside its value. */
const RECORD_BYTES = 128;
const KEY = Buffer.from('k');

/** A broker that answers when the test says so. */
class Broker {
  readonly clock = new ManualClock();
  readonly sent: string[][] = [];
  readonly stored: string[] = [];
  readonly failures: unknown[] = [];
  readonly #answers: PromiseWithResolvers<bigint>[] = [];
  readonly queue: RecordQueue<string>;

  constructor(change: Partial<RecordQueueOptions<string>> = {}) {
    this.queue = new RecordQueue<string>({
      clock: this.clock,
      batchBytes: 3 * (RECORD_BYTES + 1),
      lingerMs: 0,
      sendMs: 100,
      send: (_, records) => {
        this.sent.push(records.map(({ value }) => String(value)));
        const answer = Promise.withResolvers<bigint>();
        this.#answers.push(answer);
        return answer.promise;
      },
      stored: (batch, offset) => this.stored.push(...batch.map(({ tag }, index) => `${tag}@${offset + BigInt(index)}`)),
      failed: error => this.failures.push(error),
      ...change,
    });
  }

  push(values: string, topic = 'T'): void {
    for (const value of values) this.queue.push({ topic, record: { key: KEY, value: Buffer.from(value), headers: {} }, tag: value });
    this.clock.advance(0);
  }

  async answer(offset: number): Promise<void> {
    this.#answers.shift()!.resolve(BigInt(offset));
    await this.#settle();
  }

  async refuse(error: Error): Promise<void> {
    this.#answers.shift()!.reject(error);
    await this.#settle();
  }

  async #settle(): Promise<void> {
    await new Promise(resolve => setImmediate(resolve));
    this.clock.advance(0);
  }
}

describe('records on their way to the broker', () => {
  test('go one batch at a time, and what comes meanwhile is the next one', async () => {
    const broker = new Broker();
    broker.push('ab');
    broker.push('c');
    expect(broker.sent).toEqual([['a', 'b']]);
    await broker.answer(7);
    expect(broker.sent).toEqual([['a', 'b'], ['c']]);
    await broker.answer(9);
    expect(broker.stored).toEqual(['a@7', 'b@8', 'c@9']);
    expect(broker.queue.waitingBytes).toBe(0);
  });

  test('fill a batch up to its size, and a larger one goes by itself', async () => {
    const broker = new Broker();
    broker.push('abcd');
    await broker.answer(0);
    broker.queue.push({ topic: 'T', record: { key: KEY, value: Buffer.alloc(5000), headers: {} }, tag: 'large' });
    broker.push('e');
    await broker.answer(3);
    await broker.answer(4);
    expect(broker.sent.map(batch => batch.length)).toEqual([3, 1, 1, 1]);
  });

  test('of two topics do not share a batch, and keep their order', async () => {
    const broker = new Broker();
    broker.push('a', 'T');
    broker.push('b', 'U');
    broker.push('c', 'T');
    for (const offset of [0, 0, 1]) await broker.answer(offset);
    expect(broker.sent).toEqual([['a'], ['b'], ['c']]);
  });

  test('are at most 500 in a batch', () => {
    const broker = new Broker({ batchBytes: 1_000_000 });
    broker.push('x'.repeat(700));
    expect(broker.sent.map(batch => batch.length)).toEqual([500]);
  });

  test('linger for others, but not once a batch is full', () => {
    const broker = new Broker({ lingerMs: 5 });
    broker.push('a');
    broker.clock.advance(4);
    expect(broker.sent).toEqual([]);
    broker.push('b');
    broker.clock.advance(1);
    expect(broker.sent).toEqual([['a', 'b']]);
    const full = new Broker({ lingerMs: 5 });
    full.push('abc');
    expect(full.sent).toEqual([['a', 'b', 'c']]);
  });

  test('stop where one is in doubt: nothing overtakes it', async () => {
    const broker = new Broker();
    broker.push('a');
    broker.push('b');
    const idle = broker.queue.idle();
    await broker.refuse(new Error('gone'));
    expect(broker.failures).toEqual([new Error('gone')]);
    broker.push('c');
    expect(broker.sent).toEqual([['a']]);
    expect(broker.stored).toEqual([]);
    await idle;
  });

  test('are given up when the broker takes too long, and its late answer says nothing', async () => {
    const broker = new Broker();
    broker.push('a');
    broker.clock.advance(100);
    expect(broker.failures, 'a thin line has its time for the bytes').toEqual([]);
    broker.clock.advance((RECORD_BYTES + 1) / 32);
    expect(broker.failures).toEqual([undefined]);
    await broker.answer(0);
    expect(broker.stored).toEqual([]);
  });

  test('are counted until they are stored, however many there were', async () => {
    const broker = new Broker({ batchBytes: 500 * (RECORD_BYTES + 1) });
    broker.push('x'.repeat(2600));
    for (let offset = 0; offset < 2600; offset += 500) await broker.answer(offset);
    expect(broker.queue.waitingBytes).toBe(0);
    expect(broker.stored.length).toBe(2600);
    await broker.queue.idle();
  });
});
