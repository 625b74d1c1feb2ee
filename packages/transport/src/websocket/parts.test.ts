import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HELLO_LIMIT_BYTES, MESSAGE_LIMIT_BYTES, MessageParts, PART_BYTES, PAYLOAD_LIMIT_BYTES, splitMessage } from './parts.ts';

const part = (total: number, offset: number, bytes: number) => {
  const buffer = Buffer.alloc(9 + bytes, 0x61);
  buffer[0] = 8;
  buffer.writeUInt32LE(total, 1);
  buffer.writeUInt32LE(offset, 5);
  return buffer;
};

const hex = (grouped: string) => grouped.replaceAll(' ', '');

describe('parts', () => {
  test('have the bytes that PROTOCOL.md gives them', () => {
    const message = Buffer.alloc(PART_BYTES + 10, 0x61);
    const [first, second, ...more] = splitMessage(message);
    expect(first?.subarray(0, 10).toString('hex')).toBe(hex('08 0a000400 00000000 61'));
    expect(first?.length).toBe(262_153);
    expect(second?.toString('hex')).toBe(hex(`08 0a000400 00000400 ${'61'.repeat(10)}`));
    expect(more).toEqual([]);
  });

  test('put together are the message, one after the other', () => {
    const incoming = new MessageParts();
    const length = fc.integer({ min: PAYLOAD_LIMIT_BYTES + 1, max: 5 * PART_BYTES });
    fc.assert(
      fc.property(length, fc.integer(), (bytes, seed) => {
        const message = Buffer.alloc(bytes);
        for (let at = 0; at < bytes; at += 997) message[at] = seed + at;
        const results = Array.from(splitMessage(message), each => incoming.add(each, MESSAGE_LIMIT_BYTES));
        expect(results.slice(0, -1).every(each => each === undefined)).toBe(true);
        expect(results.at(-1)?.equals(message)).toBe(true);
        expect(incoming.open).toBe(false);
      }),
      { numRuns: 30 },
    );
  });

  const refused: Record<string, { parts: Buffer[]; says: RegExp }> = {
    'a header only': { parts: [part(3 * PART_BYTES, 0, 0)], says: /a part of 9 bytes/ },
    'a message that fits in one': { parts: [part(PAYLOAD_LIMIT_BYTES, 0, PART_BYTES)], says: /fits in one/ },
    'a message above the limit': { parts: [part(MESSAGE_LIMIT_BYTES + 1, 0, PART_BYTES)], says: /the limit here is 268435456/ },
    'a message of 4 GiB': { parts: [part(0xffff_ffff, 0, PART_BYTES)], says: /4294967295 bytes; the limit/ },
    'a beginning in the middle': { parts: [part(3 * PART_BYTES, PART_BYTES, PART_BYTES)], says: /where 0 of 786432 was due/ },
    'a hole': { parts: [part(3 * PART_BYTES, 0, PART_BYTES), part(3 * PART_BYTES, 2 * PART_BYTES, PART_BYTES)], says: /was due/ },
    'one twice': { parts: [part(3 * PART_BYTES, 0, PART_BYTES), part(3 * PART_BYTES, 0, PART_BYTES)], says: /was due/ },
    'another message': { parts: [part(3 * PART_BYTES, 0, PART_BYTES), part(2 * PART_BYTES, PART_BYTES, PART_BYTES)], says: /was due/ },
    'a small one before the last': { parts: [part(2 * PART_BYTES, 0, 100)], says: /a part of 100 bytes at 0 of 524288/ },
    'more than the rest': {
      parts: [part(PART_BYTES + 10, 0, PART_BYTES), part(PART_BYTES + 10, PART_BYTES, 11)],
      says: /a part of 11 bytes/,
    },
  };

  test.for(Object.entries(refused))('are refused: %s', ([, { parts, says }]) => {
    const incoming = new MessageParts();
    expect(() => {
      for (const each of parts) incoming.add(each, MESSAGE_LIMIT_BYTES);
    }).toThrow(says);
  });

  test('before hello make up 1 MiB at most', () => {
    expect(() => new MessageParts().add(part(HELLO_LIMIT_BYTES + 1, 0, PART_BYTES), HELLO_LIMIT_BYTES)).toThrow(
      /the limit here is 1048576/,
    );
  });

  test('reserve no memory for bytes that have not come', () => {
    const before = process.memoryUsage().arrayBuffers;
    const assemblies = Array.from({ length: 8 }, () => {
      const incoming = new MessageParts();
      incoming.add(part(MESSAGE_LIMIT_BYTES, 0, PART_BYTES), MESSAGE_LIMIT_BYTES);
      return incoming;
    });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * PART_BYTES);
    expect(assemblies.every(each => each.open)).toBe(true);
  });
});
