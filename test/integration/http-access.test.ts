import { request as httpsRequest } from 'node:https';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import type { IncomingMessage } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { decodeFrame } from '@evertree/core';
import { type HttpOptions, startHttp } from '../../packages/evertree/src/http/server.ts';
import { HttpSite } from '../support/http-site.ts';
import { makeAuthority, makeCertificate } from '../support/certificates.ts';
import { framesOf } from '../support/stores.ts';

let site: HttpSite;
afterEach(async () => {
  await site[Symbol.asyncDispose]();
});

test.each(['/data', '/healthz', '/'])('two Host headers are refused for %s, whatever they name', async target => {
  site = await HttpSite.start();
  for (const second of [`127.0.0.1:${site.url.port}`, 'evil.example']) {
    const socket = connect({ port: Number(site.url.port), host: site.url.hostname });
    socket.end(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${site.url.port}\r\nhOST: ${second}\r\nConnection: close\r\n\r\n`);
    const answer = await text(socket);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('"REQUEST_INVALID"');
  }
});

describe('without a token', () => {
  test.each(['localhost', 'LOCALHOST.', 'here.localhost:80', '127.0.0.1:8181', '127.9.9.9', '[::1]:8181'])(
    'the host %s is ours',
    async host => {
      site = await HttpSite.start();
      expect((await site.send('GET', '/data', { headers: { Host: host } })).status).toBe(200);
    },
  );

  test.each([
    'evil.example',
    'evil.example:8181',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '0.0.0.0',
    '10.0.0.1',
    '[::2]',
    '2130706433',
    'localhost@evil.example',
  ])('the host %j is foreign', async host => {
    site = await HttpSite.start();
    for (const [method, target] of [
      ['GET', '/data'],
      ['PUT', '/data/x'],
      ['POST', '/batch'],
      ['GET', '/watch'],
      ['GET', '/status'],
      ['GET', '/metrics'],
      ['GET', '/nowhere'],
    ] as const) {
      expect(await site.send(method, target, { headers: { Host: host } })).toMatchObject({ status: 403, json: { code: 'FORBIDDEN' } });
    }
    expect(site.store.position.revision).toBe(0);
  });

  test('the host of a target in absolute form counts, not the header', async () => {
    site = await HttpSite.start();
    const headers = { Host: `127.0.0.1:${site.url.port}` };
    expect((await site.send('GET', 'http://evil.example/data', { headers })).status).toBe(403);
    expect((await site.send('GET', 'http://localhost/data', { headers })).status).toBe(200);
  });

  test('only pages of this very server may ask', async () => {
    site = await HttpSite.start();
    const { port } = site.url;
    const ask = async (origin: string, host = `127.0.0.1:${port}`): Promise<number> =>
      (await site.send('POST', '/batch', { headers: { Origin: origin, Host: host, 'Content-Type': 'text/plain' }, body: '["put","/x",1]' }))
        .status;
    expect(await ask('https://evil.example')).toBe(403);
    expect(await ask(`http://evil.example:${port}`)).toBe(403);
    expect(await ask('null')).toBe(403);
    expect(await ask('http://localhost:1')).toBe(403);
    expect(await ask('http://localhost')).toBe(403);
    expect(await ask(`http://evil@localhost:${port}`)).toBe(403);
    expect(site.store.position.revision).toBe(0);
    expect(await ask(`http://127.0.0.1:${port}`)).toBe(200);
    expect(await ask(`http://localhost:${port}`)).toBe(200);
    expect(await ask('http://localhost:9999', 'localhost:9999'), 'a tunnel').toBe(200);
  });

  test('no page of another origin is allowed to read', async () => {
    site = await HttpSite.start();
    const answer = await site.send('OPTIONS', '/data', { headers: { 'Access-Control-Request-Method': 'PUT' } });
    expect(Object.keys(answer.headers).filter(name => name.startsWith('access-control'))).toEqual([]);
  });

  test.each(['0.0.0.0', '::', '192.0.2.1'])('%s is not listened on', async address => {
    site = await HttpSite.start();
    await expect(HttpSite.start({ address })).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      message: expect.stringContaining('token'),
    });
    await expect(HttpSite.start({ address, token: 'a token' })).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      message: expect.stringContaining('tls'),
    });
  });
});

