import { describe, expect, test } from 'vitest';
import { frameOf, helloOf } from '../../../../test/support/links.ts';
import { Inbox } from './inbox.ts';
import { encodeMessage, HEARTBEAT } from './messages.ts';
import { splitMessage } from './parts.ts';

const hello = encodeMessage(helloOf('primary'), 700);

describe('what a secondary is sent', () => {
  test('begins with hello, which tells how often the primary wants to hear', () => {
    const inbox = new Inbox('secondary', 4);
    expect([inbox.greeted, inbox.peerHeartbeatMs]).toEqual([false, undefined]);
    expect(inbox.take(hello, true)).toEqual(helloOf('primary'));
    expect([inbox.greeted, inbox.peerHeartbeatMs]).toEqual([true, 700]);
  });

  test('may be a hello in parts', () => {
    const epoch = {
      number: 1,
      id: '0'.repeat(16),
      site: 'north',
      base: { epoch: 0, epochId: '0'.repeat(16), revision: 0 },
      reason: 'x',
      time: 1,
    };
    const long = helloOf('primary', { epochs: Array.from({ length: 3000 }, () => epoch) });
    const inbox = new Inbox('secondary', 4);
    const messages = Array.from(splitMessage(encodeMessage(long, 700)), part => inbox.take(part, true));
    expect(messages.length).toBe(2);
    expect(messages.at(-1)).toEqual(long);
  });

  test('may have heartbeats between the parts of a message, and nothing else', () => {
    const inbox = new Inbox('secondary', 4);
    inbox.take(hello, true);
    const frame = frameOf(1, 600_000);
    const parts = [...splitMessage(encodeMessage(frame, 1))];
    const messages = parts.flatMap(part => [inbox.take(HEARTBEAT, true), inbox.take(part, true)]);
    expect(messages.filter(message => message !== undefined)).toEqual([frame]);
    inbox.take(parts[0]!, true);
    expect(() => inbox.take(encodeMessage(frameOf(1, 1), 1), true)).toThrow(/between the parts/);
  });
});

describe('what a primary is sent', () => {
  test('has no frames, unless it asked for them', () => {
    const inbox = new Inbox('primary', 4);
    inbox.take(encodeMessage(helloOf('secondary'), 700), true);
    const frame = frameOf(1, 10);
    expect(() => inbox.take(encodeMessage(frame, 1), true)).toThrow(/a frame, which a primary is not sent/);
    inbox.asked();
    expect(inbox.take(encodeMessage(frame, 1), true)).toEqual(frame);
    expect(() => inbox.take(encodeMessage({ type: 'snapshot-end', chunks: 0 }, 1), true)).toThrow(/which a primary is not sent/);
  });
});
