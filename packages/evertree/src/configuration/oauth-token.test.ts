import { once } from 'node:events';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { tokenSource } from './oauth-token.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function endpoint(answer: (request: IncomingMessage, response: ServerResponse, body: string) => void): Promise<string> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => answer(request, response, body));
  }).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
}

const client = { clientId: 'site:a', clientSecret: 'hunter 2', scope: 'kafka' };

describe('a token by the client_credentials grant', () => {
  test('is asked for with id, secret and scope, and kept while it is fresh', async () => {
    const asked: string[] = [];
    const url = await endpoint((request, response, body) => {
      asked.push(`${request.method} ${request.headers.authorization} ${body}`);
      response.end(JSON.stringify({ access_token: `token ${asked.length}`, expires_in: 100 }));
    });
    let now = 0;
    const token = tokenSource({ endpoint: url, ...client }, () => now);
    expect(await Promise.all([token(), token()])).toEqual(['token 1', 'token 1']);
    now = 79_999;
    expect(await token()).toBe('token 1');
    now = 80_000;
    expect(await token()).toBe('token 2');
    const basic = Buffer.from('site%3Aa:hunter%202').toString('base64');
    expect(asked).toEqual(Array(2).fill(`POST Basic ${basic} grant_type=client_credentials&scope=kafka`));
  });

  test.each<[string, number, string, string, RegExp]>([
    ['a refusal', 401, '{}', 'UNAUTHENTICATED', /refuses the client "site:a" \(401\); mend client id, secret and scope/],
    ['a server in trouble', 503, '', 'UNREACHABLE', /answers 503/],
    ['no token', 200, '{}', 'UNREACHABLE', /without an access token/],
    ['no JSON', 200, '<html>', 'UNREACHABLE', /without an access token/],
    ['too much', 200, ' '.repeat(65 * 1024), 'UNREACHABLE', /more than 65536 bytes/],
  ])('%s', async (_name, status, body, code, message) => {
    const url = await endpoint((_request, response) => response.writeHead(status).end(body));
    const failed = tokenSource({ endpoint: url, ...client })();
    await expect(failed).rejects.toMatchObject({ code, message: expect.stringMatching(message) as unknown });
    await expect(failed).rejects.not.toThrow('hunter');
  });

  test('an endpoint that is not there, and one that redirects', async () => {
    const nobody = tokenSource({ endpoint: 'http://127.0.0.1:1/token', ...client });
    await expect(nobody()).rejects.toMatchObject({ code: 'UNREACHABLE' });
    const url = await endpoint((_request, response) => response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end());
    await expect(tokenSource({ endpoint: url, ...client })()).rejects.toMatchObject({ code: 'UNREACHABLE' });
  });
});
