import type { LinkEvents, Message } from '@evertree/core';
import { expect, test } from 'vitest';
import { ManualClock } from '../../../../test/support/host.ts';
import { expectErrors, strictReport } from '../../../../test/support/reports.ts';
import { Delivery } from './delivery.ts';

const GONE = { reason: 'lost', explanation: 'the connection broke', byPeer: false } as const;

function start(onMessage: (message: Message) => void = () => undefined) {
  const clock = new ManualClock();
  const told: string[] = [];
  const closed: string[] = [];
  const link = { remote: 'here:1', close: (reason: string) => void closed.push(reason) };
  const delivery = new Delivery(link, clock, strictReport);
  const events: LinkEvents = {
    message: message => {
      told.push(message.type === 'snapshot-end' ? String(message.chunks) : message.type);
      onMessage(message);
    },
    drained: () => void told.push('drained'),
    closed: reason => void told.push(reason),
  };
  return { clock, told, closed, delivery, events };
}

const numbered = (chunks: number): Message => ({ type: 'snapshot-end', chunks });

test('what is posted waits for attach, and comes in order, the end last', () => {
  const { clock, told, delivery, events } = start();
  delivery.post(numbered(1));
  delivery.post(numbered(2));
  delivery.end(GONE);
  clock.advance(0);
  delivery.attach(events);
  expect(told).toEqual([]);
  clock.advance(0);
  expect(told).toEqual(['1', '2', 'lost']);
});

test('a lost connection is told at once, even while paused, and waiting messages are dropped', () => {
  const { clock, told, delivery, events } = start();
  delivery.attach(events);
  delivery.pause();
  delivery.post(numbered(1));
  delivery.endNow(GONE);
  expect(told).toEqual(['lost']);
  delivery.resume();
  delivery.post(numbered(2));
  clock.advance(0);
  expect(told).toEqual(['lost']);
});

test('an idle link plans nothing', () => {
  const { clock, delivery, events } = start();
  delivery.attach(events);
  delivery.pause();
  delivery.resume();
  expect(clock.nextInMs).toBe(Infinity);
});

test('a handler that throws is reported, and its link ends', () => {
  expectErrors('link-handler-threw');
  const { clock, told, closed, delivery, events } = start(() => {
    throw new Error('mine');
  });
  delivery.attach(events);
  delivery.post(numbered(1));
  clock.advance(0);
  expect([told, closed]).toEqual([['1'], ['refused']]);
});
