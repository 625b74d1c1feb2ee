import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { ManualClock } from '../../../../test/support/host.ts';
import { resolveLimits } from './options.ts';
import { Outbox } from './outbox.ts';

/** An outbox before a socket that takes bytes when the test says so. */
function make() {
  const clock = new ManualClock();
  const state = { waiting: 0, sent: [] as number[], corks: [] as string[], drained: 0 };
  const callbacks: { bytes: number; done: () => void }[] = [];
  const websocket = {
    get bufferedAmount() {
      return state.waiting;
    },
    send: (bytes: Buffer, _: object, done: () => void) => {
      state.waiting += bytes.length;
      state.sent.push(bytes.length);
      callbacks.push({ bytes: bytes.length, done });
    },
  } as unknown as WebSocket;
  const socket = {
    cork: () => void state.corks.push('cork'),
    uncork: () => void state.corks.push('uncork'),
    get writableLength() {
      return state.waiting;
    },
  } as unknown as Socket;
  const outbox = new Outbox(websocket, socket, clock, resolveLimits({ writableBytes: 400_000 }), () => (state.drained += 1));
  const take = () => {
    const next = callbacks.shift();
    state.waiting -= next?.bytes ?? 0;
    next?.done();
  };
  return { clock, state, outbox, take };
}

test('writable turns false at its limit, and true again, once, at half of it', () => {
  const { state, outbox, take } = make();
  for (let count = 0; count < 3; count++) outbox.send(Buffer.alloc(100_000));
  expect(outbox.writable).toBe(true);
  outbox.send(Buffer.alloc(100_000));
  expect(outbox.writable).toBe(false);
  take();
  expect([outbox.writable, state.drained]).toEqual([false, 0]);
  take();
  expect([outbox.writable, state.drained]).toEqual([true, 1]);
  take();
  take();
  expect(state.drained).toBe(1);
});

test('small messages go out together at the end of the turn, large ones at once', () => {
  const { clock, state, outbox } = make();
  outbox.send(Buffer.alloc(100));
  outbox.send(Buffer.alloc(100));
  expect(state.corks).toEqual(['cork']);
  clock.advance(0);
  expect(state.corks).toEqual(['cork', 'uncork']);
  outbox.send(Buffer.alloc(70_000));
  expect(state.corks).toEqual(['cork', 'uncork', 'cork', 'uncork']);
  clock.advance(0);
  expect(state.corks.length).toBe(4);
});

test('a message above the limit of a WebSocket message goes out in parts', () => {
  const { state, outbox } = make();
  outbox.send(Buffer.alloc(262_153));
  outbox.send(Buffer.alloc(262_154));
  expect(state.sent).toEqual([262_153, 262_153, 19]);
});

test('a heartbeat goes out if nothing else does, and not if messages wait', () => {
  const { state, outbox, take } = make();
  outbox.beat();
  take();
  outbox.send(Buffer.alloc(100));
  take();
  outbox.beat();
  expect(state.sent).toEqual([1, 100]);
  outbox.beat();
  outbox.beat();
  outbox.beat();
  expect(state.sent).toEqual([1, 100, 1]);
});
