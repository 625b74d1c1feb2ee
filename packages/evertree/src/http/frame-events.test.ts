import { any, decodeChangeSets, formatPath, Store, type ChangeSet, type Clock, type Frame, type Pattern } from '@evertree/core';
import { MemoryJournal } from '@evertree/journal';
import { describe, expect, test, vi } from 'vitest';
import { systemClock as clock, systemRandom as random } from '../../../../test/support/host.ts';
import { strictReport as report } from '../../../../test/support/reports.ts';
import { framesOf } from '../../../../test/support/stores.ts';
import { FrameEvents } from './frame-events.ts';
import { Turns } from './turns.ts';

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

/** The text of a frame's events. */
async function textOf(events: Promise<readonly Buffer[]>): Promise<string> {
  return Buffer.concat(await events).toString();
}

const newEvents = (): FrameEvents => new FrameEvents(new Turns(clock));

test('a frame of 400 KB is encoded once for all watches of a pattern: they get the same bytes', async () => {
  const [, frame] = (await frames('first', 'x'.repeat(400_000))) as [Frame, Frame];
  const events = newEvents();
  const stringify = vi.spyOn(JSON, 'stringify');
  const watched = await Promise.all(Array.from({ length: 250 }, () => events.of(frame, ['a'])));
  const encoded = stringify.mock.calls.filter(([value]) => typeof value === 'object' && value !== null && 'position' in value);
  stringify.mockRestore();
  expect(encoded.length).toBe(1);
  expect(new Set(watched).size).toBe(1);
  expect(Buffer.concat(watched[0]!).length).toBeGreaterThan(400_000);
});

test('a wildcard is another pattern than the key, and a frame without a match gives nothing', async () => {
  const [frame] = (await frames({ '*': 1, b: 2 })) as [Frame];
  const events = newEvents();
  const [wild, key, beside] = await Promise.all(
    ([['a', any], ['a', '*'], ['b']] as Pattern[]).map(pattern => textOf(events.of(frame, pattern))),
  );
  expect(wild).toContain('["put","/a/b",2]');
  expect(key).not.toContain('/a/b');
  expect(key).toContain('["put","/a/*",1]');
  expect(beside).toBe('');
});

test('the newest frame is kept however large it is, and older ones up to a bound', async () => {
  const all = await frames(...Array.from({ length: 12 }, (_, index) => `${index}`.repeat(2_000_000)));
  const events = newEvents();
  const first = await events.of(all[0]!, []);
  let last: readonly Buffer[] = [];
  for (const frame of all) last = await events.of(frame, []);
  expect(await events.of(all.at(-1)!, [])).toBe(last);
  const again = await events.of(all[0]!, []);
  expect(again).toEqual(first);
  expect(again).not.toBe(first);
});

/** A clock that moves by 1 ms whenever it is asked, so that four steps fill a turn. */
function slowClock(): Clock {
  let nowMs = 0;
  return { ...clock, monotonic: () => nowMs++ };
}

/** The events as JSON.parse reads them, values and all. */
function eventsOf(text: string): unknown[] {
  return text
    .split('\n\n')
    .filter(event => event !== '')
    .map(event => {
      const [name, id, data] = event.split('\n') as [string, string, string];
      return { name, id, ...(JSON.parse(data.slice('data: '.length)) as object) };
    });
}

describe.each(['binary', 'json'] as const)('a large commit (%s)', encoding => {
  /** One commit of so many puts and deletes, and one of a large object above them. */
  async function largeFrames(): Promise<Frame[]> {
    const options = { journal: new MemoryJournal({ clock, random, report }), clock, random, report, encoding };
    await using store = await Store.open(options);
    const objects = Array.from({ length: 50 }, (_, index) => [`d${index}`, {}]);
    store.put('/n', Object.fromEntries([...Array.from({ length: 100 }, (_, index) => [`gone${index}`, index]), ...objects]));
    store.cut();
    store.transact(tx => {
      for (let index = 0; index < 100; index++) tx.delete(`/n/gone${index}`);
      for (let index = 0; index < 20_000; index++) tx.put(`/n/d${index % 50}/k${index}`, index % 3 === 0 ? { a: [index] } : index);
    });
    store.cut();
    store.transact(
      tx => tx.put('/n', Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`d${index}`, { k1: index, 'k~/': null }]))),
      {
        author: 'ann',
        message: 'all anew',
      },
    );
    store.cut();
    await store.flush();
    return (await framesOf(store.journal)).filter(({ header }) => !header.beginsEpoch);
  }

  test('is one event, of the operations in their order, whatever the number of turns it takes', async () => {
    const [, many, anew] = (await largeFrames()) as [Frame, Frame, Frame];
    let turns = 0;
    const events = new FrameEvents(new Turns({ ...slowClock(), soon: task => clock.soon(() => (turns++, task())) }));
    const [first] = decodeChangeSets(many) as [ChangeSet];
    const plain = first.operations.map(
      ({ type, path, ...rest }) => [type, formatPath(path), ...Object.values(rest)] as [string, string, ...unknown[]],
    );
    expect(eventsOf(await textOf(events.of(many, ['n', any])))).toEqual([
      {
        name: 'event: change',
        id: `id: 1-${first.revision}`,
        position: { epoch: 1, revision: first.revision },
        time: first.time,
        operations: plain,
      },
    ]);
    expect(turns).toBeGreaterThan(10);
    expect(eventsOf(await textOf(events.of(many, ['n', 'd7'])))).toMatchObject([
      { operations: plain.filter(([, path]) => path.startsWith('/n/d7/')) },
    ]);
    const [above] = eventsOf(await textOf(events.of(anew, ['n', any, 'k1']))) as [{ author: string; operations: unknown[][] }];
    expect(above).toMatchObject({ author: 'ann', message: 'all anew' });
    expect(above.operations[0]).toEqual(['delete', '/n']);
    expect(new Map(above.operations.slice(1).map(([, path, value]) => [path, value]))).toEqual(
      new Map(Array.from({ length: 5_000 }, (_, index) => [`/n/d${index}/k1`, index])),
    );
    expect(eventsOf(await textOf(events.of(anew, [])))).toMatchObject([
      {
        operations: decodeChangeSets(anew)[0]!.operations.map(({ type, path, ...rest }) => [
          type,
          formatPath(path),
          ...Object.values(rest),
        ]),
      },
    ]);
    expect(await textOf(events.of(anew, ['n', 'gone7']))).toContain('"operations":[["delete","/n/gone7"]]}');
  });

  test('that is asked for again while it is encoded gives the same bytes, also behind a revision within its frame', async () => {
    const [, many] = (await largeFrames()) as [Frame, Frame];
    const events = new FrameEvents(new Turns(slowClock()));
    const [first, second] = [events.of(many, ['n']), events.of(many, ['n'])];
    const other = events.of(many, ['n', 'd3']);
    expect(await second).toBe(await first);
    expect((await first).length).toBeGreaterThan(10);
    expect((await other).length).toBeLessThan((await first).length);
    const { base, last } = many.header;
    expect(Buffer.concat(await events.after(base.revision, many, ['n']))).toEqual(Buffer.concat(await first));
    expect(await events.after(last.revision, many, ['n'])).toEqual([]);
  });
});
