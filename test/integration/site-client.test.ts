import { once } from 'node:events';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { SiteClient } from '../../packages/evertree/src/client/site-client.ts';

/** The client of the commands, against a server that behaves as a site in trouble does. */

const TIMEOUT_MS = 200;
const LONG_BODY_CHARACTERS = 2 * 1024 * 1024;

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function clientOf(handler: Handler): Promise<SiteClient> {
  server = createServer(handler).on('checkContinue', handler).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return new SiteClient(new URL(`http://127.0.0.1:${port}`), { timeoutMs: TIMEOUT_MS });
}

/** Takes longer than the timeout for everything but `/healthz`. */
const slowly: Handler = (request, response) => {
  if (request.url === '/healthz') response.end('{"status":"ok"}');
  else setTimeout(() => response.end('{"position":{"epoch":1,"revision":2},"acknowledged":0}'), 3 * TIMEOUT_MS);
};

describe('a site that is silent', () => {
  test('in the middle of an answer is reported as silent', async () => {
    const client = await clientOf((_request, response) => response.write('half'));
    const answer = await client.request('/data');
    await expect(answer.text()).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringContaining('has been silent for 0.2 s') as unknown,
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
    const client = await clientOf((_request, response) => response.end('x'.repeat(LONG_BODY_CHARACTERS)));
    const answer = await client.request('/data');
    let length = 0;
    for await (const chunk of answer.body()) {
      if (length === 0) await pause(2 * TIMEOUT_MS);
      length += chunk.length;
    }
    expect(length).toBe(LONG_BODY_CHARACTERS);
  });
});

describe('an answer that takes longer than the timeout', () => {
  test('is awaited for a write, as long as the site says that it is alive', async () => {
    const client = await clientOf(slowly);
    expect(await client.write('/data', { method: 'PUT', body: '{}' })).toEqual({ position: { epoch: 1, revision: 2 }, acknowledged: 0 });
  });

  test('is not awaited for a read', async () => {
    const client = await clientOf(slowly);
    await expect(client.request('/data')).rejects.toMatchObject({ message: expect.stringContaining('was reached, but') as unknown });
  });

  test('is not awaited for a write when the site does not say that it is alive', async () => {
    const client = await clientOf(() => undefined);
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
