import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HttpSite } from '../support/http-site.ts';

const MERGE = { 'Content-Type': 'application/merge-patch+json' };
const PATCH = { 'Content-Type': 'application/json-patch+json' };

let site: HttpSite;
beforeAll(async () => {
  site = await HttpSite.start();
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
});

describe('keys', () => {
  test.each([
    ['the empty key', '', '/data/k/'],
    ['a slash', '/', '/data/k/~1'],
    ['a slash, percent-encoded', 'a/b', '/data/k/a%2Fb'],
    ['a tilde', '~', '/data/k/~0'],
    ['what looks escaped', '~1', '/data/k/~01'],
    ['a percent-encoded tilde', '~x/y', '/data/k/%7E0x%7E1y'],
    ['one dot', '.', '/data/k/.'],
    ['two dots', '..', '/data/k/..'],
    ['two dots, percent-encoded', '..', '/data/k/%2e%2E'],
    ['two dots in the query', '..', '/data?pointer=/k/..'],
    ['__proto__', '__proto__', '/data/k/__proto__'],
    ['constructor', 'constructor', '/data/k/constructor'],
    ['prototype', 'prototype', '/data/k/prototype'],
    ['toString', 'toString', '/data/k/toString'],
    ['an integer', '0', '/data/k/0'],
    ['an integer as arrays have none', '007', '/data/k/007'],
    ['a minus', '-', '/data/k/-'],
    ['a star', '*', '/data/k/*'],
    ['a plus in the path', 'a+b', '/data/k/a+b'],
    ['a plus in the query', 'a b+c', '/data?pointer=/k/a+b%2Bc'],
    ['a question mark', '?', '/data/k/%3F'],
    ['a hash', '#', '/data/k/%23'],
    ['a space', ' ', '/data/k/%20'],
    ['a line end', '\n', '/data/k/%0A'],
    ['a quote', '"', '/data/k/%22'],
    ['a backslash', '\\', '/data/k/%5C'],
    ['a NUL', '\0', '/data/k/%00'],
    ['an emoji', '🌲', '/data/k/%F0%9F%8C%B2'],
    ['10,000 characters', 'x'.repeat(10_000), `/data/k/${'x'.repeat(10_000)}`],
    ['5,000 emoji', '🌲'.repeat(5_000), `/data/k/${'%F0%9F%8C%B2'.repeat(5_000)}`],
  ])('%s', async (_, key, target) => {
    await site.put('/data/k', {});
    expect((await site.put(target, { here: 1 })).status).toBe(200);
    const all = (await site.get('/data/k')) as object;
    expect(Object.keys(all)).toEqual([key]);
    expect(await site.get(target)).toEqual({ here: 1 });
    expect(await site.get(`/data?pointer=${encodeURIComponent(`/k/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`)}`)).toEqual({
      here: 1,
    });
    expect((await site.send('DELETE', target)).status).toBe(200);
    expect(await site.get('/data/k')).toEqual({});
    expect(({} as { here?: unknown }).here).toBeUndefined();
  });

  test('/data is the root, /data/ the empty key, /data// the empty key below it', async () => {
    await site.put('/data', { '': { '': 1 } });
    expect(await site.get('/data')).toEqual({ '': { '': 1 } });
    expect(await site.get('/data/')).toEqual({ '': 1 });
    expect(await site.get('/data//')).toBe(1);
    expect(await site.get('/data?pointer=')).toEqual({ '': { '': 1 } });
  });

  test.each([
    ['/data/%', 'PATH_INVALID'],
    ['/data/%ff', 'PATH_INVALID'],
    ['/data/%ed%a0%80', 'PATH_INVALID'],
    ['/data/a~2', 'PATH_INVALID'],
    ['/data?pointer=a', 'PATH_INVALID'],
    ['/data/a?pointer=/b', 'REQUEST_INVALID'],
    ['/data/a?revision=4-1', 'REQUEST_INVALID'],
    ['/data?pointer=/a&pointer=/b', 'REQUEST_INVALID'],
    ['/data?pointer=%ff', 'REQUEST_INVALID'],
    ['/data/\xc3\xa9', 'REQUEST_INVALID'],
    ['/data?pointer=/\xc3\xa9', 'REQUEST_INVALID'],
  ])('GET %s is refused', async (target, code) => {
    const answer = await site.send('GET', target);
    expect(answer.status).toBe(400);
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(answer.json).toMatchObject({ type: 'about:blank', status: 400, code });
  });
});

