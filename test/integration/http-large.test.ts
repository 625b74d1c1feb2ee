import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import type { Hold, Position } from '@evertree/core';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { HttpSite, until, type Answer } from '../support/http-site.ts';

const MANY = 30_000;
const MERGE = { 'Content-Type': 'application/merge-patch+json' };
const PATCH = { 'Content-Type': 'application/json-patch+json' };

let site: HttpSite;
beforeAll(async () => {
  site = await HttpSite.start();
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
});
beforeEach(() => {
  site.store.put('', { at: { k0: { v: 0 }, k1: null, text: 'x' }, beside: 1 });
});

const keys = Array.from({ length: MANY }, (_, index) => `k${index}`);
const values = Object.fromEntries(keys.map((key, index) => [key, { v: index, none: null }]));
const merged = Object.fromEntries(keys.map((key, index) => [key, { v: index }]));

function batch(lines: readonly string[]): Promise<Answer> {
  return site.send('POST', '/batch', { body: lines.join('\n'), headers: { 'Content-Type': 'application/x-ndjson' } });
}

/** Merges what is large. */
function merge(headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return site.send('PATCH', '/data/at', { body: JSON.stringify(values), headers: { ...MERGE, ...headers } });
}

/** Commits beside a request until it is answered. */
async function beside(path: (index: number) => string, answer: Promise<Answer>): Promise<Answer> {
  const going = new Set([answer]);
  void answer.finally(() => going.delete(answer));
  for (let index = 0; going.size > 0; index++) {
    site.store.put(path(index), index);
    await new Promise(resolve => setImmediate(resolve));
  }
  return answer;
}

describe('a large request', () => {
  test('merges as a small one does', async () => {
    const { revision } = site.store.position;
    const answer = await site.send('PATCH', '/data/at', { body: JSON.stringify({ ...values, k1: null }), headers: MERGE });
    expect(answer.status).toBe(200);
    expect(site.store.position.revision).toBe(revision + 1);
    const { k1: _, ...others } = merged;
    expect(await site.get('/data')).toEqual({ at: { ...others, text: 'x' }, beside: 1 });
  });

  test('patches as a small one does, and names the operation that fails', async () => {
    const operations = [
      ...keys.slice(2).map(key => ({ op: 'add', path: `/${key}`, value: { [key]: 1 } })),
      { op: 'move', from: '/k7/k7', path: '/moved' },
      { op: 'test', path: '/k8', value: { k8: 1 } },
    ];
    const send = (patch: readonly object[]): Promise<Answer> =>
      site.send('PATCH', '/data/at', { body: JSON.stringify(patch), headers: PATCH });
    const failed = await send([...operations, { op: 'remove', path: '/none' }]);
    expect(failed).toMatchObject({ status: 404, json: { code: 'NOT_FOUND', operation: operations.length } });
    expect(await site.get('/data')).toEqual({ at: { k0: { v: 0 }, k1: null, text: 'x' }, beside: 1 });
    expect(await send(operations)).toMatchObject({ status: 200 });
    expect(await site.get('/data/at/moved')).toBe(1);
    expect(await site.get('/data/at/k7')).toEqual({});
    expect(Object.keys((await site.get('/data/at')) as object)).toHaveLength(MANY + 2);
  });

  test('judges preconditions when it commits', async () => {
    const { headers } = await site.send('GET', '/data/at');
    const etag = headers['etag']!;
    expect(await beside(() => '/at/text', merge({ 'If-Match': etag }))).toMatchObject({ status: 412, json: { code: 'POSITION_MISMATCH' } });
    expect(site.store.has('/at/k2')).toBe(false);
  });

  test.each([
    ['what it does not touch', (index: number) => `/other/${index % 10}`],
    ['what it changes', (index: number) => `/at/k${2 + (index % 8)}/meanwhile`],
  ])('is committed while others go on to change %s', async (_name, path) => {
    const answer = await beside(path, site.send('PATCH', '/data/at', { body: JSON.stringify(values), headers: MERGE }));
    expect(answer.status).toBe(200);
    expect(site.store.get('/at/k29999')).toEqual({ v: 29_999 });
    expect(site.store.get('/at/k3/v')).toBe(3);
  });
});

