import { type ExactPosition, Store, type StoredFrame } from '@evertree/core';
import { MemoryJournal } from '@evertree/journal';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock, systemRandom } from '../support/host.ts';
import { HttpSite } from '../support/http-site.ts';
import { run } from '../support/program.ts';
import { strictReport } from '../support/reports.ts';

/** Divergences over HTTP, at a primary in this process that keeps one: another site made it behind the same fork. */

const host = { clock: systemClock, random: systemRandom, report: strictReport };
const EPOCH_ID = 'abcdef0123456789';
const JSON_BODY = { 'Content-Type': 'application/json' };

let site: HttpSite;
let name: string;

beforeEach(async () => {
  site = await HttpSite.start();
  site.store.put('', { a: 0, b: 0 });
  await site.store.flush();
  name = await keep(other => {
    other.put('/a', 1, { author: 'ann', message: 'first' });
    other.put('/c', { d: 1 }, { author: 'bob' });
    other.delete('/b');
  });
});
afterEach(async () => {
  await site[Symbol.asyncDispose]();
});

async function* framesOf(frames: readonly StoredFrame[]): AsyncGenerator<StoredFrame> {
  yield* frames;
}

async function readAll(store: Store, after: ExactPosition): Promise<StoredFrame[]> {
  const reader = store.journal.log.read(after);
  const frames: StoredFrame[] = [];
  for (let stored = await reader.next(); stored !== undefined; stored = await reader.next()) frames.push(stored);
  await reader.close();
  return frames;
}

/** Keeps what another site with the same history commits after a promotion of its own. */
async function keep(change: (other: Store) => void): Promise<string> {
  const { position: base, stream, journal } = site.store;
  await using other = await Store.open({
    ...host,
    journal: new MemoryJournal({ ...host, identity: { site: 'other', role: 'secondary' } }),
  });
  for (const { frame } of await readAll(site.store, { epoch: 0, epochId: '0'.repeat(16), revision: 0 })) other.applyFrame(frame);
  other.beginEpoch({ number: 2, id: EPOCH_ID }, 'promotion');
  change(other);
  await other.flush();
  const frames = await readAll(other, base);
  const last = frames.at(-1)!.frame.header.last;
  const divergence = { stream: stream!, base, last, missing: undefined, snapshots: async function* () {}, frames: () => framesOf(frames) };
  return (await journal.divergences.keep(divergence, 1_790_000_000_000)).name;
}

function post(what: string, body: object) {
  return site.send('POST', `/admin/divergences/${what}`, { headers: JSON_BODY, body: JSON.stringify(body) });
}

describe('GET /divergences', () => {
  test('lists what is kept, and /status names it', async () => {
    const summary = { name, commits: 3, authors: ['ann', 'bob'], paths: ['/a', '/c', '/b'], missing: null, replayed: [] };
    expect(await site.get('/divergences')).toMatchObject({ divergences: [{ number: 1, ...summary, base: { epoch: 1, revision: 2 } }] });
    expect(await site.get('/status')).toMatchObject({ divergences: [{ name, commits: 3 }] });
  });

  test.each([
    ['its number', () => '1'],
    ['its name', () => name],
    ['the beginning of its name', () => name.slice(0, 8)],
  ])('tells its commits by %s', async (_how, wanted) => {
    expect(await site.get(`/divergences/${wanted()}`)).toMatchObject({
      name,
      next: null,
      changes: [
        {
          position: { epoch: 2, revision: 4 },
          epochId: EPOCH_ID,
          author: 'ann',
          message: 'first',
          operations: [['put', '/a', 1]],
          replayed: false,
        },
        { position: { epoch: 2, revision: 5 }, author: 'bob', operations: [['put', '/c', { d: 1 }]] },
        { position: { epoch: 2, revision: 6 }, operations: [['delete', '/b']] },
      ],
    });
  });

  test('tells them in pages, and exports all of them, one a line', async () => {
    expect(await site.get('/divergences/1?limit=2')).toMatchObject({ changes: [{}, {}], next: 5 });
    expect(await site.get('/divergences/1?limit=2&after=5')).toMatchObject({ changes: [{ position: { revision: 6 } }], next: null });
    const { text, headers } = await site.send('GET', '/divergences/1/export');
    expect(headers['content-type']).toBe('application/x-ndjson');
    const lines = text
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line) as { position: { revision: number } });
    expect(lines.map(({ position }) => position.revision)).toEqual([4, 5, 6]);
  });

  test('tells that nothing of one is missing any more, once all of it was applied again', async () => {
    const state = async () => ((await site.get('/divergences')) as { divergences: { state: string }[] }).divergences[0]!.state;
    expect(await state()).toBe('open');
    await post('replay', { divergence: '1', commits: [4, 5] });
    expect(await state()).toBe('open');
    await post('replay', { divergence: '1', commits: [6] });
    expect(await state()).toBe('replayed');
    expect(await site.get('/status')).toMatchObject({ divergences: [{ name, state: 'replayed' }] });
    expect(await site.get('/divergences/1')).toMatchObject({ state: 'replayed', changes: [{ replayed: true, standing: false }, {}, {}] });
  });

  test('tells that all of one is in the history again, because a site that had it was promoted', async () => {
    const { store } = site;
    const base = store.position;
    store.put('/a', 1);
    await store.flush();
    const frames = await readAll(store, base);
    const divergence = { stream: store.stream!, base, last: store.position, missing: undefined, frames: () => framesOf(frames) };
    await store.journal.divergences.keep(divergence, 1_790_000_000_000);
    expect(await site.get('/divergences')).toMatchObject({ divergences: [{ state: 'open' }, { state: 'standing' }] });
    expect(await site.get('/divergences/2')).toMatchObject({ state: 'standing', changes: [{ replayed: false, standing: true }] });
    expect(await site.get('/divergences/1')).toMatchObject({ state: 'open', changes: [{ standing: false }, {}, {}] });
  });

  test.each([
    ['/divergences/2', 404, 'NOT_FOUND'],
    ['/divergences/1/commits', 404, 'NOT_FOUND'],
    ['/divergences/%E0%A4%A', 400, 'PATH_INVALID'],
    ['/divergences?at=1', 400, 'REQUEST_INVALID'],
    ['/divergences/1?limit=many', 400, 'REQUEST_INVALID'],
    ['/divergences/1/export?limit=1', 400, 'REQUEST_INVALID'],
  ])('%s is %i', async (target, status, code) => {
    expect(await site.send('GET', target)).toMatchObject({ status, json: { code } });
  });
});