test('a key that is too long is refused', async () => {
  expect(await site.put(`/data/${'x'.repeat(70_000)}`, 1)).toMatchObject({
    status: 400,
    json: { code: expect.stringMatching(/_INVALID$/) },
  });
  expect((await site.send('GET', `/data/${'x'.repeat(70_000)}`)).status).toBe(404);
});

describe('values', () => {
  test.each([
    'null',
    'true',
    '0',
    '-1.5e-7',
    '1e21',
    '123456789012345680000',
    '""',
    '"\\u0000\\ud83c\\udf32"',
    '[]',
    '{}',
    '[[],{},[{"a":[null]}]]',
    '{"a":{}}',
  ])('%s comes back as it went', async text => {
    expect((await site.send('PUT', '/data/v', { body: text })).status).toBe(200);
    expect(await site.get('/data/v')).toEqual(JSON.parse(text));
  });

  test('-0 is 0', async () => {
    await site.send('PUT', '/data/v', { body: '-0' });
    expect((await site.send('GET', '/data/v')).text.trim()).toBe('0');
  });

  test('keys are written in order, so that equal values have equal bytes', async () => {
    await site.send('PUT', '/data/v', { body: '{"b":1,"10":[{"z":1,"y":2}],"9":2,"a":{"d":1,"c":2}}' });
    expect((await site.send('GET', '/data/v')).text).toBe('{"10":[{"y":2,"z":1}],"9":2,"a":{"c":2,"d":1},"b":1}');
  });

  test.each([
    ['[1,{"a/b":9007199254740993}]', 'VALUE_INVALID', { path: '/v/1/a~1b', line: 1 }],
    ['{"a":\n1e400}', 'VALUE_INVALID', { path: '/v/a', line: 2, column: 1 }],
    ['{"a":"\\ud800"}', 'VALUE_INVALID', { path: '/v/a' }],
    ['{"\\ud800":1}', 'VALUE_INVALID', { path: '/v' }],
    ['NaN', 'VALUE_INVALID', { line: 1, column: 1 }],
    ['{"a":1,}', 'VALUE_INVALID', { line: 1, column: 8 }],
    ['', 'VALUE_INVALID', { line: 1, column: 1 }],
    [`${'['.repeat(10_000)}${']'.repeat(10_000)}`, 'VALUE_INVALID', {}],
    [`${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`, 'VALUE_INVALID', {}],
  ])('%.40s is refused whole', async (body, code, details) => {
    await site.put('/data/v', 'before');
    const answer = await site.send('PUT', '/data/v', { body });
    expect(answer.status).toBe(400);
    expect(answer.json).toMatchObject({ code, ...details });
    expect(await site.get('/data/v')).toBe('before');
  });

  test('bytes that are not UTF-8 are refused, not replaced', async () => {
    const answer = await site.send('PUT', '/data/v', { body: Uint8Array.of(0x22, 0xff, 0x22) });
    expect(answer.json).toMatchObject({ status: 400, code: 'VALUE_INVALID' });
  });

  test('a byte order mark is no part of the value', async () => {
    expect((await site.send('PUT', '/data/v', { body: '\ufeff1' })).status).toBe(200);
  });
});

