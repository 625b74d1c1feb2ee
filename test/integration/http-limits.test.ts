import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect, Server, type Socket } from 'node:net';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { systemClock } from '../support/host.ts';
import { HttpSite, until, type Answer } from '../support/http-site.ts';

let site: HttpSite;
afterEach(async () => {
  await site[Symbol.asyncDispose]();
});

async function dial(): Promise<Socket> {
  const socket = connect({ port: Number(site.url.port), host: site.url.hostname });
  await once(socket, 'connect');
  return socket;
}

/** Everything that comes until the far end closes. */
async function readAll(socket: Socket): Promise<string> {
  let text = '';
  socket.on('error', () => undefined);
  socket
    .setEncoding('utf8')
    .on('data', (chunk: string) => (text += chunk))
    .resume();
  if (!socket.closed) await once(socket, 'close');
  return text;
}

/** The request that a server of this process takes next. */
function nextRequest(): Promise<IncomingMessage> {
  const channel = 'http.server.request.start';
  return new Promise(resolve => {
    const onRequest = (message: unknown): void => {
      unsubscribe(channel, onRequest);
      resolve((message as { readonly request: IncomingMessage }).request);
    };
    subscribe(channel, onRequest);
  });
}

/** JSON of so many bytes. */
function body(length: number): string {
  return JSON.stringify('x'.repeat(length - 2));
}

/** Sends a request, and commits while its body is prepared. */
async function overtaken(method: string, target: string, text: string, headers: Record<string, string>): Promise<number> {
  // Every look at the clock costs a millisecond, so that the preparation takes many turns.
  let nowMs = 0;
  site = await HttpSite.start({ clock: { ...systemClock, monotonic: () => nowMs++ } });
  site.store.put('/large', { old: 1 });
  const { headers: found } = await site.send('GET', '/data/large');
  const parse = vi.spyOn(JSON, 'parse');
  onTestFinished(() => parse.mockRestore());
  const conditions = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value || String(found.etag)]));
  const sent = site.send(method, target, { body: text, headers: conditions });
  await until(() => parse.mock.calls.length > 0);
  site.store.put('/large/old', 2);
  return (await sent).status;
}

