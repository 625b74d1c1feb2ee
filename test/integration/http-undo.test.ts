import { afterEach, describe, expect, test } from 'vitest';
import { MemoryJournal } from '@evertree/journal';
import { systemClock, systemRandom } from '../support/host.ts';
import { collectReports } from '../support/reports.ts';
import { HttpSite, until, type Answer } from '../support/http-site.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { diskStore, memoryStore } from '../support/stores.ts';

const JSON_TYPE = { 'Content-Type': 'application/json' };

let site: HttpSite;
afterEach(async () => {
  await site[Symbol.asyncDispose]();
});

function here(): string {
  const { epoch, revision } = site.store.position;
  return `${epoch}-${revision}`;
}

async function put(path: string, value: unknown, headers: Readonly<Record<string, string>> = {}): Promise<string> {
  expect((await site.put(`/data${path}`, value, headers)).status).toBe(200);
  return here();
}

function post(what: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return site.send('POST', `/admin/${what}`, { headers: { ...JSON_TYPE, ...headers }, body: JSON.stringify(body) });
}

function plain(position: string): { epoch: number; revision: number } {
  const [epoch, revision] = position.split('-').map(Number) as [number, number];
  return { epoch, revision };
}

describe('a mark', () => {
  test('names the present state or an earlier one, and is read with at', async () => {
    site = await HttpSite.start();
    const first = await put('/a', 1);
    await put('/a', 2);
    const present = await post('mark', { name: 'before-upgrade', message: 'release 7' }, { 'Evertree-Author': 'ada' });
    expect(present).toMatchObject({ status: 200, json: { name: 'before-upgrade', acknowledged: 0, moved: null } });
    const earlier = await post('mark', { name: 'first', at: first, author: 'bob' });
    expect(earlier.json).toMatchObject({ named: plain(first), position: plain(here()) });
    await put('/a', 3);
    expect(await site.get('/data/a?at=before-upgrade')).toBe(2);
    expect(await site.get('/data/a?at=first')).toBe(1);
    expect(await site.get('/marks')).toEqual({
      marks: [
        {
          name: 'before-upgrade',
          position: expect.any(Object),
          markedAt: expect.any(Object),
          time: expect.any(Number),
          author: 'ada',
          message: 'release 7',
          reachable: true,
        },
        {
          name: 'first',
          position: plain(first),
          markedAt: plain(here().replace(/\d+$/, r => String(Number(r) - 1))),
          time: expect.any(Number),
          author: 'bob',
          reachable: true,
        },
      ],
    });
    expect(await site.get('/history?limit=2')).toMatchObject({
      changes: [{ operations: [{ path: '/a' }] }, { operations: [], mark: { name: 'first', position: plain(first), removed: false } }],
    });
  });

  test('is given once, is moved when that is said, and is taken away', async () => {
    site = await HttpSite.start();
    const first = await put('/a', 1);
    await post('mark', { name: 'x', at: first });
    const second = await put('/a', 2);
    expect(await post('mark', { name: 'x' })).toMatchObject({ status: 409, json: { code: 'MARK_EXISTS', name: 'x' } });
    expect((await post('mark', { name: 'x', at: second, move: true })).json).toMatchObject({ named: plain(second), moved: plain(first) });
    expect(await site.get('/data/a?at=x')).toBe(2);
    expect(await post('unmark', { name: 'x' })).toMatchObject({ status: 200, json: { name: 'x' } });
    expect(await site.get('/marks')).toEqual({ marks: [] });
    expect(await site.send('GET', '/data/a?at=x')).toMatchObject({ status: 404, json: { code: 'NOT_FOUND' } });
  });

  test.each([
    ['mark', {}, 400, '"name" is missing'],
    ['mark', { name: '4-1201' }, 400, '"4-1201"'],
    ['mark', { name: '-10m' }, 400, '"-10m"'],
    ['mark', { name: 'x', at: '!' }, 400, 'at: "!" names no moment'],
    ['mark', { name: 'x', at: '1-99' }, 412, '1-99'],
    ['mark', { name: 'x', mvoe: true }, 400, 'did you mean "move"?'],
    ['unmark', { name: 'nobody' }, 404, '"nobody"'],
    ['revert', {}, 400, 'the body needs "path" and "to", or "commit" alone'],
    ['revert', { path: '/a', to: '-1m', commit: '1-2' }, 400, '"commit" alone'],
    ['revert', { path: '/a', to: 'x!\n' }, 400, 'to: '],
    ['revert', { commit: 'last' }, 400, 'commit is "last"; write a position such as 4-1201'],
    ['revert', { commit: '1-99' }, 412, '1-99'],
    ['revert', { path: '/a', to: '1-2', conflicts: 'ignore' }, 400, '"overwrite" or "skip"'],
    ['revert', { path: 'a', to: '1-2' }, 400, '"a"'],
  ])('%s with %j is refused, and nothing is committed', async (what, body, status, detail) => {
    site = await HttpSite.start();
    const before = await put('/a', 1);
    expect(await post(what, body)).toMatchObject({ status, json: { detail: expect.stringContaining(detail) } });
    expect(here()).toBe(before);
  });
});

