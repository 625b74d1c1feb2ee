import { afterEach, describe, expect, test } from 'vitest';
import { MemoryJournal } from '@evertree/journal';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { diskStore, framesOf, memoryStore } from '../support/stores.ts';
import { strictReport } from '../support/reports.ts';
import { HttpSite, until } from '../support/http-site.ts';

let site: HttpSite;
afterEach(async () => {
  await site[Symbol.asyncDispose]();
});

/** The position of the tree, as an event's data and its id name it. */
function here(): { readonly position: object; readonly id: string } {
  const { epoch, revision } = site.store.position;
  return { position: { epoch, revision }, id: `${epoch}-${revision}` };
}

describe('a watch', () => {
  test('that looks for matches in a wide object, in vain, lets others have their turn', async () => {
    // A clock that steps by a millisecond whenever somebody looks: how many turns the work takes depends on no machine.
    let nowMs = 0;
    site = await HttpSite.start({ clock: { ...systemClock, monotonic: () => nowMs++ } });
    site.store.put('/wide', Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`key ${index}`, { n: index }])));
    using watching = await site.watch('/watch/wide/*/absent');
    const state = watching.next();
    let turns = 0;
    const over = new AbortController();
    void state.finally(() => over.abort());
    for (; !over.signal.aborted; turns++) await new Promise(resolve => setImmediate(resolve));
    expect(await state).toMatchObject({ event: 'state', data: { values: {} } });
    expect(turns).toBeGreaterThan(10);
  });

  test('begins with the state, and goes on with each change set below its path', async () => {
    site = await HttpSite.start();
    await site.put('/data/a', { b: 1 });
    using watching = await site.watch('/watch/a');
    expect(watching.response.headers['content-type']).toBe('text/event-stream; charset=utf-8');
    expect(await watching.next()).toEqual({
      event: 'state',
      id: here().id,
      data: { position: here().position, path: '/a', value: { b: 1 } },
    });
    await site.put('/data/beside', 1);
    await site.put('/data/a/c', { d: 1 });
    expect(await watching.next()).toEqual({
      event: 'change',
      id: here().id,
      data: { position: here().position, time: expect.any(Number), operations: [['put', '/a/c', { d: 1 }]] },
    });
    await site.send('DELETE', '/data/a/c/d');
    expect(await watching.next()).toMatchObject({ data: { operations: [['delete', '/a/c/d']] } });
  });

  test('gives author and message if a commit has them', async () => {
    site = await HttpSite.start();
    using watching = await site.watch('/watch');
    await watching.next();
    site.store.put('/a', 1, { author: 'ada', message: 'why' });
    expect(await watching.next()).toMatchObject({ data: { author: 'ada', message: 'why' } });
  });

  test('of an absent path says so by having no value', async () => {
    site = await HttpSite.start();
    using watching = await site.watch('/watch/a/b');
    expect((await watching.next()).data).toEqual({ position: { epoch: 0, revision: 0 }, path: '/a/b' });
    await site.put('/data/a', { b: { c: 1 }, d: 2 });
    expect((await watching.next()).data).toMatchObject({ operations: [['put', '/a/b', { c: 1 }]] });
    await site.put('/data/a', { d: 3 });
    expect((await watching.next()).data).toMatchObject({ operations: [['delete', '/a/b']] });
  });

  test('of a batch gets its commits one by one, with a position each', async () => {
    site = await HttpSite.start();
    using watching = await site.watch('/watch/n');
    await watching.next();
    const lines = Array.from({ length: 1_000 }, (_, index) => JSON.stringify(['put', '/n', index]));
    await site.send('POST', '/batch', { body: lines.join('\n') });
    const { revision } = site.store.position;
    for (let index = 0; index < 1_000; index++) {
      expect(await watching.next()).toMatchObject({ id: `1-${revision - 999 + index}`, data: { operations: [['put', '/n', index]] } });
    }
  });

  test('takes * for any key, and %2A for the key', async () => {
    site = await HttpSite.start();
    await site.put('/data/d', { r1: { up: 1, x: 0 }, '*': { up: 2 }, r3: 1 });
    using any = await site.watch('/watch/d/*/up');
    using star = await site.watch('/watch/d/%2A/up');
    expect((await any.next()).data).toMatchObject({ path: '/d/*/up', values: { '/d/r1/up': 1, '/d/*/up': 2 } });
    expect((await star.next()).data).toMatchObject({ path: '/d/*/up', value: 2 });
    await site.put('/data/d/r1/x', 1);
    await site.put('/data/d/r1/up', 3);
    expect((await any.next()).data).toMatchObject({ operations: [['put', '/d/r1/up', 3]] });
    await site.put('/data/d', { '*': { up: 4 } });
    expect((await star.next()).data).toMatchObject({ operations: [['put', '/d/*/up', 4]] });
  });

  test.each(['', '.', '..', '__proto__', 'constructor', '0', '🌲'])('of the odd key %j', async key => {
    site = await HttpSite.start();
    const pointer = `/k/${key}`;
    using watching = await site.watch(`/watch?pointer=${encodeURIComponent(pointer)}`);
    await watching.next();
    site.store.put(['k', key, 'x'], 1);
    expect((await watching.next()).data).toMatchObject({ operations: [['put', `${pointer}/x`, 1]] });
  });

  test('of a large subtree gets it whole', async () => {
    site = await HttpSite.start();
    const value = Object.fromEntries(Array.from({ length: 30_000 }, (_, index) => [`key ${index}`, { index, text: 'x'.repeat(20) }]));
    site.store.put('/wide', value);
    using watching = await site.watch('/watch/wide');
    expect((await watching.next()).data['value']).toEqual(value);
  });
});

