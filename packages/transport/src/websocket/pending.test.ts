import { expect, test } from 'vitest';
import { ManualClock } from '../../../../test/support/host.ts';
import { PendingConnections } from './pending.ts';

test('connections that say nothing are dropped: each after its time, and the oldest to make room', () => {
  const clock = new ManualClock();
  const pending = new PendingConnections(clock, 3);
  const dropped: string[] = [];
  const add = (name: string) => pending.add(name, 1000, () => dropped.push(name));

  add('a');
  clock.advance(500);
  add('b');
  add('c');
  add('d');
  expect(dropped).toEqual(['a']);
  expect(pending.size).toBe(3);

  // A link keeps time by itself, but still has to make room.
  pending.progress('b', () => dropped.push('b, the link'));
  pending.delete('c');
  clock.advance(1000);
  expect(dropped).toEqual(['a', 'd']);
  add('e');
  add('f');
  add('g');
  expect(dropped).toEqual(['a', 'd', 'b, the link']);

  pending.progress('nobody', () => dropped.push('nobody'));
  pending.clear('the end');
  expect(dropped.slice(3).toSorted()).toEqual(['e', 'f', 'g']);
  clock.advance(10_000);
  expect(dropped.length).toBe(6);
});