/** Does something whenever a large change was prepared, before that is looked at. */
function afterPreparations(act: (count: number) => void): { readonly count: () => number } & Disposable {
  const { store } = site;
  const prepare = store.prepare.bind(store);
  let count = 0;
  const spy = vi.spyOn(store, 'prepare').mockImplementation(function* (...asked) {
    const prepared = yield* prepare(...asked);
    act(++count);
    return prepared;
  });
  return { count: () => count, [Symbol.dispose]: () => spy.mockRestore() };
}

const heldWrites = async (): Promise<number> => ((await site.get('/status')) as { heldWrites: number }).heldWrites;

describe('the preparation of a large request', () => {
  test.each([
    ['once more, after one change of what it depends on', 1, 2],
    ['three times at most, however often that changes', Infinity, 3],
  ])('is done %s', async (_name, changes, expected) => {
    using preparations = afterPreparations(count => count <= changes && site.store.put('/at/text', count));
    expect(await merge()).toMatchObject({ status: 200 });
    expect(preparations.count()).toBe(expected);
    expect(await site.get('/data/at/text')).toBe(Math.min(changes, expected));
    expect(site.store.get('/at/k29999')).toEqual({ v: 29_999 });
  });

  test('waits for the end of a switchover', async () => {
    using preparations = afterPreparations(() => undefined);
    const hold = site.store.hold('switch-1');
    const answer = merge();
    await Promise.race([until(async () => (await heldWrites()) === 1), answer]);
    expect(preparations.count()).toBe(0);
    hold.release();
    expect(await answer).toMatchObject({ status: 200 });
  });

  test('is over when a frame is cut, of which others may hear and commit: preconditions are judged behind that', async () => {
    const { headers } = await site.send('GET', '/data/at');
    const { store } = site;
    const cut = store.cut.bind(store);
    const spy = vi.spyOn(store, 'cut').mockImplementation(() => {
      spy.mockRestore();
      cut();
      store.put('/at/text', 'meanwhile');
    });
    expect(await merge({ 'If-Match': headers['etag']! })).toMatchObject({ status: 412 });
    expect(store.has('/at/k2')).toBe(false);
  });
});