describe('bodies', () => {
  test('that are large are parsed in pieces, and others are answered meanwhile', async () => {
    // A clock that steps by a millisecond whenever somebody looks: how many turns the work takes depends on no machine.
    let nowMs = 0;
    site = await HttpSite.start({ clock: { ...systemClock, monotonic: () => nowMs++ } });
    const large = JSON.stringify(
      Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`key ${index}`, { n: index, text: 'a value' }])),
    );
    const order: string[] = [];
    const parse = vi.spyOn(JSON, 'parse');
    onTestFinished(() => parse.mockRestore());
    const put = site.send('PUT', '/data/large', { body: large }).then(answer => {
      order.push('large');
      return answer.status;
    });
    await until(() => parse.mock.calls.length > 0);
    const pieces = parse.mock.calls.length;
    await site.send('GET', '/healthz');
    order.push('small');
    expect([await put, order]).toEqual([200, ['small', 'large']]);
    expect(pieces, 'when the small one was sent').toBeLessThan(large.length / (64 * 1024));
    expect(site.store.get('/large/key 99999')).toEqual({ n: 99_999, text: 'a value' });
  });

  describe('that are prepared in steps', () => {
    const fresh = JSON.stringify(Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`key ${n}`, { n, text: 'a value' }])));
    const patchType = { 'Content-Type': 'application/json-patch+json' };

    test.each([
      ['PUT', '/data/large', fresh, { 'If-Match': '' }, 412],
      ['PUT', '/data/large', fresh, {}, 200],
      ['PATCH', '/data', `[{"op":"add","path":"/large","value":${fresh}}]`, patchType, 200],
      ['PATCH', '/data/large', `[{"op":"add","path":"","value":${fresh}}]`, { ...patchType, 'If-Match': '' }, 412],
    ])('meet the preconditions of the moment: %s %s', async (method, target, text, headers, status) => {
      expect(await overtaken(method, target, text, headers as Record<string, string>)).toBe(status);
      expect(site.store.get('/large')).toEqual(status === 200 ? JSON.parse(fresh) : { old: 2 });
    });

    test('are refused in the order and the words of small ones', async () => {
      site = await HttpSite.start();
      site.store.put('/large', {});
      for (const pad of ['', 'x'.repeat(300_000)]) {
        const wrong = `{"pad":"${pad}","list":[{"a/b":"\\ud800"}]}`;
        const answer = await site.send('PUT', '/data/large', { body: wrong });
        expect(answer).toMatchObject({ status: 400, json: { code: 'VALUE_INVALID', path: '/large/list/0/a~1b' } });
        expect(await site.send('PUT', '/data/large', { body: wrong, headers: { 'If-None-Match': '*' } })).toMatchObject({ status: 412 });
      }
      expect(site.store.get('/large')).toEqual({});
    });
  });

  test('up to the limit are taken, one byte more is not', async () => {
    site = await HttpSite.start({ limits: { bodyBytes: 1_000 } });
    expect((await site.send('PUT', '/data/x', { body: body(1_000) })).status).toBe(200);
    const headers = { 'Transfer-Encoding': 'chunked' };
    expect((await site.send('PUT', '/data/x', { body: body(1_000), headers })).status).toBe(200);
    expect(await site.send('PUT', '/data/y', { body: body(1_001) })).toMatchObject({
      status: 413,
      json: { code: 'TOO_LARGE', limitBytes: 1_000 },
    });
    expect(await site.send('PUT', '/data/y', { body: body(1_001), headers })).toMatchObject({ status: 413, json: { code: 'TOO_LARGE' } });
    expect(site.store.has('/y')).toBe(false);
  });

  test('of 100 MiB are refused with an answer, and the process lives', async () => {
    site = await HttpSite.start();
    const huge = Buffer.alloc(100 * 1024 * 1024, 'x');
    const chunked = { 'Transfer-Encoding': 'chunked' };
    expect(await site.send('PUT', '/data/x', { body: huge.subarray(0, 80 * 1024 * 1024), headers: chunked })).toMatchObject({
      status: 413,
    });
    // After a bounded number of discarded bytes the connection may be cut instead.
    const outcome = await site.send('PUT', '/data/x', { body: huge }).then(
      answer => answer.status,
      (error: NodeJS.ErrnoException) => error.code,
    );
    expect([413, 'ECONNRESET', 'EPIPE']).toContain(outcome);
    expect(await site.get('/data')).toEqual({});
  });

  test('get 100 Continue only if they will be accepted', async () => {
    site = await HttpSite.start({ limits: { bodyBytes: 1_000 } });
    const welcome = await dial();
    welcome.write('PUT /data/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n');
    const [first] = (await once(welcome, 'data')) as [Buffer];
    expect(first.toString()).toMatch(/^HTTP\/1.1 100 /);
    welcome.write('7');
    expect(await readAll(welcome)).toMatch(/^HTTP\/1.1 200 /);
    const refused = await dial();
    refused.end('PUT /data/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n');
    expect(await readAll(refused)).toMatch(/^HTTP\/1.1 413 /);
    expect(site.store.get('/x')).toBe(7);
  });

  test('are refused where the client expects what no site knows, and change nothing', async () => {
    site = await HttpSite.start();
    const refused = await site.send('PUT', '/data/x', { body: '1', headers: { expect: '200-ok' } });
    expect(refused).toMatchObject({ status: 417, headers: { 'content-type': 'application/problem+json' } });
    expect(refused.json).toMatchObject({ status: 417, code: 'REQUEST_INVALID', detail: expect.stringContaining('100-continue') });
    expect(site.store.has('/x')).toBe(false);
  });

  test('that together exceed the limit are answered 503', async () => {
    site = await HttpSite.start({ limits: { bodiesBytes: 100_000 } });
    const slow = await dial();
    slow.write(`PUT /data/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90001\r\n\r\n${' '.repeat(90_000)}`);
    await until(async () => (await site.send('PUT', '/data/x', { body: ' '.repeat(20_000) + '1' })).status === 503);
    slow.end('1');
    await until(() => site.store.has('/slow'));
    expect((await site.send('PUT', '/data/x', { body: ' '.repeat(20_000) + '1' })).status).toBe(200);
    slow.destroy();
  });

  test('that together exceed the limit are answered 503 until a large patch is prepared and committed', async () => {
    site = await HttpSite.start({ limits: { bodiesBytes: 500_000 } });
    const { store } = site;
    const prepare = store.prepare.bind(store);
    const hold = { isOver: false };
    const spy = vi.spyOn(store, 'prepare').mockImplementation(function* (path, steps) {
      while (!hold.isOver) yield;
      return yield* prepare(path, steps);
    });
    const put = (): Promise<Answer> => site.send('PUT', '/data/x', { body: ' '.repeat(200_000) + '1' });
    const patch = site.send('PATCH', '/data', {
      body: ' '.repeat(400_000) + '{"patched":1}',
      headers: { 'Content-Type': 'application/merge-patch+json' },
    });
    await until(() => spy.mock.calls.length > 0);
    expect(await put()).toMatchObject({ status: 503, json: { code: 'OVERLOADED' } });
    hold.isOver = true;
    expect((await patch).status).toBe(200);
    expect((await put()).status).toBe(200);
    expect(store.get('')).toEqual({ patched: 1, x: 1 });
  });
});

