import { describe, expect, test } from 'vitest';
import { RecordQueue } from './record-queue.ts';
import type { RecordQueueLimits } from './record-queue.ts';

/** What the queue counts for a record beside its value. */
const RECORD_BYTES = 128;
const KEY = Buffer.from('k');

/** A queue whose batches go as soon as they are due. */
class Lane {
  now = 0;
  readonly sent: string[][] = [];
  readonly stored: string[] = [];
  readonly queue: RecordQueue<string>;

  constructor(change: Partial<RecordQueueLimits> = {}) {
    this.queue = new RecordQueue<string>({ batchBytes: 3 * (RECORD_BYTES + 1), lingerMs: 0, sendMs: 100, ...change });
  }

  add(value: Buffer, topic = 'T'): void {
    this.queue.push({ topic, record: { key: KEY, value, headers: {} }, tag: value.toString() }, this.now);
  }

  push(values: string, topic = 'T'): void {
    for (const value of values) this.add(Buffer.from(value), topic);
    this.send();
  }

  advance(byMs: number): void {
    this.now += byMs;
    this.send();
  }

  send(): void {
    const batch = this.queue.cut(this.now);
    if (batch !== undefined) this.sent.push(batch.records.map(({ value }) => String(value)));
  }

  answer(offset: number): void {
    this.stored.push(...this.queue.stored().map(({ tag }, index) => `${tag}@${offset + index}`));
    this.send();
  }
}

describe('records on their way to the broker', () => {
  test('go one batch at a time, and records that come meanwhile make up the next batch', () => {
    const lane = new Lane();
    for (const value of ['a', 'b']) lane.add(Buffer.from(value));
    lane.send();
    lane.push('c');
    expect(lane.sent).toEqual([['a', 'b']]);
    lane.answer(7);
    expect(lane.sent).toEqual([['a', 'b'], ['c']]);
    lane.answer(9);
    expect(lane.stored).toEqual(['a@7', 'b@8', 'c@9']);
    expect(lane.queue.waitingBytes).toBe(0);
  });

  test('fill a batch up to its size, and a larger one goes by itself', () => {
    const lane = new Lane();
    for (const value of 'abcd') lane.add(Buffer.from(value));
    lane.send();
    lane.answer(0);
    lane.add(Buffer.alloc(5000));
    lane.push('e');
    lane.answer(3);
    lane.answer(4);
    expect(lane.sent.map(batch => batch.length)).toEqual([3, 1, 1, 1]);
  });

  test('of two topics do not share a batch, and keep their order', () => {
    const lane = new Lane();
    lane.push('a', 'T');
    lane.push('b', 'U');
    lane.push('c', 'T');
    for (const offset of [0, 0, 1]) lane.answer(offset);
    expect(lane.sent).toEqual([['a'], ['b'], ['c']]);
  });

  test('are at most 500 in a batch', () => {
    const lane = new Lane({ batchBytes: 1_000_000 });
    for (let count = 0; count < 700; count++) lane.add(Buffer.from('x'));
    lane.send();
    expect(lane.sent.map(batch => batch.length)).toEqual([500]);
  });

  test('linger for others, but not once a batch is full', () => {
    const lane = new Lane({ lingerMs: 5 });
    lane.push('a');
    expect(lane.queue.dueAt).toBe(5);
    lane.advance(4);
    expect(lane.sent).toEqual([]);
    lane.push('b');
    lane.advance(1);
    expect(lane.sent).toEqual([['a', 'b']]);
    const full = new Lane({ lingerMs: 5 });
    full.push('abc');
    expect(full.sent).toEqual([['a', 'b', 'c']]);
  });

  test('stop at a batch in doubt: without its answer no other batch is sent', () => {
    const lane = new Lane();
    lane.push('a');
    lane.push('b');
    lane.push('c');
    lane.advance(1_000_000);
    expect(lane.sent).toEqual([['a']]);
    expect(lane.queue.dueAt).toBe(Infinity);
    expect(lane.stored).toEqual([]);
  });

  test('are late when the broker takes too long; a slow line gets time for the bytes', () => {
    const lane = new Lane();
    expect(lane.queue.lateAt).toBe(Infinity);
    lane.push('a');
    expect(lane.queue.lateAt).toBe(100 + (RECORD_BYTES + 1) / 32);
    lane.answer(0);
    expect(lane.queue.lateAt).toBe(Infinity);
  });

  test('are counted until they are stored, however many there were', () => {
    const lane = new Lane({ batchBytes: 500 * (RECORD_BYTES + 1) });
    for (let count = 0; count < 2600; count++) lane.add(Buffer.from('x'));
    lane.send();
    for (let offset = 0; offset < 2600; offset += 500) lane.answer(offset);
    expect(lane.queue.waitingBytes).toBe(0);
    expect(lane.stored.length).toBe(2600);
  });
});