describe('a long line of a batch', () => {
  const puts = JSON.stringify(keys.map(key => ['put', `/many/${key}`, merged[key]]));

  test('is committed in its turn', async () => {
    const lines = [
      '["put","/many/first",1]',
      puts,
      JSON.stringify(['merge', '/many', Object.fromEntries(keys.slice(0, 20_000).map(key => [key, null]))]),
      JSON.stringify(['put', '/whole', values]),
      JSON.stringify(keys.slice(20_000).map(key => ['delete', `/many/${key}`])),
      '["put","/many/last",1]',
    ];
    const { revision } = site.store.position;
    expect(await batch(lines)).toMatchObject({ status: 200, json: { committed: lines.length } });
    expect(site.store.position.revision).toBe(revision + lines.length);
    expect(await site.get('/data/many')).toEqual({ first: 1, last: 1 });
    expect(await site.get('/data/whole')).toEqual(values);
  });

  test('is answered with its own position, and not with that of a commit that another made since', async () => {
    const answer = await beside(index => `/other/${index % 10}`, batch([puts, '']));
    const { epoch, revision } = (answer.json as { position: Position }).position;
    const at = (each: number): Promise<Answer> => site.send('GET', `/data/many/k0?at=${epoch}-${each}`);
    expect(await at(revision - 1)).toMatchObject({ status: 404 });
    expect(await at(revision)).toMatchObject({ status: 200 });
  });

  test('may change objects that stand in different places', async () => {
    site.store.put('/two', { a: { b: {} }, c: {} });
    const line = JSON.stringify(keys.map((key, index) => ['put', index % 2 === 0 ? `/two/a/b/${key}` : `/two/c/${key}`, index]));
    expect(await batch([line])).toMatchObject({ status: 200, json: { committed: 1 } });
    expect([site.store.get('/two/a/b/k0'), site.store.get('/two/c/k29999')]).toEqual([0, 29_999]);
  });

  test.each([
    ['that is no JSON', `${puts.slice(0, -1)},]`, 'VALUE_INVALID'],
    ['that is no operation', `{"many":${puts}}`, 'VALUE_INVALID'],
    ['with an unknown operation', `${puts.slice(0, -1)},["set","/x",1]]`, 'VALUE_INVALID'],
    ['through a leaf', `${puts.slice(0, -1)},["put","/beside/x",1]]`, 'PATH_INVALID'],
    ['with a wrong path', `${puts.slice(0, -1)},["put","x",1]]`, 'PATH_INVALID'],
  ])('%s is refused whole, and the lines before it stand', async (_name, line, code) => {
    const answer = await batch(['["put","/before",1]', line, '["put","/after",1]']);
    expect(answer).toMatchObject({ json: { code, committed: 1, error: { line: 2, code } } });
    expect(await site.get('/data')).toEqual({ at: { k0: { v: 0 }, k1: null, text: 'x' }, before: 1, beside: 1 });
  });

  const pad = ' '.repeat(300_000);
  test.each([
    ['of blanks alone is none', '', { status: 200, json: { committed: 2 } }],
    ['behind a byte order mark is refused', '\ufeff["put","/x",1]', { status: 400, json: { committed: 1, code: 'VALUE_INVALID' } }],
    ['behind another blank than that of JSON is refused', '\u00a0["put","/x",1]', { status: 400, json: { code: 'VALUE_INVALID' } }],
  ])('%s, as a short one', async (_name, line, expected) => {
    const answers: Answer[] = [];
    for (const blanks of [' ', pad]) {
      const mark = line.startsWith('\ufeff') ? `${line}${blanks}` : `${blanks}${line}`;
      answers.push(await batch(['["put","/before",1]', mark, '["put","/after",1]']));
    }
    for (const answer of answers) expect(answer).toMatchObject(expected);
    const details = answers.map(({ json }) => (json as { error?: { line: number; code: string } }).error);
    expect(details[1]?.line).toBe(details[0]?.line);
    expect(await site.get('/data')).not.toHaveProperty('x');
  });

  test('that is not UTF-8 is said to be a line, as a short one', async () => {
    for (const text of ['x', 'x'.repeat(300_000)]) {
      const bytes = Buffer.from(`["put","/before",1]\n["put","/x","${text}\xff"]\n`, 'latin1');
      expect(await site.send('POST', '/batch', { body: bytes })).toMatchObject({
        json: { committed: 1, error: { line: 2, code: 'VALUE_INVALID', detail: 'the line is not UTF-8' } },
      });
    }
  });

  test('waits, and is not refused, when a switchover begins while it is read', async () => {
    const channel = 'http.server.request.start';
    const { promise: begun, resolve } = Promise.withResolvers<IncomingMessage>();
    const onRequest = (message: unknown): void => resolve((message as { readonly request: IncomingMessage }).request);
    subscribe(channel, onRequest);
    const line = JSON.stringify(['put', '/whole', Array.from({ length: 2 }, () => values)]);
    const answer = batch([line]);
    const request = await begun;
    unsubscribe(channel, onRequest);
    // The site has all of the line then, and reads it for many turns.
    while (!request.complete || request.readableLength > 0) await new Promise(next => setImmediate(next));
    const hold = site.store.hold('switch-1');
    await Promise.race([until(async () => (await heldWrites()) === 1), answer]);
    expect(site.store.has('/whole')).toBe(false);
    hold.release();
    expect(await answer).toMatchObject({ status: 200, json: { committed: 1 } });
    expect(site.store.has('/whole/1/k7')).toBe(true);
  });

  test('waits, and is not refused, when a switchover begins while it is prepared', async () => {
    let hold: Hold | undefined;
    using preparations = afterPreparations(() => (hold ??= site.store.hold('switch-1')));
    const answer = batch([puts]);
    await Promise.race([until(async () => (await heldWrites()) === 1), answer]);
    expect(preparations.count()).toBe(1);
    expect(site.store.has('/many')).toBe(false);
    hold!.release();
    expect(await answer).toMatchObject({ status: 200, json: { committed: 1 } });
    expect(site.store.has('/many/k7')).toBe(true);
  });
});