describe('long lines of batches', () => {
  test('count among the bodies until they are committed, also while they arrive', async () => {
    site = await HttpSite.start({ limits: { bodiesBytes: 500_000 } });
    const put = (): Promise<Answer> => site.send('PUT', '/data/x', { body: ' '.repeat(200_000) + '1' });
    const line = `["put","/slow","${'x'.repeat(400_000)}"]\n`;
    const head = `POST /batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${line.length}\r\n\r\n`;
    const begun = nextRequest();
    const slow = await dial();
    slow.write(head + line.slice(0, -10));
    const request = await begun;
    await until(() => request.socket.bytesRead === head.length + line.length - 10 && request.readableLength === 0);
    expect(await put()).toMatchObject({ status: 503, json: { code: 'OVERLOADED' } });
    const second = await site.send('POST', '/batch', { body: `["put","/stands",1]\n${line}` });
    expect(second).toMatchObject({ status: 503, json: { code: 'OVERLOADED', committed: 1, error: { line: 2 } } });
    expect(second.headers['retry-after']).toBe('1');
    slow.write(line.slice(-10));
    await until(() => site.store.has('/slow'));
    await once(slow, 'data');
    expect((await put()).status).toBe(200);
    expect(site.store.get('/stands')).toBe(1);
    slow.destroy();
  });
});

describe('heads', () => {
  test('beyond 256 KiB are refused with 431', async () => {
    site = await HttpSite.start();
    expect(await site.send('GET', `/data/${'x'.repeat(300_000)}`)).toMatchObject({ status: 431, json: { code: 'HEAD_TOO_LARGE' } });
    expect((await site.send('GET', '/data')).status).toBe(200);
  });

  test.each([
    'GARBAGE\r\n\r\n',
    'GET /data HTTP/1.1\r\n\r\n',
    'GET /da ta HTTP/1.1\r\nHost: localhost\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc',
  ])('that are no HTTP (%j) are refused', async bytes => {
    site = await HttpSite.start();
    const socket = await dial();
    socket.end(Buffer.from(bytes, 'latin1'));
    expect(await readAll(socket)).toMatch(/^HTTP\/1.1 400 /);
    expect((await site.send('GET', '/data')).status).toBe(200);
  });
});

describe('slow clients', () => {
  test('that do not finish a head are answered 408 and cut', async () => {
    site = await HttpSite.start({ limits: { headMs: 100 } });
    const socket = await dial();
    socket.write('GET /data HTTP/1.1\r\nHost: local');
    expect(await readAll(socket)).toMatch(/^HTTP\/1.1 408 [\s\S]*"code":"REQUEST_TIMEOUT"/);
  });

  test('that do not finish a body are cut, and nothing is written', async () => {
    site = await HttpSite.start({ limits: { headMs: 100, requestMs: 200 } });
    const socket = await dial();
    socket.write('PUT /data/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"');
    await readAll(socket);
    expect(site.store.has('/x')).toBe(false);
  });

  test('that do not read a large answer are cut, and can see that it is incomplete', async () => {
    site = await HttpSite.start({ limits: { stallMs: 100 } });
    site.store.put('/wide', Object.fromEntries(Array.from({ length: 200_000 }, (_, index) => [`key ${index}`, `${index}`.padEnd(100)])));
    const socket = await dial();
    socket.pause();
    socket.write('GET /data HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const ended = /^evertree_http_request_duration_seconds_count\{method="GET",route="\/data",status="200"\} 1$/m;
    await until(async () => ended.test((await site.send('GET', '/metrics')).text));
    const text = await readAll(socket);
    expect(text.startsWith('HTTP/1.1 200 ')).toBe(true);
    expect(text.endsWith('0\r\n\r\n'), 'the last chunk').toBe(false);
  });

  test('beyond the limit of connections are dropped, and that is reported', async () => {
    site = await HttpSite.start({ limits: { connections: 3 } });
    const sockets = [await dial(), await dial(), await dial()];
    const dropped = await dial();
    await readAll(dropped);
    expect(site.reports.map(({ event }) => event)).toContain('http-connection-dropped');
    for (const socket of sockets) socket.destroy();
    await until(() =>
      site.send('GET', '/data').then(
        ({ status }) => status === 200,
        () => false,
      ),
    );
  });
});

describe('the close', () => {
  test('lets requests in progress finish, and ends', async () => {
    site = await HttpSite.start();
    const socket = await dial();
    socket.write('PUT /data/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n');
    await until(async () => /^evertree_/m.test((await site.send('GET', '/metrics')).text));
    const closed = site.server.close();
    socket.write('1');
    expect(await readAll(socket)).toMatch(/^HTTP\/1.1 200 /);
    await closed;
    expect(site.store.get('/x')).toBe(1);
  });

  test('does not wait for ever', async () => {
    site = await HttpSite.start({ limits: { closeMs: 100 } });
    const socket = await dial();
    socket.write('PUT /data/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n');
    await until(async () => (await site.send('GET', '/healthz')).status === 200);
    await site.server.close();
    await readAll(socket);
    expect(site.store.has('/x')).toBe(false);
  });

  test('frees the port', async () => {
    site = await HttpSite.start();
    const { port } = site.url;
    await expect(HttpSite.start({ port: Number(port) })).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringContaining(port),
    });
    await site.server.close();
    await using next = await HttpSite.start({ port: Number(port) });
    expect((await next.send('GET', '/data')).status).toBe(200);
  });
});

