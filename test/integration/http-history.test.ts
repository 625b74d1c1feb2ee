import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { HttpSite, type Answer } from '../support/http-site.ts';

interface Page {
  readonly changes: readonly { readonly position: { epoch: number; revision: number }; readonly operations: readonly object[] }[];
  readonly next: string | null;
}

let site: HttpSite;

/** The position of the tree, as texts write it. */
function here(): string {
  const { epoch, revision } = site.store.position;
  return `${epoch}-${revision}`;
}

/** Puts a value, and tells the position of that commit. */
async function put(path: string, value: unknown, headers: Readonly<Record<string, string>> = {}): Promise<string> {
  const answer = await site.put(`/data${path}`, value, headers);
  expect(answer.status).toBe(200);
  return here();
}

async function page(query: string): Promise<Page> {
  return (await site.get(`/history${query}`)) as Page;
}

function positions({ changes }: Page): string[] {
  return changes.map(({ position: { epoch, revision } }) => `${epoch}-${revision}`);
}

function asked(target: string): Promise<Answer> {
  return site.send('GET', target);
}

describe('the past', () => {
  const was: string[] = [];
  beforeAll(async () => {
    site = await HttpSite.start();
    was.push(await put('/a', { n: 1, deep: { er: 'x' } }), await put('/a/n', 2), await put('/b', 'new'));
    await site.send('DELETE', '/data/a');
  });
  afterAll(async () => {
    await site[Symbol.asyncDispose]();
  });

  test('of a path is read with ?at=, with the ETag and the position of then', async () => {
    const answer = await site.send('GET', `/data/a?at=${was[0]}`);
    expect(answer).toMatchObject({
      status: 200,
      text: '{"deep":{"er":"x"},"n":1}',
      headers: { 'evertree-position': was[0], etag: expect.stringMatching(/^"[0-9a-f]{16}"$/) },
    });
    const later = await site.send('GET', `/data/a?at=${was[1]}`);
    expect(later).toMatchObject({ text: '{"deep":{"er":"x"},"n":2}', headers: { 'evertree-position': was[1] } });
    expect(later.headers.etag).not.toBe(answer.headers.etag);
    expect(await site.get(`/data/a/deep/er?at=${was[1]}`)).toBe('x');
    expect(await site.get(`/data?at=${was[2]}`)).toEqual({ a: { n: 2, deep: { er: 'x' } }, b: 'new' });
    expect(await site.get(`/data?pointer=/a/n&at=${was[0]}`)).toBe(1);
  });

  test('leads into arrays as the present does', async () => {
    const then = await put('/list', [{ x: 1 }, [2]]);
    await put('/list', []);
    expect(await site.get(`/data/list/0/x?at=${then}`)).toBe(1);
    expect(await site.get(`/data/list/1?at=${then}`)).toEqual([2]);
    expect((await site.send('GET', `/data/list/2?at=${then}`)).status).toBe(404);
  });

  test('has the ETag of the same value now', async () => {
    const then = await site.send('GET', `/data/a?at=${was[1]}`);
    const again = await put('/again', { deep: { er: 'x' }, n: 2 });
    const now = await site.send('GET', '/data/again');
    expect(now.headers).toMatchObject({ 'evertree-position': again, etag: then.headers.etag });
  });

  test('answers conditions about then', async () => {
    const target = `/data/a?at=${was[0]}`;
    const { etag = '' } = (await site.send('GET', target)).headers;
    expect(await site.send('GET', target, { headers: { 'If-None-Match': etag } })).toMatchObject({
      status: 304,
      text: '',
      headers: { etag },
    });
    expect(await site.send('GET', target, { headers: { 'If-Match': '"0123456789abcdef"' } })).toMatchObject({ status: 412 });
    expect((await site.send('GET', target, { headers: { 'Evertree-If-Position': was[0]! } })).status).toBe(200);
    expect((await site.send('GET', target, { headers: { 'Evertree-If-Position': was[1]! } })).status).toBe(412);
  });

  test('HEAD has the headers of GET, and no body', async () => {
    const get = await site.send('GET', `/data/a?at=${was[0]}`);
    const head = await site.send('HEAD', `/data/a?at=${was[0]}`);
    expect(head).toMatchObject({ status: 200, text: '', headers: { etag: get.headers.etag, 'evertree-position': was[0] } });
  });

  test('may be cached where a position names it, and not where a time does', async () => {
    expect((await site.send('GET', `/data/b?at=${was[2]}`)).headers['cache-control']).toBe('private, max-age=3600, immutable');
    expect((await site.send('GET', '/data/b?at=-0s')).headers['cache-control']).toBe('no-cache');
  });

  test('by a time says which commit it took', async () => {
    const answer = await site.send('GET', '/data/b?at=-0s');
    expect(answer.headers['evertree-position']).toBe(here());
    expect(answer.headers['evertree-time']).toMatch(/^\d{4}-\d\d-\d\dT/);
    expect(decodeURIComponent(String(answer.headers['evertree-taken']))).toContain(here());
    expect((await site.send('GET', '/data?at=1999-12-31T23:59:59Z')).json).toEqual({});
  });

  test.each([
    ['/data/a?at=', 400, 'VALUE_INVALID', 'at: "" names no moment; write a position (4-1201)'],
    ['/data/a?at=yesterday%20noon', 404, 'NOT_FOUND', 'yesterday noon'],
    ['/data/a?at=2026-02-31T00:00:00Z', 400, 'VALUE_INVALID', 'names no moment'],
    ['/data/a?at=1-1000000', 412, 'POSITION_MISMATCH', '1-1000000'],
    ['/data/a?at=7-2', 409, 'HISTORY_MISMATCH', '7-2'],
    ['/data/b?at=0-0', 404, 'NOT_FOUND', 'nothing was at "/b" at 0-0'],
    ['/data/a?when=1-2', 400, 'REQUEST_INVALID', '"when" means nothing here; known here: pointer, at'],
    ['/data/a?acknowledge=1', 400, 'REQUEST_INVALID', 'it is the header Evertree-Acknowledge'],
    ['/diff', 400, 'REQUEST_INVALID', 'from is missing'],
    ['/diff?from=never%20ever', 404, 'NOT_FOUND', 'never ever'],
    ['/find?path=', 400, 'REQUEST_INVALID', 'nothing is looked for'],
    ['/find?where=9000', 400, 'REQUEST_INVALID', 'write one of = != < <= > >='],
    ['/find?where=%3D%20up', 400, 'VALUE_INVALID', 'a text has quotes of its own, such as = "up"'],
    ['/find?where===9000', 400, 'VALUE_INVALID', 'where compares with "=9000"'],
    ['/find?deleted=maybe', 400, 'REQUEST_INVALID', 'deleted is "maybe"; write true or false'],
    ['/history?limit=0', 400, 'REQUEST_INVALID', 'limit is "0"; write a whole number from 1 to 10000'],
    ['/history?limit=10001', 400, 'REQUEST_INVALID', 'from 1 to 10000'],
    ['/history?path=a', 400, 'PATH_INVALID', '"a"'],
    ['/history/1', 400, 'REQUEST_INVALID', '"1" is no position'],
    ['/history/1-1000000', 412, 'POSITION_MISMATCH', '1-1000000'],
    ['/history/1-2/x', 404, 'NOT_FOUND', '/history/<position>'],
    ['/history?follow=true&to=-1m', 400, 'REQUEST_INVALID', 'to and follow exclude each other'],
    ['/blame?at=nobody', 404, 'NOT_FOUND', 'nobody'],
    ['/watch/a?from=1-1000000', 412, 'POSITION_MISMATCH', '1-1000000'],
    ['/watch/a?from=-', 400, 'VALUE_INVALID', 'from: "-" names no moment'],
  ])('GET %s is refused', async (target, status, code, detail) => {
    const answer = await site.send('GET', target);
    expect(answer.json).toMatchObject({ status, code, detail: expect.stringContaining(detail) });
    expect(answer.status).toBe(status);
  });

  test('can not be written', async () => {
    expect(await site.put(`/data/a?at=${was[0]}`, 1)).toMatchObject({ status: 400, json: { code: 'REQUEST_INVALID' } });
  });
});