describe('POST /admin/divergences/replay', () => {
  test('applies what this site keeps itself, and marks it', async () => {
    site.store.put('/a', 7);
    const answer = await post('replay', { divergence: '1' });
    expect(answer).toMatchObject({
      status: 200,
      headers: { 'evertree-position': '1-5' },
      json: {
        position: { epoch: 1, revision: 5 },
        results: [
          {
            position: { epoch: 2, revision: 4 },
            outcome: 'conflict',
            conflicts: [{ path: '/a', reason: 'changed', position: { epoch: 1, revision: 3 } }],
          },
          { position: { epoch: 2, revision: 5 }, outcome: 'applied', as: { epoch: 1, revision: 4 } },
          { position: { epoch: 2, revision: 6 }, outcome: 'applied', as: { epoch: 1, revision: 5 } },
        ],
      },
    });
    expect(await site.get('/data')).toEqual({ a: 7, c: { d: 1 } });
    expect(await site.get('/divergences')).toMatchObject({ divergences: [{ replayed: [{ from: 5, to: 6 }] }] });
    expect(await post('replay', { divergence: '1', commits: [5] })).toMatchObject({ json: { results: [{ outcome: 'replayed' }] } });
    expect(site.store.position.revision).toBe(5);
  });

  test('applies what the request brings of another site', async () => {
    const { base, changes } = (await site.get('/divergences/1')) as { base: object; changes: readonly object[] };
    await post('forget', { divergence: name });
    const body = { base, changes, commits: [4] };
    expect(await post('replay', { ...body, dryRun: true })).toMatchObject({ status: 200, json: { results: [{ outcome: 'applied' }] } });
    expect(site.store.get('/a')).toBe(0);
    expect(await post('replay', body)).toMatchObject({ status: 200, json: { results: [{ outcome: 'applied' }] } });
    expect(site.store.get('/a')).toBe(1);
  });

  test.each<[string, object, number, string]>([
    ['nothing', {}, 400, 'VALUE_INVALID'],
    ['a misspelt option', { divergence: '1', dryrun: true }, 400, 'VALUE_INVALID'],
    ['a divergence that is not kept', { divergence: '7' }, 404, 'NOT_FOUND'],
    ['a commit that is not in it', { divergence: '1', commits: [99] }, 404, 'NOT_FOUND'],
  ])('refuses %s', async (_what, body, status, code) => {
    expect(await post('replay', body)).toMatchObject({ status, json: { code } });
    expect(site.store.position.revision).toBe(2);
  });

  test('is refused by a site that takes no writes, before anything', async () => {
    await site.store.follow();
    expect(await post('replay', { divergence: '1' })).toMatchObject({ status: 409, json: { code: 'NOT_PRIMARY' } });
  });
});

test('a dry run of the command foretells a replay that takes several requests', async () => {
  const many = await keep(other => {
    for (const letter of ['x', 'y']) other.put('/a', letter.repeat(9 * 1024 * 1024));
  });
  const { stdout } = await run(['divergences', 'replay', many, '--dry-run', '--url', site.url.origin]);
  expect(stdout).toBe('2-4 would be applied\n2-5 would be applied\n');
});

test('mark records what was applied elsewhere, and forget drops it all', async () => {
  expect(await post('mark', { divergence: '1', revisions: [4, 5] })).toMatchObject({ status: 200, json: { name, marked: 2 } });
  expect(await site.get('/divergences/1')).toMatchObject({ changes: [{ replayed: true }, { replayed: true }, { replayed: false }] });
  expect(await post('forget', { divergence: '1' })).toMatchObject({ status: 200, json: { name, commits: 3, forgotten: true } });
  expect(await site.get('/divergences')).toEqual({ divergences: [] });
  expect(await post('forget', { divergence: '1' })).toMatchObject({ status: 404 });
});