describe('a watch that comes back', () => {
  test('with the id of its last event gets the later events, and none twice', async () => {
    site = await HttpSite.start();
    await site.put('/data/a', 0);
    await site.send('POST', '/batch', { body: [1, 2, 3, 4, 5].map(value => `["put","/a",${value}]`).join('\n') });
    const { revision } = site.store.position;
    for (const seen of [5, 4, 3, 2, 1, 0]) {
      using watching = await site.watch('/watch/a', { 'Last-Event-ID': `1-${revision - 5 + seen}` });
      await site.put('/data/a', `after ${seen}`);
      const values = [];
      for (let next = seen; next < 5; next++) values.push((await watching.next()).data['operations']);
      expect(values).toEqual([1, 2, 3, 4, 5].slice(seen).map(value => [['put', '/a', value]]));
    }
  });

  test('from before the first commit gets all', async () => {
    site = await HttpSite.start();
    await site.put('/data/a', 1);
    using watching = await site.watch('/watch', { 'Last-Event-ID': '0-0' });
    expect(await watching.next()).toMatchObject({ event: 'change', data: { operations: [['put', '/a', 1]] } });
  });

  test.each([
    ['beyond', '1-999'],
    ['beyond', '7-1'],
    ['beside', '1-0'],
    ['beside', '0-1'],
    ['invalid', 'yesterday'],
  ])('from a position that is %s (%s) is reset to a new state', async (reason, lastEventId) => {
    site = await HttpSite.start();
    await site.put('/data/a', 1);
    using watching = await site.watch('/watch/a', { 'Last-Event-ID': lastEventId });
    expect(await watching.next()).toMatchObject({ event: 'reset', data: { reason, lastEventId } });
    expect(await watching.next()).toMatchObject({ event: 'state', id: here().id, data: { value: 1 } });
    await site.put('/data/a', 2);
    expect(await watching.next()).toMatchObject({ event: 'change' });
  });

  test('from before what the journal keeps is reset as compacted', async () => {
    const journal = new MemoryJournal({ clock: systemClock, random: systemRandom, report: strictReport, maxBytes: 2_000 });
    site = await HttpSite.start({ journal });
    for (let index = 0; index < 50; index++) await site.put('/data/a', index);
    using watching = await site.watch('/watch/a', { 'Last-Event-ID': '1-3' });
    expect(await watching.next()).toMatchObject({ event: 'reset', data: { reason: 'compacted', lastEventId: '1-3' } });
    expect(await watching.next()).toMatchObject({ event: 'state', data: { value: 49 } });
  });

  test("resumes from a heartbeat's position although no change concerned it", async () => {
    site = await HttpSite.start({ limits: { heartbeatMs: 20 } });
    using watching = await site.watch('/watch/a');
    await watching.next();
    for (let index = 0; index < 10; index++) await site.put('/data/beside', index);
    const { id } = here();
    const waiting = watching.next();
    await until(() => watching.lastId === id);
    await site.put('/data/a', 1);
    expect(await waiting).toMatchObject({ event: 'change' });
  });
});