describe('writes', () => {
  test('answer with the new position', async () => {
    const { json, headers } = await site.put('/data/w/deep/er', 1);
    const { epoch, revision } = site.store.position;
    expect(json).toEqual({ position: { epoch, revision }, acknowledged: 0, durable: false });
    expect(headers['evertree-position']).toBe(`${epoch}-${revision}`);
  });

  test('that change nothing take no revision', async () => {
    await site.put('/data/w', 1);
    const before = site.store.position.revision;
    expect(await site.put('/data/w', 1)).toMatchObject({ status: 200, json: { position: { revision: before } } });
  });

  test.each([
    ['PUT', '/data/w/leaf/below', '1', 'PATH_INVALID', 400],
    ['PUT', '/data/w/array/0', '1', 'PATH_INVALID', 400],
    ['PUT', '/data', '1', 'PATH_INVALID', 400],
    ['DELETE', '/data/w/nothing', undefined, 'NOT_FOUND', 404],
    ['DELETE', '/data/w/nothing/at/all', undefined, 'NOT_FOUND', 404],
    ['GET', '/data/w/nothing', undefined, 'NOT_FOUND', 404],
  ])('%s %s is %s', async (method, target, body, code, status) => {
    await site.put('/data/w', { leaf: 1, array: [1] });
    const { position } = site.store;
    const answer = await site.send(method, target, body === undefined ? {} : { body });
    expect(answer).toMatchObject({ status, json: { code, status } });
    expect(site.store.position).toEqual(position);
    expect(await site.get('/data/w')).toEqual({ leaf: 1, array: [1] });
  });

  test('DELETE /data empties the tree', async () => {
    expect((await site.send('DELETE', '/data')).status).toBe(200);
    expect(await site.get('/data')).toEqual({});
  });

  test('a merge patch deletes what it has null for', async () => {
    await site.put('/data/w', { a: 1, b: { c: 2, d: 3 } });
    expect((await site.send('PATCH', '/data/w', { headers: MERGE, body: '{"a":null,"b":{"c":9},"e":[]}' })).status).toBe(200);
    expect(await site.get('/data/w')).toEqual({ b: { c: 9, d: 3 }, e: [] });
  });

  test('a JSON patch is relative to the path, and one transaction', async () => {
    await site.put('/data/w', { a: [1, 2] });
    const { revision } = site.store.position;
    const body = JSON.stringify([
      { op: 'test', path: '/a/0', value: 1 },
      { op: 'add', path: '/a/-', value: 3 },
      { op: 'move', from: '/a', path: '/b' },
    ]);
    expect((await site.send('PATCH', '/data/w', { headers: PATCH, body })).status).toBe(200);
    expect(await site.get('/data/w')).toEqual({ b: [1, 2, 3] });
    expect(site.store.position.revision).toBe(revision + 1);
  });

  test('a JSON patch whose test fails changes nothing', async () => {
    await site.put('/data/w', { a: 1 });
    const body = '[{"op":"replace","path":"/a","value":2},{"op":"test","path":"/a","value":1}]';
    expect(await site.send('PATCH', '/data/w', { headers: PATCH, body })).toMatchObject({ status: 409, json: { code: 'TEST_FAILED' } });
    expect(await site.get('/data/w')).toEqual({ a: 1 });
  });

  test('a JSON patch that is no array is refused', async () => {
    expect(await site.send('PATCH', '/data/w', { headers: PATCH, body: '{}' })).toMatchObject({
      status: 400,
      json: { code: 'VALUE_INVALID' },
    });
  });
});

