import { once } from 'node:events';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { generate } from 'selfsigned';
import { afterEach, describe, expect, test } from 'vitest';
import { SiteClient } from '../../packages/evertree/src/client/site-client.ts';

/** The client of the commands, against a server that behaves as a site in trouble does. */

/** Where a server never answers. */
const TIMEOUT_MS = 200;
/** Where a server answers in time and is silent later: it may be slow. */
const PATIENT_MS = 1_500;
const LONG_BODY_CHARACTERS = 2 * 1024 * 1024;

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function serve(handler: Handler): Promise<string> {
  const server = createServer(handler).on('checkContinue', handler).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function clientOf(handler: Handler, timeoutMs?: number): Promise<SiteClient> {
  return new SiteClient(new URL(await serve(handler)), timeoutMs === undefined ? {} : { timeoutMs });
}

async function follower(handler: Handler): Promise<SiteClient> {
  return new SiteClient(new URL(await serve(handler)), { follow: true, token: 'correct-horse-battery' });
}

/** Refuses as a site does that is not the primary. */
function notPrimary(response: ServerResponse, address: string, status = 409, detail = 'b is a secondary; write there'): void {
  const body = { code: 'NOT_PRIMARY', detail, primary: { site: 'a', address } };
  response.writeHead(status, status === 307 ? { Location: `${address}/data/x?y` } : {}).end(JSON.stringify(body));
}

/** Takes longer than the timeout for everything but `/healthz`, which is asked once the timeout is over. */
function slowly(): Handler {
  const { promise: isOver, resolve } = Promise.withResolvers<void>();
  return (request, response) => {
    if (request.url === '/healthz') response.end('{"status":"ok"}', resolve);
    else void isOver.then(() => response.end('{"position":{"epoch":1,"revision":2},"acknowledged":0}'));
  };
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise<void>(resolve => void setImmediate(resolve));
}

describe('a site that is silent', () => {
  test('in the middle of an answer is reported as silent', async () => {
    const client = await clientOf((_request, response) => response.write('half'), PATIENT_MS);
    const answer = await client.request('/data');
    await expect(answer.text()).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringContaining('has been silent for 1.5 s') as unknown,
    });
  });

  test('is distinguished from one that cuts its answer', async () => {
    const client = await clientOf((_request, response) => response.write('half', () => response.destroy()));
    const answer = await client.request('/data');
    await expect(answer.text()).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringContaining('ended its answer before the end') as unknown,
    });
  });

  test('is distinguished from a slow reader', async () => {
    const client = await clientOf((_request, response) => response.end('x'.repeat(LONG_BODY_CHARACTERS)), PATIENT_MS);
    const answer = await client.request('/data');
    let length = 0;
    for await (const chunk of answer.body()) {
      if (length === 0) await pause(2 * PATIENT_MS);
      length += chunk.length;
    }
    expect(length).toBe(LONG_BODY_CHARACTERS);
  });
});

describe('an answer that takes longer than the timeout', () => {
  test('is awaited for a write, as long as the site says that it is alive', async () => {
    const client = await clientOf(slowly(), PATIENT_MS);
    expect(await client.write('/data', { method: 'PUT', body: '{}' })).toEqual({ position: { epoch: 1, revision: 2 }, acknowledged: 0 });
  });

  test('is not awaited for a read', async () => {
    const client = await clientOf(slowly(), TIMEOUT_MS);
    await expect(client.request('/data')).rejects.toMatchObject({ message: expect.stringContaining('was reached, but') as unknown });
  });

  test('is not awaited for a write when the site does not say that it is alive', async () => {
    const client = await clientOf(() => undefined, TIMEOUT_MS);
    await expect(client.write('/data', { method: 'PUT', body: '{}' })).rejects.toMatchObject({
      message: expect.stringContaining('whether the change was committed is not known') as unknown,
    });
  });
});

describe('a long body', () => {
  test('is sent when the site asks for it', async () => {
    const client = await clientOf((request, response) => {
      if (request.headers.expect !== undefined) response.writeContinue();
      let length = 0;
      request.on('data', (chunk: Buffer) => (length += chunk.length)).on('end', () => response.end(JSON.stringify({ length })));
    });
    const body = 'x'.repeat(LONG_BODY_CHARACTERS);
    expect(await client.json('/data', { method: 'PUT', body })).toEqual({ length: LONG_BODY_CHARACTERS });
  });

  test('is not sent when the site refuses it by its head', async () => {
    let received = 0;
    const client = await clientOf((request, response) => {
      request.on('data', (chunk: Buffer) => (received += chunk.length));
      response.writeHead(413).end(JSON.stringify({ code: 'TOO_LARGE', detail: 'too large', limitBytes: 7 }));
    });
    const body = 'x'.repeat(LONG_BODY_CHARACTERS);
    await expect(client.write('/data', { method: 'PUT', body })).rejects.toMatchObject({ code: 'TOO_LARGE', details: { limitBytes: 7 } });
    expect(received).toBe(0);
  });
});

