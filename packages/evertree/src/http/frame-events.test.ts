import { any, Store, type Frame } from '@evertree/core';
import { MemoryJournal } from '@evertree/journal';
import { expect, test, vi } from 'vitest';
import { systemClock as clock, systemRandom as random } from '../../../../test/support/host.ts';
import { strictReport as report } from '../../../../test/support/reports.ts';
import { framesOf } from '../../../../test/support/stores.ts';
import { FrameEvents } from './frame-events.ts';

/** A frame for each value at `/a`, without the one that begins the epoch. */
async function frames(...values: readonly unknown[]): Promise<Frame[]> {
  await using store = await Store.open({ journal: new MemoryJournal({ clock, random, report }), clock, random, report });
  for (const value of values) {
    store.put('/a', value);
    store.cut();
  }
  await store.flush();
  return (await framesOf(store.journal)).filter(({ header }) => !header.beginsEpoch);
}

test('a frame of 400 KB is encoded once for all watches of a pattern: they get the same bytes', async () => {
  const [, frame] = (await frames('first', 'x'.repeat(400_000))) as [Frame, Frame];
  const events = new FrameEvents();
  const stringify = vi.spyOn(JSON, 'stringify');
  const watched = Array.from({ length: 250 }, () => events.of(frame, ['a']));
  const encoded = stringify.mock.calls.filter(([value]) => typeof value === 'object' && value !== null && 'operations' in value);
  stringify.mockRestore();
  expect(encoded.length).toBe(1);
  expect(new Set(watched).size).toBe(1);
  expect(watched[0]!.length).toBeGreaterThan(400_000);
});

test('a wildcard is another pattern than the key, and a frame without a match gives nothing', async () => {
  const [frame] = (await frames({ '*': 1, b: 2 })) as [Frame];
  const events = new FrameEvents();
  const [wild, key, beside] = [events.of(frame, ['a', any]), events.of(frame, ['a', '*']), events.of(frame, ['b'])].map(String);
  expect(wild).toContain('["put","/a/b",2]');
  expect(key).not.toContain('/a/b');
  expect(key).toContain('["put","/a/*",1]');
  expect(beside).toBe('');
});

test('the newest frame is kept however large it is, and older ones up to a bound', async () => {
  const all = await frames(...Array.from({ length: 12 }, (_, index) => `${index}`.repeat(2_000_000)));
  const events = new FrameEvents();
  const first = events.of(all[0]!, []);
  const last = all.map(frame => events.of(frame, [])).at(-1);
  expect(events.of(all.at(-1)!, [])).toBe(last);
  const again = events.of(all[0]!, []);
  expect(again).toEqual(first);
  expect(again).not.toBe(first);
});