describe('conditions', () => {
  test('an ETag is the digest of the subtree, and a read of the same value is answered without a body', async () => {
    await site.put('/data/c', { a: 1, b: 2 });
    const first = await site.send('GET', '/data/c');
    expect(first.headers.etag).toBe(`"${site.store.digestAt('/c')}"`);
    await site.put('/data/elsewhere', Math.random());
    const etag = String(first.headers.etag);
    for (const tag of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const again = await site.send('GET', '/data/c', { headers: { 'If-None-Match': tag } });
      expect(again).toMatchObject({ status: 304, text: '', headers: { etag } });
    }
    await site.put('/data/c/a', 2);
    expect((await site.send('GET', '/data/c', { headers: { 'If-None-Match': etag } })).status).toBe(200);
  });

  test('If-Match permits a write only to the value that was read', async () => {
    await site.put('/data/c', 1);
    const etag = String((await site.send('GET', '/data/c')).headers.etag);
    expect((await site.put('/data/c', 2, { 'If-Match': `"other", ${etag}` })).status).toBe(200);
    for (const method of ['PUT', 'DELETE']) {
      const answer = await site.send(method, '/data/c', { headers: { 'If-Match': etag }, body: '3' });
      expect(answer).toMatchObject({
        status: 412,
        json: { code: 'POSITION_MISMATCH', path: '/c', etag: expect.stringMatching(/^"[0-9a-f]{16}"$/) },
      });
    }
    const now = String((await site.send('GET', '/data/c')).headers.etag);
    expect((await site.put('/data/c', 3, { 'If-Match': `W/${now}` })).status, 'a weak ETag').toBe(412);
    expect(await site.get('/data/c')).toBe(2);
  });

  test('* matches any value that exists', async () => {
    await site.put('/data/c', 1);
    expect((await site.put('/data/c', 2, { 'If-Match': '*' })).status).toBe(200);
    expect((await site.put('/data/absent', 2, { 'If-Match': '*' })).status).toBe(412);
    expect((await site.put('/data/c', 3, { 'If-None-Match': '*' })).status).toBe(412);
    expect((await site.put('/data/new', 3, { 'If-None-Match': '*' })).status).toBe(200);
    expect(await site.get('/data/c')).toBe(2);
  });

  test('Evertree-If-Position is about the whole tree', async () => {
    const at = (await site.put('/data/c', 1)).headers['evertree-position'] as string;
    expect((await site.put('/data/c', 2, { 'Evertree-If-Position': at })).status).toBe(200);
    const answer = await site.put('/data/c', 3, { 'Evertree-If-Position': at });
    expect(answer).toMatchObject({ status: 412, json: { code: 'POSITION_MISMATCH' } });
    expect((await site.send('GET', '/data/c', { headers: { 'Evertree-If-Position': at } })).status).toBe(412);
    expect(await site.get('/data/c')).toBe(2);
  });

  test.each([
    ['If-Match', 'unquoted'],
    ['Evertree-If-Position', '12'],
    ['Evertree-Acknowledge', 'all'],
  ])('%s: %s is refused', async (name, value) => {
    expect(await site.put('/data/c', 1, { [name]: value })).toMatchObject({ status: 400, json: { code: 'REQUEST_INVALID' } });
  });

  test('a write that secondaries do not acknowledge in time stays committed, and the answer says so', async () => {
    const answer = await site.put('/data/c', 'stands', { Prefer: 'respond-async, wait=0', 'Evertree-Acknowledge': '2' });
    const { epoch, revision } = site.store.position;
    expect(answer).toMatchObject({
      status: 504,
      json: { code: 'ACKNOWLEDGEMENT_TIMEOUT', position: { epoch, revision }, acknowledged: 0 },
    });
    expect(await site.get('/data/c')).toBe('stands');
  });

  test('a write waits for as many secondaries as it asks for', async () => {
    const answered = site.put('/data/c', 'waits', { Prefer: 'wait=20', 'Evertree-Acknowledge': '1' });
    await expect.poll(() => site.store.get('/c')).toBe('waits');
    site.store.acknowledge('there', site.store.position);
    expect(await answered).toMatchObject({ status: 200, json: { acknowledged: 1 }, headers: { 'preference-applied': 'wait=20' } });
  });
});

describe('a site that is configured to wait for secondaries', () => {
  test('does so for every write, and answers 504 or 200 when they are too few', async () => {
    const acknowledgement = { secondaries: 1, timeoutMs: 10, onTimeout: 'fail' } as const;
    await using failing = await HttpSite.start({ acknowledgement });
    expect(await failing.put('/data/x', 1)).toMatchObject({ status: 504, json: { code: 'ACKNOWLEDGEMENT_TIMEOUT' } });
    expect((await failing.put('/data/x', 2, { 'Evertree-Acknowledge': '0' })).status, 'unless it says so itself').toBe(200);
    failing.store.on('stable', () => failing.store.acknowledge('there', failing.store.stable.position));
    expect(await failing.put('/data/x', 3)).toMatchObject({ status: 200, json: { acknowledged: 1 } });
    await using lenient = await HttpSite.start({ acknowledgement: { ...acknowledgement, onTimeout: 'continue' } });
    expect(await lenient.put('/data/x', 1)).toMatchObject({ status: 200, json: { acknowledged: 0 } });
  });
});