describe('with a token', () => {
  test("every request needs it, except a probe's", async () => {
    site = await HttpSite.start({ token: 'opensesame' });
    for (const target of ['/data', '/status', '/metrics', '/watch', '/nowhere']) {
      const answer = await site.send('GET', target);
      expect(answer).toMatchObject({ status: 401, json: { code: 'UNAUTHENTICATED' } });
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer /);
    }
    expect((await site.send('GET', '/healthz')).status).toBe(200);
    expect((await site.send('GET', '/readyz')).status).toBe(200);
  });

  test.each(['Bearer wrong', 'Bearer opensesame2', 'Bearer opensesam', 'Basic opensesame', 'Bearer', 'opensesame', 'Bearer opensesame x'])(
    '%s does not do',
    async authorization => {
      site = await HttpSite.start({ token: 'opensesame' });
      const answer = await site.send('PUT', '/data/x', { headers: { Authorization: authorization }, body: '1' });
      expect(answer.status).toBe(401);
      expect(site.store.position.revision).toBe(0);
    },
  );

  test('the right one is enough, whatever the Host header says', async () => {
    site = await HttpSite.start({ token: 'opensesame' });
    for (const authorization of ['Bearer opensesame', 'bearer  opensesame']) {
      const headers = { Authorization: authorization, Host: 'db.example', Origin: 'https://db.example' };
      expect((await site.send('PUT', '/data/x', { headers, body: '1' })).status).toBe(200);
    }
  });

  test('TLS is used if there is a certificate', async () => {
    const authority = await makeAuthority();
    const { certificate, key } = await makeCertificate(authority);
    site = await HttpSite.start({ token: 'opensesame', tls: { certificate, key } });
    expect(site.url.protocol).toBe('https:');
    const request = httpsRequest(new URL('/data', site.url), {
      ca: authority.certificate,
      headers: { Authorization: 'Bearer opensesame' },
    }).end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    expect(response.resume().statusCode).toBe(200);
  });
});

function headersOf(right: string) {
  return { Authorization: `Bearer secret-to-${right}`, 'Content-Type': 'application/json' };
}

