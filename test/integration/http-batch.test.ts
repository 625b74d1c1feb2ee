import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HttpSite, until, type Answer } from '../support/http-site.ts';

let site: HttpSite;
beforeAll(async () => {
  site = await HttpSite.start({ limits: { batchLineBytes: 64 * 1024, batchBytes: 1024 * 1024 } });
  // The first commit of all begins an epoch, which takes a revision of its own.
  await site.put('/data/first', 1);
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
});

function post(lines: readonly string[], headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return site.send('POST', '/batch', { body: lines.join('\n'), headers: { 'Content-Type': 'application/x-ndjson', ...headers } });
}

async function empty(): Promise<number> {
  await site.send('DELETE', '/data');
  return site.store.position.revision;
}

describe('a batch', () => {
  test('commits each line, in order', async () => {
    const before = await empty();
    const answer = await post(['["put","/a/b",{"c":1}]', '["merge","/a/b",{"c":null,"d":2}]', '["put","/a/e",[1]]', '["delete","/a/e"]']);
    const { epoch, revision } = site.store.position;
    expect(answer).toMatchObject({ status: 200, json: { committed: 4, position: { epoch, revision }, acknowledged: 0 } });
    expect(answer.headers['evertree-position']).toBe(`${epoch}-${revision}`);
    expect(revision).toBe(before + 4);
    expect(await site.get('/data')).toEqual({ a: { b: { d: 2 } } });
  });

  test('commits an array of operations as one transaction', async () => {
    const before = await empty();
    await post(['[["put","/a",1],["put","/b",2],["delete","/a"]]']);
    expect(site.store.position.revision).toBe(before + 1);
    expect(await site.get('/data')).toEqual({ b: 2 });
  });

  test('takes blank lines, CRLF, and a last line with or without an end', async () => {
    await empty();
    expect(await post(['', '["put","/a",1]\r', '   ', '["put","/b",2]'])).toMatchObject({ json: { committed: 2 } });
    expect(await post(['["put","/c",3]', ''])).toMatchObject({ json: { committed: 1 } });
    expect(await post([''])).toMatchObject({ status: 200, json: { committed: 0 } });
    expect(await site.get('/data')).toEqual({ a: 1, b: 2, c: 3 });
  });

  test('takes paths as pointers or as arrays of segments', async () => {
    await empty();
    await post(['["put",["a/b","","__proto__"],1]', '["put","/x~1y",2]']);
    expect((await site.send('GET', '/data')).text).toBe('{"a/b":{"":{"__proto__":1}},"x/y":2}');
  });

  test.each([
    ['not JSON', '["put","/x",', 'VALUE_INVALID'],
    ['no array', '{"op":"put"}', 'VALUE_INVALID'],
    ['an unknown operation', '["set","/x",1]', 'VALUE_INVALID'],
    ['a put without a value', '["put","/x"]', 'VALUE_INVALID'],
    ['a delete with a value', '["delete","/x",1]', 'VALUE_INVALID'],
    ['too much', '["put","/x",1,2]', 'VALUE_INVALID'],
    ['an array of anything else', '[["put","/x",1],2]', 'VALUE_INVALID'],
    ['two operations in a row', '["put","/x",1],["put","/y",1]', 'VALUE_INVALID'],
    ['a number that would be rounded', '["put","/x",9007199254740993]', 'VALUE_INVALID'],
    ['a lone surrogate', '["put","/x","\\ud800"]', 'VALUE_INVALID'],
    ['a path without a slash', '["put","x",1]', 'PATH_INVALID'],
    ['a path that is no path', '["put",7,1]', 'PATH_INVALID'],
    ['a path through a leaf', '["put","/ok/x",1]', 'PATH_INVALID'],
    ['a transaction that fails in its middle', '[["put","/x",1],["put","/ok/y",1]]', 'PATH_INVALID'],
  ])('stops at a line that is %s; those before it stand', async (_, bad, code) => {
    const before = await empty();
    const answer = await post(['["put","/ok",1]', '', bad, '["put","/after",1]']);
    const { epoch, revision } = site.store.position;
    expect(revision).toBe(before + 1);
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(answer).toMatchObject({
      status: 400,
      json: { code, committed: 1, position: { epoch, revision }, error: { line: 3, code, detail: expect.any(String) } },
    });
    expect(await site.get('/data')).toEqual({ ok: 1 });
  });

  test('stops at a line that is not UTF-8, and says which', async () => {
    await empty();
    const body = Buffer.concat([Buffer.from('["put","/ok",1]\n["put","/'), Buffer.of(0xff), Buffer.from('",1]\n["put","/after",1]\n')]);
    expect(await site.send('POST', '/batch', { body })).toMatchObject({
      status: 400,
      json: { committed: 1, error: { line: 2, code: 'VALUE_INVALID' } },
    });
    expect(await site.get('/data')).toEqual({ ok: 1 });
  });

  test('may require a position, which its first line has to find', async () => {
    await empty();
    const { epoch, revision } = site.store.position;
    const headers = { 'Evertree-If-Position': `${epoch}-${revision}` };
    expect((await post(['["put","/a",1]', '["put","/b",1]'], headers)).status).toBe(200);
    expect(await post(['["put","/c",1]'], headers)).toMatchObject({
      status: 412,
      json: { committed: 0, error: { line: 1, code: 'POSITION_MISMATCH' } },
    });
    expect(await site.get('/data')).toEqual({ a: 1, b: 1 });
  });

  test("can't require an ETag", async () => {
    expect(await post(['["put","/a",1]'], { 'If-Match': '*' })).toMatchObject({ status: 400, json: { code: 'REQUEST_INVALID' } });
  });

  test('that is larger than a body may be is committed as it arrives', async () => {
    await empty();
    const lines = Array.from({ length: 20_000 }, (_, index) => JSON.stringify(['put', `/wide/🌲${index}`, index]));
    expect(await post(lines)).toMatchObject({ status: 200, json: { committed: 20_000 } });
    expect(Object.keys((await site.get('/data/wide')) as object)).toHaveLength(20_000);
  });

  test('ends where a line is too long', async () => {
    await empty();
    const answer = await post(['["put","/ok",1]', JSON.stringify(['put', '/long', 'x'.repeat(200_000)])]);
    expect(answer).toMatchObject({ status: 413, json: { code: 'TOO_LARGE', committed: 1, error: { line: 2, code: 'TOO_LARGE' } } });
    expect(await site.get('/data')).toEqual({ ok: 1 });
  });

  test('with a length beyond the limit is refused before it is sent', async () => {
    expect(await site.send('POST', '/batch', { body: 'x'.repeat(1024 * 1024 + 1) })).toMatchObject({
      status: 413,
      json: { code: 'TOO_LARGE' },
    });
  });

  test('without a length ends at the limit, and the answer says what was committed', async () => {
    await empty();
    const line = `${JSON.stringify(['put', '/x', 'y'.repeat(1_000)])}\n`;
    const answer = await site.send('POST', '/batch', {
      body: line.repeat(2_000),
      headers: { 'Transfer-Encoding': 'chunked' },
    });
    expect(answer).toMatchObject({ status: 413, json: { code: 'TOO_LARGE' } });
    expect((answer.json as { committed: number }).committed).toBeGreaterThan(900);
  });

  test('whose client goes away keeps its whole lines', async () => {
    await empty();
    const socket = connect(Number(site.url.port), site.url.hostname);
    await once(socket, 'connect');
    socket.write('POST /batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n["put","/whole",1]\n["put","/torn",1');
    await until(() => site.store.has('/whole'));
    socket.destroy();
    expect(await site.get('/data')).toEqual({ whole: 1 });
  });
});