describe('methods and types', () => {
  test.each([
    ['POST', '/data/a', 405, 'METHOD_NOT_ALLOWED'],
    ['GET', '/batch', 405, 'METHOD_NOT_ALLOWED'],
    ['PUT', '/status', 405, 'METHOD_NOT_ALLOWED'],
    ['GET', '/admin/snapshot', 405, 'METHOD_NOT_ALLOWED'],
    ['GET', '//', 404, 'NOT_FOUND'],
    ['GET', '/backups', 404, 'NOT_FOUND'],
    ['GET', '/datax', 404, 'NOT_FOUND'],
    ['GET', '/status/', 404, 'NOT_FOUND'],
    ['POST', '/admin/demote', 404, 'NOT_FOUND'],
    ['POST', '/admin/promote', 409, 'WRONG_ROLE'],
    ['GET', '/admin/switchover', 405, 'METHOD_NOT_ALLOWED'],
    ['GET', '/status?at=1-1', 400, 'REQUEST_INVALID'],
  ])('%s %s is %i', async (method, target, status, code) => {
    const answer = await site.send(method, target);
    expect(answer).toMatchObject({ status, json: { code, status, detail: expect.any(String), title: expect.any(String) } });
    if (status === 405) expect(answer.headers.allow).toContain('OPTIONS');
  });

  test('OPTIONS says what is allowed', async () => {
    const answer = await site.send('OPTIONS', '/data/any');
    expect(answer).toMatchObject({ status: 204, headers: { allow: 'GET, HEAD, PUT, DELETE, PATCH, OPTIONS' } });
    expect(answer.headers['accept-patch']).toBe('application/merge-patch+json, application/json-patch+json');
    expect((await site.send('OPTIONS', '*')).status).toBe(204);
  });

  test('HEAD answers as GET, without the value', async () => {
    await site.put('/data/h', { a: 1 });
    const { headers } = await site.send('GET', '/data/h');
    expect(await site.send('HEAD', '/data/h')).toMatchObject({ status: 200, text: '', headers: { etag: headers.etag } });
    expect((await site.send('HEAD', '/data/absent')).status).toBe(404);
  });

  test.each([
    ['PUT', '/data/t', 'text/html', 415],
    ['PUT', '/data/t', 'application/json; charset=latin1', 415],
    ['PUT', '/data/t', 'application/json; charset=UTF-8', 200],
    ['PUT', '/data/t', 'application/vnd.thing+json', 200],
    ['PUT', '/data/t', 'application/x-www-form-urlencoded', 200],
    ['PATCH', '/data/t', 'application/json', 415],
    ['POST', '/batch', 'text/html', 415],
  ])('%s %s with %s is %i', async (method, target, type, status) => {
    expect((await site.send(method, target, { headers: { 'Content-Type': type }, body: '1' })).status).toBe(status);
  });

  test('an encoded body is refused', async () => {
    expect((await site.put('/data/t', 1, { 'Content-Encoding': 'gzip' })).status).toBe(415);
  });

  test.each([
    ['text/html', 406],
    ['application/json;q=0, */*', 406],
    ['text/html, application/*;q=0.1', 200],
    ['*/*', 200],
  ])('GET with Accept: %s is %i', async (accept, status) => {
    await site.put('/data/t', 1);
    expect((await site.send('GET', '/data/t', { headers: { Accept: accept } })).status).toBe(status);
  });

  test('a target in absolute form is read like any other', async () => {
    await site.put('/data/t', 1);
    expect(await site.get(`http://127.0.0.1:${site.url.port}/data/t`)).toBe(1);
  });
});