describe('with several tokens', () => {
  const RIGHTS = ['read', 'write', 'admin', 'replicate'] as const;
  const tokens = RIGHTS.map(right => ({ name: `may-${right}`, secret: `secret-to-${right}`, rights: [right] }));

  test.each([
    ['GET', '/', 'read'],
    ['GET', '/data', 'read'],
    ['HEAD', '/data/x', 'read'],
    ['GET', '/status', 'read'],
    ['GET', '/metrics', 'read'],
    ['GET', '/divergences', 'read'],
    ['OPTIONS', '/data', 'read'],
    ['POST', '/digests', 'read'],
    ['PUT', '/data/x', 'write'],
    ['PATCH', '/data/x', 'write'],
    ['DELETE', '/data/x', 'write'],
    ['POST', '/batch', 'write'],
    ['POST', '/admin/mark', 'write'],
    ['POST', '/admin/unmark', 'write'],
    ['GET', '/history', 'read'],
    ['GET', '/marks', 'read'],
    ['POST', '/admin/snapshot', 'admin'],
    ['POST', '/admin/reload', 'admin'],
    ['POST', '/admin/forget', 'admin'],
    ['POST', '/admin/switchover', 'admin'],
    ['POST', '/admin/promote', 'admin'],
    ['POST', '/admin/divergences/replay', 'admin'],
    ['POST', '/admin/repair', 'admin'],
  ])('%s %s needs the right to %s, and the token that lacks it is named', async (method, target, right) => {
    site = await HttpSite.start({ tokens });
    for (const other of RIGHTS) {
      const answer = await site.send(method, target, {
        headers: headersOf(other),
        ...(method === 'GET' || method === 'HEAD' ? {} : { body: '{}' }),
      });
      expect([401, 403].includes(answer.status), `${other}: ${answer.status}`).toBe(other !== right);
      if (other === right || method === 'HEAD') continue;
      expect(answer.json).toMatchObject({ code: 'FORBIDDEN', token: `may-${other}`, right, rights: [other] });
      expect(answer.json).toHaveProperty(
        'detail',
        expect.stringMatching(
          new RegExp(`^the token "may-${other}" lacks the right "${right}"; in "auth.tokens" it has "${other}", and ${method} `),
        ),
      );
    }
  });

  test('a revert, whose answer shows values, needs the right to read beside that to write', async () => {
    const both = { name: 'may-both', secret: 'secret-to-both', rights: ['read', 'write'] as const };
    site = await HttpSite.start({ tokens: [...tokens, both] });
    await site.send('PUT', '/data/secret', { headers: headersOf('both'), body: '"hidden"' });
    const body = JSON.stringify({ path: '/secret', to: '1-1', dryRun: true });
    for (const [bearer, lacked] of [
      ['write', 'read'],
      ['read', 'write'],
      ['admin', 'write'],
      ['replicate', 'write'],
    ] as const) {
      const answer = await site.send('POST', '/admin/revert', { headers: headersOf(bearer), body });
      expect(answer).toMatchObject({ status: 403, json: { code: 'FORBIDDEN', token: `may-${bearer}`, right: lacked } });
      expect(answer.text).not.toContain('hidden');
    }
    const told = await site.send('POST', '/admin/revert', { headers: headersOf('both'), body });
    expect(told).toMatchObject({ status: 200, text: expect.stringContaining('hidden') });
  });

  test('probes need none, and an unknown token is unauthenticated', async () => {
    site = await HttpSite.start({ tokens });
    expect((await site.send('GET', '/healthz')).status).toBe(200);
    expect((await site.send('GET', '/data', { headers: { Authorization: 'Bearer secret-to-nothing' } })).status).toBe(401);
    expect((await site.send('GET', '/data')).status).toBe(401);
  });

  test("the author of a commit is the token's name, whatever the header says; the message is the header's", async () => {
    site = await HttpSite.start({ token: 'has-all-rights', tokens });
    const note = { 'Evertree-Author': 'somebody%20else', 'Evertree-Message': 'why' };
    const writes: [string, string, Record<string, string>, string][] = [
      ['PUT', '/data/x', headersOf('write'), '1'],
      ['POST', '/batch', { ...headersOf('write'), 'Content-Type': 'application/x-ndjson' }, '["put","/y",1]'],
      ['PUT', '/data/z', { ...headersOf('write'), Authorization: 'Bearer has-all-rights' }, '1'],
    ];
    for (const [method, target, headers, body] of writes) {
      expect((await site.send(method, target, { headers: { ...headers, ...note }, body })).status).toBe(200);
    }
    await site.store.flush();
    const changes = (await framesOf(site.store.journal)).flatMap(frame => decodeFrame(frame).changeSets).slice(1);
    expect(changes.map(({ author, message }) => [author, message])).toEqual([
      ['may-write', 'why'],
      ['may-write', 'why'],
      [undefined, 'why'],
    ]);
  });

  test('tokens that are taken away beyond loopback let nobody in, whatever the Host header says', async () => {
    site = await HttpSite.start();
    const { report } = site.store;
    const options = { site: site.site, address: '0.0.0.0', port: 0, tls: 'off' as const, report, version: '0.0.0' };
    const present: Pick<HttpOptions, keyof typeof options> & { tokens?: HttpOptions['tokens'] } = { ...options, tokens };
    const server = await startHttp(present);
    try {
      const url = `http://127.0.0.1:${new URL(server.address).port}/data`;
      const statusFor = async (headers: Record<string, string>) => (await fetch(url, { headers })).status;
      expect(await statusFor(headersOf('read'))).toBe(200);
      present.tokens = undefined;
      expect([await statusFor(headersOf('read')), await statusFor({})]).toEqual([401, 401]);
    } finally {
      await server.close();
    }
  });

  test('beyond loopback a list of tokens is enough', async () => {
    site = await HttpSite.start({ address: '0.0.0.0', tokens, tls: 'off' });
    expect((await site.send('GET', '/data')).status).toBe(401);
  });
});