describe('a watch at a secondary', () => {
  test('does not spin while a full copy is swapped in', async () => {
    const { store: primary } = await memoryStore();
    primary.put('/n', 1);
    await primary.flush();
    const disk = new FaultDisk();
    const { store } = await diskStore(disk, { role: 'secondary' });
    for (const frame of await framesOf(primary.journal)) store.applyFrame(frame);
    await store.flush();
    site = await HttpSite.start({ store });
    using watching = await site.watch('/watch/n');
    expect(await watching.next()).toMatchObject({ event: 'state', id: '1-2', data: { value: 1 } });

    primary.put('/n', 2);
    using snapshot = primary.snapshot();
    // The journal's history has moved, and its old files are still being removed.
    const remove = disk.hold('remove');
    const receiver = await store.receiveSnapshot(snapshot.header);
    for (const chunk of snapshot.chunks()) await receiver.add(chunk);
    const finished = receiver.finish();
    expect(await watching.next()).toMatchObject({ event: 'reset', data: { reason: 'compacted', lastEventId: '1-2' } });
    expect(await watching.next()).toMatchObject({ event: 'state', id: '1-3', data: { value: 2 } });
    for (let round = 0; round < 10; round++) await site.send('GET', '/healthz');
    remove();
    await finished;

    primary.put('/n', 3);
    await primary.flush();
    store.applyFrame((await framesOf(primary.journal)).at(-1)!);
    expect(await watching.next()).toMatchObject({ event: 'change', id: '1-4' });
    await primary.close();
  });
});

describe('watches', () => {
  test('that do not read delay no commit, and get every event in the end', async () => {
    site = await HttpSite.start();
    using watching = await site.watch('/watch/a');
    await watching.next();
    watching.response.pause();
    const text = 'x'.repeat(1_000);
    const lines = Array.from({ length: 20_000 }, (_, index) => JSON.stringify(['put', '/a', `${index} ${text}`]));
    for (let batch = 0; batch < 20; batch++) {
      expect((await site.send('POST', '/batch', { body: lines.slice(batch * 1_000, (batch + 1) * 1_000).join('\n') })).status).toBe(200);
    }
    watching.response.resume();
    for (let index = 0; index < 20_000; index++) {
      expect((await watching.next()).data['operations']).toEqual([['put', '/a', `${index} ${text}`]]);
    }
  });

  test('that read nothing for too long are cut', async () => {
    site = await HttpSite.start({ limits: { stallMs: 100 } });
    using watching = await site.watch('/watch/a');
    await watching.next();
    watching.response.pause();
    for (let index = 0; index < 40; index++) await site.put('/data/a', `${index}${'x'.repeat(500_000)}`);
    await until(async () => /^evertree_watches 0$/m.test((await site.send('GET', '/metrics')).text));
    expect(site.reports).toEqual([]);
  });

  test('beyond the limit are refused, and may come when another has gone', async () => {
    site = await HttpSite.start({ limits: { watches: 2 } });
    const first = await site.watch('/watch');
    using second = await site.watch('/watch');
    await second.next();
    const refused = await site.send('GET', '/watch');
    expect(refused).toMatchObject({ status: 503, json: { code: 'OVERLOADED' } });
    expect(refused.headers['retry-after']).toBeDefined();
    first[Symbol.dispose]();
    await until(async () => {
      using third = await site.watch('/watch');
      return third.response.statusCode === 200;
    });
  });

  test('end in order when the server closes', async () => {
    site = await HttpSite.start();
    using watching = await site.watch('/watch');
    await watching.next();
    const ended = watching.ended();
    await site.server.close();
    expect(await ended).toBe(true);
  });

  test('need a client that takes events', async () => {
    site = await HttpSite.start();
    expect(await site.send('GET', '/watch', { headers: { Accept: 'application/json' } })).toMatchObject({ status: 406 });
    expect(await site.send('GET', '/watch/a?since=1-1')).toMatchObject({ status: 400 });
  });
});