describe('the history', () => {
  afterEach(async () => {
    await site[Symbol.asyncDispose]();
  });

  test('tells each commit, newest first, with what was before and after', async () => {
    site = await HttpSite.start();
    const first = await put('/a', { n: 1 }, { 'Evertree-Author': 'ada', 'Evertree-Message': 'begin' });
    const second = await put('/a/n', 2);
    await site.send('DELETE', '/data/a');
    const third = here();
    await put('/beside', 1);
    const answer = await page('?path=/a/n');
    expect(positions(answer)).toEqual([third, second, first]);
    expect(answer.next).toBeNull();
    expect(answer.changes).toMatchObject([
      { operations: [{ path: '/a', kind: 'delete', above: true, before: 2 }] },
      { operations: [{ path: '/a/n', kind: 'put', before: 1, after: 2 }] },
      { author: 'ada', message: 'begin', time: expect.any(Number), operations: [{ path: '/a', kind: 'put', above: true, after: 1 }] },
    ]);
    expect(answer.changes[0]?.operations[0]).not.toHaveProperty('after');
    expect((await page('?path=/a/n&values=false')).changes[1]?.operations).toEqual([{ path: '/a/n', kind: 'put' }]);
    expect(await site.get(`/history/${second}`)).toMatchObject({ operations: [{ path: '/a/n', before: 1, after: 2 }] });
    expect(positions(await page(`?from=${first}&to=${third}`))).toEqual([third, second]);
    // How far the site is, and not what is asked about.
    expect((await asked(`/history?to=${first}`)).headers['evertree-position']).toBe(here());
    expect((await asked(`/history/${first}`)).headers['evertree-position']).toBe(here());
    expect(positions(await page('?author=ada'))).toEqual([first]);
  });

  test('goes on with next where the page ended, whatever is committed meanwhile', async () => {
    site = await HttpSite.start();
    const all: string[] = [];
    for (let n = 0; n < 25; n++) all.unshift(await put('/n', n));
    const seen: string[] = [];
    let query = '?path=/n&limit=10';
    for (;;) {
      const { changes, next } = await page(query);
      seen.push(...positions({ changes, next }));
      await put('/n', `later ${seen.length}`);
      if (next === null) break;
      query = `?path=/n&limit=10&to=${next}`;
    }
    expect(seen).toEqual(all);
  });

  test.each([1, 2, 7, 24, 25, 26])('is the same in pages of %i as in one', async limit => {
    site = await HttpSite.start();
    for (let n = 0; n < 20; n++) await put(`/n/${n % 3}`, n);
    await site.send('DELETE', '/data/n/1');
    await put('', { n: { 0: 'replaced' }, other: true });
    const whole = await site.send('GET', '/history?path=/n', { headers: { Accept: 'application/x-ndjson' } });
    const all = whole.text
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line) as object);
    const seen: object[] = [];
    for (let next: string | null = here(); next !== null;) {
      const found = await page(`?path=/n&limit=${limit}&to=${next}`);
      seen.push(...found.changes);
      next = found.next;
    }
    expect(seen).toEqual(all);
    expect(seen).toHaveLength(22);
  });

  test('ends a page that would get too long, and goes on with next', async () => {
    site = await HttpSite.start();
    const text = 'x'.repeat(1_500_000);
    for (let n = 0; n < 6; n++) await put('/large', `${n}${text}`);
    const first = await page('?path=/large');
    expect(first.changes).toHaveLength(1);
    const second = await page(`?path=/large&to=${first.next}`);
    expect(second.changes).toHaveLength(1);
    expect(second.next).not.toBe(first.next);
  });

  test('tells a large commit in pieces that are one text: alone, on a page, and where it is followed', async () => {
    site = await HttpSite.start();
    // Characters of several bytes, so that a piece ends beside some of them.
    const value = Object.fromEntries(Array.from({ length: 9_000 }, (_, n) => [`k${n}`, 'я🌲'.repeat(n % 7)]));
    const first = await put('/large', value);
    const operations = [{ path: '/large', kind: 'put', after: value }];
    const alone = await site.send('GET', `/history/${first}`);
    expect(JSON.parse(alone.text)).toMatchObject({ operations });
    expect(Number(alone.headers['content-length'])).toBe(Buffer.byteLength(alone.text));
    const head = await site.send('HEAD', `/history/${first}`);
    expect([head.text, head.headers['content-length']]).toEqual(['', alone.headers['content-length']]);
    expect((await page('?path=/large')).changes).toMatchObject([{ operations }]);
    await put('/large', 1);
    using following = await site.watch('/history?path=/large&follow=true&from=0-0');
    expect(await following.next()).toMatchObject({ event: 'change', id: first, data: { operations } });
    expect(await following.next()).toMatchObject({ data: { operations: [{ after: 1 }] } });
  });

  test('comes a change a line for who accepts that, without an end to the page', async () => {
    site = await HttpSite.start();
    const body = Array.from({ length: 3_000 }, (_, n) => JSON.stringify(['put', '/n', n])).join('\n');
    expect((await site.send('POST', '/batch', { body })).status).toBe(200);
    const answer = await site.send('GET', '/history?path=/n', { headers: { Accept: 'application/x-ndjson' } });
    expect(answer.headers['content-type']).toBe('application/x-ndjson');
    const lines = answer.text
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line) as { operations: [{ after: number }] });
    expect(lines.map(({ operations }) => operations[0].after)).toEqual(Array.from({ length: 3_000 }, (_, n) => 2_999 - n));
  });

  test('is cut when the server closes on the way, and does not look whole', async () => {
    site = await HttpSite.start();
    const body = Array.from({ length: 2_000 }, (_, n) => JSON.stringify(['put', '/n', `${n}${'x'.repeat(4_000)}`])).join('\n');
    expect((await site.send('POST', '/batch', { body })).status).toBe(200);
    // It takes nothing yet, so that the answer is under way.
    using reading = await site.watch('/history', { Accept: 'application/x-ndjson' });
    const closing = site.server.close();
    const readAll = async () => {
      for await (const chunk of reading.response) expect(chunk).not.toBe('');
    };
    await expect(readAll()).rejects.toThrow('aborted');
    await closing;
  });

  test('that is followed has no HEAD', async () => {
    site = await HttpSite.start();
    expect((await site.send('HEAD', '/history?follow=true')).status).toBe(405);
    expect((await site.send('HEAD', '/history')).status).toBe(200);
  });

  test('of a path that was never there is empty', async () => {
    site = await HttpSite.start();
    await put('/a', 1);
    expect(await page('?path=/never')).toEqual({ changes: [], next: null });
    expect(await site.send('GET', '/history?path=/never', { headers: { Accept: 'application/x-ndjson' } })).toMatchObject({ text: '' });
  });

  test.each(['', 'a/b', '~', '__proto__', 'constructor', '0', '🌲', '.', '..', '*', '%2F', ' '])('knows the odd key %j', async key => {
    site = await HttpSite.start();
    site.store.put(['k', key, 'x'], 1);
    site.store.put(['k', key, 'x'], 2);
    site.store.delete(['k', key]);
    await site.store.flush();
    const pointer = `/k/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    const path = encodeURIComponent(`${pointer}/x`);
    const [gone, set] = (await page(`?path=${path}`)).changes;
    expect(gone?.operations).toEqual([{ path: pointer, kind: 'delete', above: true, before: 2 }]);
    expect(set?.operations).toEqual([{ path: `${pointer}/x`, kind: 'put', before: 1, after: 2 }]);
    const before = `1-${site.store.position.revision - 1}`;
    expect(await site.get(`/data?pointer=${path}&at=${before}`)).toBe(2);
    expect(await site.get(`/find?path=${path}&deleted=true`)).toMatchObject({
      findings: [{ before: { revision: site.store.position.revision - 1 } }],
    });
  });

  test('is followed: what is there already, then each commit, and after a cut from the last one on', async () => {
    site = await HttpSite.start();
    const first = await put('/a/x', 1, { 'Evertree-Author': 'ada' });
    await put('/b', 1);
    const second = await put('/a/x', 2);
    using following = await site.watch('/history?path=/a&follow=true&from=0-0');
    expect(following.response.headers['content-type']).toBe('text/event-stream; charset=utf-8');
    expect(await following.next()).toMatchObject({
      event: 'change',
      id: first,
      data: { author: 'ada', operations: [{ path: '/a/x', kind: 'put', after: 1 }] },
    });
    expect(await following.next()).toMatchObject({ id: second, data: { operations: [{ before: 1, after: 2 }] } });
    await put('/b', 2);
    const third = await put('/a', {});
    expect(await following.next()).toMatchObject({ id: third, data: { operations: [{ path: '/a', after: {} }] } });
    using again = await site.watch('/history?path=/a&follow=true&from=0-0', { 'Last-Event-ID': second });
    expect(await again.next()).toMatchObject({ id: third });
  });

  test('that is followed ends when the server closes', async () => {
    site = await HttpSite.start();
    await put('/a', 1);
    using following = await site.watch('/history?follow=true');
    const ended = following.ended();
    await site.server.close();
    expect(await ended).toBe(true);
  });
});

describe('a watch from a moment', () => {
  afterEach(async () => {
    await site[Symbol.asyncDispose]();
  });

  test('gives the history since, then what happens, each once and without a state', async () => {
    site = await HttpSite.start();
    const begin = await put('/a/n', 0);
    for (let n = 1; n <= 50; n++) await put('/a/n', n);
    using watching = await site.watch(`/watch/a?from=${begin}`);
    const seen: unknown[] = [];
    for (let n = 51; n <= 100; n++) {
      await put('/a/n', n);
      const { event, data } = await watching.next();
      expect(event).toBe('change');
      seen.push(data['operations']);
    }
    for (let n = 51; n <= 100; n++) seen.push((await watching.next()).data['operations']);
    expect(seen).toEqual(Array.from({ length: 100 }, (_, n) => [['put', '/a/n', n + 1]]));
  });

  test('comes back after its last event, and at once with the moment where it began', async () => {
    site = await HttpSite.start();
    const begin = await put('/a', 0);
    using watching = await site.watch('/watch/a?from=-0s');
    await put('/a', 1);
    const event = await watching.next();
    expect(event.data).toMatchObject({ operations: [['put', '/a', 1]] });
    using again = await site.watch('/watch/a?from=-0s', { 'Last-Event-ID': begin });
    expect(await again.next()).toMatchObject({ id: event.id, data: { operations: [['put', '/a', 1]] } });
  });
});

describe('what differs, who did it, and where', () => {
  let first: string;
  let second: string;
  beforeAll(async () => {
    site = await HttpSite.start();
    first = await put('', { a: { keep: 1, gone: 'x', list: [1, 2] }, z: 1 }, { 'Evertree-Author': 'ada', 'Evertree-Message': 'load' });
    await put('/a/list', [2], { 'Evertree-Author': 'bob' });
    await site.send('DELETE', '/data/a/gone', { headers: { 'Evertree-Author': 'bob', 'Evertree-Message': 'oops' } });
    second = await put('/a/new', { y: 1, x: 2 });
  });
  afterAll(async () => {
    await site[Symbol.asyncDispose]();
  });

  test('a diff is a JSON patch that makes the one of the other, both ways', async () => {
    const forth = await asked(`/diff?from=${first}&to=${second}`);
    expect(forth.headers).toMatchObject({
      'content-type': 'application/json-patch+json',
      'evertree-from-position': first,
      'evertree-position': second,
    });
    expect(forth.json).toEqual(
      expect.arrayContaining([
        { op: 'remove', path: '/a/gone' },
        { op: 'replace', path: '/a/list', value: [2] },
        { op: 'add', path: '/a/new', value: { x: 2, y: 1 } },
      ]),
    );
    expect(forth.text).toContain('{"x":2,"y":1}');
    const back = await asked(`/diff?from=${second}&to=${first}`);
    const patch = { 'Content-Type': 'application/json-patch+json' };
    expect((await site.send('PATCH', '/data', { headers: patch, body: back.text })).status).toBe(200);
    expect((await asked('/data')).headers.etag).toBe((await asked(`/data?at=${first}`)).headers.etag);
    expect((await site.send('PATCH', '/data', { headers: patch, body: forth.text })).status).toBe(200);
    expect((await asked('/data')).headers.etag).toBe((await asked(`/data?at=${second}`)).headers.etag);
  });

  test('a diff of a path says nothing of what is beside it, and a line each has both values', async () => {
    expect((await asked(`/diff?from=${first}&to=${second}&path=/z`)).json).toEqual([]);
    const lines = await site.send('GET', `/diff?from=${first}&to=${second}&path=/a/list`, { headers: { Accept: 'application/x-ndjson' } });
    expect(JSON.parse(lines.text)).toEqual({ path: '/a/list', kind: 'put', before: [1, 2], after: [2] });
  });

  test('a diff without to goes up to the present', async () => {
    expect((await asked(`/diff?from=${second}`)).headers['evertree-position']).toBe(here());
  });

  test('blame names for each leaf the commit that set it', async () => {
    const answer = (await site.get(`/blame?path=/a&at=${second}`)) as { leaves: { path: string }[] };
    const leaves = new Map(answer.leaves.map(leaf => [leaf.path, leaf]));
    expect([...leaves.keys()].toSorted()).toEqual(['/a/keep', '/a/list', '/a/new/x', '/a/new/y']);
    expect(leaves.get('/a/keep')).toMatchObject({
      kind: 'above',
      author: 'ada',
      message: 'load',
      position: { revision: Number(first.slice(2)) },
    });
    expect(leaves.get('/a/list')).toMatchObject({ kind: 'put', author: 'bob' });
    expect(leaves.get('/a/new/x')).toMatchObject({ kind: 'above', position: { revision: Number(second.slice(2)) } });
    expect(answer).toMatchObject({ position: { epoch: 1, revision: Number(second.slice(2)) } });
  });

  test('find tells the moment before a mistake', async () => {
    const { findings } = (await site.get(`/find?path=/a&deleted=true&to=${second}`)) as {
      findings: { path: string; before: { epoch: number; revision: number }; change: object }[];
    };
    expect(findings).toMatchObject([{ path: '/a/gone', change: { author: 'bob', message: 'oops' } }]);
    const { epoch, revision } = findings[0]!.before;
    expect(await site.get(`/data/a/gone?at=${epoch}-${revision}`)).toBe('x');
    expect(await site.get(`/find?path=/a/list&where=${encodeURIComponent('= [2]')}&to=${second}`)).toMatchObject({
      findings: [{ path: '/a/list', change: { author: 'bob' } }],
    });
    expect(await site.get(`/find?changedBy=bob&to=${second}`)).toMatchObject({ findings: [{ path: '/a/gone' }, { path: '/a/list' }] });
    expect(await site.get('/find?path=/a&changedBy=nobody')).toEqual({ findings: [] });
  });
});