describe('a client that follows', () => {
  test.each([409, 307])('sends the request again to the primary that a refusal names (%i), and stays there', async status => {
    const heard: string[] = [];
    const primary = await serve((request, response) => {
      heard.push(`${request.method} ${request.url} ${request.headers.authorization}`);
      request.on('data', (chunk: Buffer) => heard.push(chunk.toString())).on('end', () => response.end('{"acknowledged":0}'));
    });
    let refused = 0;
    const client = await follower((_request, response) => {
      refused++;
      notPrimary(response, primary, status);
    });
    await client.write('/data/x?y', { method: 'PUT', body: '1' });
    await client.write('/data/x?y', { method: 'PUT', body: '2' });
    const put = 'PUT /data/x?y Bearer correct-horse-battery';
    expect({ heard, refused, url: client.url.origin }).toEqual({ heard: [put, '1', put, '2'], refused: 1, url: primary });
  });

  test('gives up when the sites do not agree who is the primary', async () => {
    let asked = 0;
    const client = await follower((request, response) => {
      asked++;
      notPrimary(response, `http://${request.headers.host}`);
    });
    await expect(client.json('/data')).rejects.toMatchObject({
      code: 'NOT_PRIMARY',
      message: expect.stringContaining('5 sites were asked, and each named another one as the primary') as unknown,
    });
    expect(asked).toBe(6);
  });

  test('does not go where its token would travel in the clear', () => {
    const client = new SiteClient(new URL('https://a.example'), { follow: true });
    expect(() => client.goTo(new URL('http://b.example'))).toThrow(/names http:\/\/b\.example as the primary, which is not encrypted/);
  });

  test.each(['file:///etc/passwd', 'b:8181', ''])('ignores %j as an address', async address => {
    const client = await follower((_request, response) => notPrimary(response, address));
    await expect(client.json('/data')).rejects.toMatchObject({ code: 'NOT_PRIMARY' });
  });
});

describe('a client that does not follow', () => {
  const address = 'http://a.example:8181';

  test.each([
    ['b is a secondary; write there', `b is a secondary; write there: its primary is a, at ${address} (--follow goes there)`],
    [`b is a secondary; write there (${address})`, `b is a secondary; write there: its primary is a, at ${address} (--follow goes there)`],
    [`send it to ${address}`, `send it to ${address}; its primary is a (--follow goes there)`],
  ])('is told where the primary is, once, after %j', async (detail, message) => {
    const client = await clientOf((_request, response) => notPrimary(response, address, 307, detail));
    await expect(client.json('/data')).rejects.toMatchObject({ code: 'NOT_PRIMARY', message });
  });
});

test('a write that is ended without an answer may have been committed', async () => {
  const client = await clientOf(request => request.socket.destroy());
  await expect(client.write('/data/a', { method: 'PUT', body: '1' })).rejects.toMatchObject({
    code: 'UNREACHABLE',
    message: expect.stringMatching(
      /it was stopped, or it speaks TLS: .*; if it was, whether the change was committed is not known$/,
    ) as unknown,
  });
});

test('a client that asks without TLS where TLS is spoken is told so, and the other way round', async () => {
  const url = new URL(await serve((_request, response) => response.end('{}')));
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }]);
  const secure = createSecureServer({ cert, key }).listen(0, '127.0.0.1');
  await once(secure, 'listening');
  const { port } = secure.address() as AddressInfo;
  try {
    await expect(new SiteClient(new URL(`https://${url.host}`)).json('/data')).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: `https://${url.host} speaks no TLS; if the site is without, write http://${url.host}`,
    });
    await expect(new SiteClient(new URL(`http://127.0.0.1:${port}`)).json('/data')).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: `http://127.0.0.1:${port} took the connection and ended it without an answer: it was stopped, or it speaks TLS: then write https://127.0.0.1:${port}`,
    });
  } finally {
    secure.close();
  }
});

describe('a client that has seen an epoch', () => {
  test('takes no answer of a lower one, and says what it has seen with each request', async () => {
    const answers = ['2-7', '2-9', '1-12', '2-9', '3-10'];
    const seen: unknown[] = [];
    const client = await clientOf((request, response) => {
      seen.push(request.headers['evertree-seen-epoch']);
      response.writeHead(200, { 'Evertree-Position': answers[seen.length - 1]! }).end('{}');
    });
    await client.json('/data');
    await client.json('/data');
    await expect(client.json('/data')).rejects.toMatchObject({
      code: 'FENCED',
      message: expect.stringMatching(/answered from epoch 1, and .* has answered from epoch 2 before: another site has become the primary/),
    });
    await client.json('/data');
    await client.json('/data');
    expect(seen).toEqual([undefined, '2', '2', '2', '2']);
  });

  test('takes answers about the past of any epoch, and learns none from them', async () => {
    const answers = [{}, { 'Evertree-Time': '2026-11-27T10:00:00.000Z' }, {}];
    const positions = ['2-9', '1-3', '2-9'];
    let count = 0;
    const client = await clientOf((_request, response) => {
      response.writeHead(200, { 'Evertree-Position': positions[count]!, ...answers[count++] }).end(String(count));
    });
    expect([await client.json('/data'), await client.json('/data?at=1-3'), await client.json('/data')]).toEqual([1, 2, 3]);
  });
});

test('an answer that comes while the site is asked whether it lives is read to its end, whatever becomes of that question', async () => {
  let answer: ServerResponse | undefined;
  const client = await clientOf((request, response) => {
    if (request.url !== '/healthz') {
      answer = response;
      return;
    }
    answer!.writeHead(200).write('{"position":');
    setImmediate(() => request.socket.destroy());
    // The client has heard of that by then.
    void turns(100).then(() => answer!.end('7}'));
  }, TIMEOUT_MS);
  expect(await client.json('/data', { method: 'PUT', body: '1', patient: true })).toEqual({ position: 7 });
});