describe('large answers', () => {
  test('are of one state, sorted, and let others have their turn', async () => {
    site = await HttpSite.start();
    const keys = Array.from({ length: 100_000 }, (_, index) => `key ${(index * 7_919) % 100_003}`);
    site.store.put('/wide', Object.fromEntries(keys.map(key => [key, 1])));
    const { revision } = site.store.position;
    const answer = site.send('GET', '/data/wide');
    let turns = 0;
    const over = new AbortController();
    void answer.finally(() => over.abort());
    for (; !over.signal.aborted; turns++) {
      site.store.put(['wide', keys[turns % keys.length]!], 2);
      await new Promise(resolve => setImmediate(resolve));
    }
    const { text, headers } = await answer;
    const writes = Number(String(headers['evertree-position']).split('-')[1]) - revision;
    const expected = new Map(keys.map((key, index) => [key, index < writes ? 2 : 1]));
    const members = keys.toSorted().map(key => `${JSON.stringify(key)}:${expected.get(key)}`);
    // Not toBe: its message would be the whole text.
    expect(text === `{${members.join(',')}}`).toBe(true);
    expect(turns).toBeGreaterThan(10);
  });
});

/** A request, as it goes over a connection. */
function putOf(value: string): string {
  const head = `PUT /data/a HTTP/1.1\r\nHost: ${site.url.host}\r\nContent-Type: application/json\r\n`;
  return `${head}Content-Length: ${Buffer.byteLength(value)}\r\n\r\n${value}`;
}

describe('requests that are sent without waiting for answers', () => {
  test('are carried out in their order: a large write is not overtaken by the next one', async () => {
    site = await HttpSite.start();
    const socket = await dial();
    const large = JSON.stringify(Array.from({ length: 100_000 }, (_, index) => `item ${index}`));
    socket.write(putOf(large) + putOf('"small"') + `GET /data/a HTTP/1.1\r\nHost: ${site.url.host}\r\nConnection: close\r\n\r\n`);
    const text = await readAll(socket);
    expect(text.match(/HTTP\/1.1 200/g)).toHaveLength(3);
    expect(text.endsWith('"small"\r\n0\r\n\r\n') || text.endsWith('"small"')).toBe(true);
    expect(site.store.get('/a')).toBe('small');
  });

  test('that wait leave nothing behind when their connection ends', async () => {
    site = await HttpSite.start();
    const socket = await dial();
    socket.write(`GET /watch/a HTTP/1.1\r\nHost: ${site.url.host}\r\n\r\n${putOf('1')}`);
    await once(socket, 'data');
    expect(site.store.get('/a')).toBeUndefined();
    socket.destroy();
    await site.server.close();
    expect(site.reports).toEqual([]);
  });
});

test('a connection that can’t be accepted is reported, and others are taken', async () => {
  const listens = vi.spyOn(Server.prototype, 'listen');
  onTestFinished(() => listens.mockRestore());
  site = await HttpSite.start();
  const server = listens.mock.contexts.at(-1) as Server;
  for (let times = 0; times < 2; times++) server.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }));
  expect(site.reports).toMatchObject(
    Array.from({ length: 2 }, () => ({ event: 'http-connection-dropped', message: expect.stringContaining('accept EMFILE') as string })),
  );
  expect(await site.get('/status')).toMatchObject({ state: 'open' });
});