describe('a reversal', () => {
  test('waits, and is not refused, when a switchover begins while it is prepared', async () => {
    site = await HttpSite.start();
    const { store } = site;
    const then = await put('/a', 1);
    await put('/a', 2);
    const prepare = store.prepare.bind(store);
    let hold: { release(): void } | undefined;
    store.prepare = (path, steps) => {
      hold ??= store.hold('switch-1');
      return prepare(path, steps);
    };
    const answer = post('revert', { path: '/a', to: then });
    const held = async (): Promise<boolean> => ((await site.get('/status')) as { heldWrites: number }).heldWrites === 1;
    await Promise.race([until(held), answer]);
    expect(store.get('/a')).toBe(2);
    hold?.release();
    expect(await answer).toMatchObject({ status: 200, json: { changes: 1 } });
    expect(store.get('/a')).toBe(1);
  });

  test('brings a subtree back as one commit, after a dry run that changes nothing', async () => {
    site = await HttpSite.start();
    const then = await put('/a', { n: 1, gone: true });
    await put('/a', { n: 2, more: 1 });
    const last = await put('/beside', 1);
    const dry = await post('revert', { path: '/a', to: then, dryRun: true });
    expect(dry.json).toEqual({
      path: '/a',
      to: plain(then),
      time: expect.any(Number),
      taken: expect.stringContaining(then),
      base: plain(last),
      empties: false,
      conflicts: [],
      differences: [
        { path: '/a/gone', kind: 'put', after: true },
        { path: '/a/more', kind: 'delete', before: 1 },
        { path: '/a/n', kind: 'put', before: 2, after: 1 },
      ],
    });
    expect(here()).toBe(last);
    const answer = await post('revert', { path: '/a', to: then, message: 'as it was' }, { 'Evertree-Author': 'eve' });
    expect(answer.json).toMatchObject({ position: plain(here()), changes: 3, conflicts: [] });
    expect(await site.get('/data')).toEqual({ a: { n: 1, gone: true }, beside: 1 });
    expect(await site.get(`/history/${here()}`)).toMatchObject({ author: 'eve', message: 'as it was' });
    const again = here();
    expect((await post('revert', { path: '/a', to: then })).json).toMatchObject({ changes: 0, position: plain(again) });
    expect(here()).toBe(again);
  });

  test('of one commit tells conflicts, and does what is said about them', async () => {
    site = await HttpSite.start();
    await put('/a', { x: 1, y: 1 });
    const mistake = await put('/a', { x: 2, y: 2 });
    const later = await put('/a/y', 3, { 'Evertree-Author': 'ada' });
    const conflict = { path: '/a/y', position: plain(later), author: 'ada', before: 3, after: 1 };
    expect((await post('revert', { commit: mistake, dryRun: true })).json).toMatchObject({
      conflicts: [conflict],
      differences: [{ path: '/a/x', before: 2, after: 1 }],
    });
    expect(await post('revert', { commit: mistake })).toMatchObject({ status: 409, json: { code: 'TEST_FAILED', conflicts: ['/a/y'] } });
    expect(here()).toBe(later);
    expect((await post('revert', { commit: mistake, conflicts: 'skip' })).json).toMatchObject({ changes: 1 });
    expect(await site.get('/data/a')).toEqual({ x: 1, y: 3 });
    expect((await post('revert', { commit: mistake, conflicts: 'overwrite' })).json).toMatchObject({ changes: 1 });
    expect(await site.get('/data/a')).toEqual({ x: 1, y: 1 });
  });

  test.each([
    ['', true],
    ['/a', true],
  ])('of %j says in a dry run that nothing would be left', async (path, empties) => {
    site = await HttpSite.start();
    await put('/a', 1);
    expect((await post('revert', { path, to: '0-0', dryRun: true })).json).toMatchObject({ empties });
    await put('/b', 1);
    expect((await post('revert', { path: '/a', to: '0-0', dryRun: true })).json).toMatchObject({ empties: false });
  });

  test('at a secondary is refused with the primary, and its dry run works', async () => {
    const { store: primary } = await memoryStore();
    const { store } = await diskStore(new FaultDisk(), { site: 'b', role: 'secondary' });
    primary.put('/a', 1);
    primary.put('/a', 2);
    await primary.flush();
    using snapshot = primary.snapshot();
    const receiver = await store.receiveSnapshot(snapshot.header);
    for (const chunk of snapshot.chunks()) await receiver.add(chunk);
    await receiver.finish();
    site = await HttpSite.start({ store });
    expect(await site.get(`/data/a?at=${here()}`)).toBe(2);
    expect(await post('revert', { path: '/a', to: here(), dryRun: true })).toMatchObject({ status: 200, json: { differences: [] } });
    for (const at of [{}, { at: '1-1' }, { at: 'nobody' }]) {
      expect(await post('mark', { name: 'x', ...at })).toMatchObject({ status: 409, json: { code: 'NOT_PRIMARY' } });
    }
    expect(await post('revert', { path: '/a', to: '1-2' })).toMatchObject({ status: 409, json: { code: 'NOT_PRIMARY' } });
    const before = await site.send('GET', '/data/a?at=1-2');
    expect(before).toMatchObject({ status: 410, json: { code: 'COMPACTED', detail: expect.stringContaining('1-3') } });
    await primary.close();
  });
});

