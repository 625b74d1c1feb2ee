import Encoder from 'kafkajs/src/protocol/encoder.js';
import type { Encoded } from 'kafkajs/src/protocol/encoder.js';
import { withFront } from '../client/record-batch.ts';

/** The bytes that are free in memory before what was encoded. */
const fronts = new WeakMap<Encoded, number>();

/**
 * A request's body, before which there is room for its head.
 * @param front bytes that are free before it; for one request
 */
export function bodyWithFront(bytes: Buffer, front: number): Encoded {
  const body = { buf: bytes, buffer: bytes };
  fronts.set(body, front);
  return body;
}

const mended = new WeakSet<object>();

/**
 * Spares kafkajs 2.2.4 two copies of each batch. It writes a request's head and then the body into a buffer that grows,
 * and the same once more for the length before both, each time into zeroed memory of up to twice the size. With what
 * else was allocated for a batch the collector was woken five times in a million changes, by memory outside its heap:
 * a seventh of the primary's CPU. Where there is room before the body, the head is written there. package.json pins the
 * version.
 */
export function mendEncoder(): void {
  const { prototype } = Encoder;
  if (mended.has(prototype)) return;
  mended.add(prototype);
  const write = prototype.writeEncoder;
  prototype.writeEncoder = function writeBefore(body) {
    const head = this.offset;
    const front = fronts.get(body) ?? 0;
    if (front < head) return write.call(this, body);
    const whole = withFront(body.buffer, head);
    this.buf.copy(whole, 0, 0, head);
    this.buf = whole;
    this.offset = whole.length;
    fronts.set(this, front - head);
    return this;
  };
}