describe('a site in memory that got a full copy', () => {
  test('answers questions about the present, although its journal holds nothing', async () => {
    const { store: primary } = await memoryStore();
    const { store } = await memoryStore({ site: 'b', role: 'secondary' });
    primary.put('/a', 1);
    primary.mark('here');
    await primary.flush();
    using snapshot = primary.snapshot();
    const receiver = await store.receiveSnapshot(snapshot.header);
    for (const chunk of snapshot.chunks()) await receiver.add(chunk);
    await receiver.finish();
    site = await HttpSite.start({ store });
    for (const at of [here(), '-0s']) expect(await site.get(`/data/a?at=${at}`)).toBe(1);
    expect(await site.get('/history')).toEqual({ changes: [], next: null, elsewhere: expect.stringContaining('memory') });
    expect(await site.get('/marks')).toMatchObject({ marks: [{ name: 'here' }] });
    expect(await site.send('GET', '/data/a?at=1-1')).toMatchObject({ status: 410, json: { code: 'COMPACTED' } });
    await primary.close();
  });
});

describe('a history that does not reach back', () => {
  test('says from where on it is here: of a read, a page, a stream and a mark', async () => {
    const { report } = collectReports();
    const journal = new MemoryJournal({ clock: systemClock, random: systemRandom, report, maxBytes: 2_000 });
    site = await HttpSite.start({ journal });
    const first = await put('/a', 'first');
    await post('mark', { name: 'first', at: first });
    for (let index = 0; index < 50; index++) await put('/a', index);
    for (const target of [
      `/data/a?at=${first}`,
      `/diff?from=${first}`,
      `/history?from=${first}`,
      `/watch/a?from=${first}`,
      `/blame?at=${first}`,
    ]) {
      expect(await site.send('GET', target)).toMatchObject({
        status: 410,
        json: { code: 'COMPACTED', detail: expect.stringContaining('history') },
      });
    }
    const page = (await site.get('/history?path=/a&values=false&limit=1000')) as { changes: object[]; next: null; elsewhere: string };
    expect(page.changes.length).toBeLessThan(50);
    expect(page).toMatchObject({ next: null, elsewhere: expect.any(String) });
    expect(await site.get('/marks')).toMatchObject({ marks: [{ name: 'first', reachable: false }] });
    const metrics = (await site.send('GET', '/metrics')).text;
    expect(Number(/^evertree_history_first_revision (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(2);
    expect(metrics).toMatch(/^evertree_marks 1$/m);
  });
});

describe('too many questions at one time', () => {
  test('are refused, and later ones are answered again', async () => {
    site = await HttpSite.start({ limits: { pastQuestions: 1, watches: 1 } });
    const body = Array.from({ length: 2_000 }, (_, n) => JSON.stringify(['put', '/a', `${n}${'x'.repeat(4_000)}`])).join('\n');
    expect((await site.send('POST', '/batch', { body })).status).toBe(200);
    using following = await site.watch('/history?follow=true');
    expect(await site.send('GET', '/watch/a')).toMatchObject({ status: 503, json: { code: 'OVERLOADED' } });
    // It takes nothing of its answer, which stays under way.
    using reading = await site.watch('/history', { Accept: 'application/x-ndjson' });
    for (const target of ['/blame', '/history', `/history/${here()}`, `/data?at=${here()}`, '/find?deleted=true', `/diff?from=${here()}`]) {
      const refused = { status: 503, json: { code: 'OVERLOADED' }, headers: { 'retry-after': '5' } };
      expect(await site.send('GET', target), target).toMatchObject(refused);
    }
    reading[Symbol.dispose]();
    await until(async () => (await site.send('GET', '/blame')).status === 200);
    following[Symbol.dispose]();
    await until(async () => {
      using watching = await site.watch('/watch/a');
      return watching.response.statusCode === 200;
    });
  });
});

describe('a condition of the request', () => {
  test.each([
    ['mark', { name: 'now' }],
    ['unmark', { name: 'then' }],
    ['revert', { path: '/a', to: '1-2' }],
  ])('holds for a %s: nothing is committed at another position, or for an ETag', async (what, body) => {
    site = await HttpSite.start();
    const first = await put('/a', 1);
    expect((await post('mark', { name: 'then' })).status).toBe(200);
    const before = await put('/a', 2);
    const refused = await post(what, body, { 'Evertree-If-Position': first });
    expect(refused).toMatchObject({ status: 412, json: { code: 'POSITION_MISMATCH' } });
    for (const name of ['If-Match', 'If-None-Match']) {
      expect((await post(what, body, { [name]: '"0123456789abcdef"' })).json).toMatchObject({ code: 'REQUEST_INVALID' });
    }
    expect(here()).toBe(before);
    expect((await post(what, body, { 'Evertree-If-Position': before })).status).toBe(200);
    expect(here()).not.toBe(before);
  });
});
