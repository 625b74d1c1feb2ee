import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, readFile, rm } from 'node:fs/promises';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Certificate, makeAuthority, makeCertificate } from '../support/certificates.ts';
import { PROGRAM, type Running, run, start } from '../support/program.ts';
import { type SiteFolder, siteFolder } from '../support/site-folder.ts';
import { freePort, until } from '../support/site-process.ts';

/** Tokens and certificates that change under sites which run: by SIGHUP, and by `evertree reload`. */

const LIMIT_MS = 30_000;
const SCRIPT = '/usr/bin/script';

let folder: SiteFolder;
let authorities: readonly [Certificate, Certificate];
let sites: { readonly a: Running; readonly b: Running };
/** Where a listens for its primary, once b leads. */
let backPort: number;
const ends: (() => void)[] = [];

async function writeSecret(name: string, content: string): Promise<void> {
  await chmod(await folder.write(name, content), 0o600);
}

async function writeCertificate(authority: Certificate): Promise<void> {
  const { certificate, key } = await makeCertificate(authority);
  await folder.write('site.crt', certificate);
  await writeSecret('site.key', key);
}

const dials = (port: number) => ({ 'consumer-address': '127.0.0.1', 'consumer-port': port, 'connection-retry-interval-ms': 20 });

/** Two sites that may swap roles: TLS and a token on the wire and for HTTP, all from the same files. */
async function writeFiles(more: Readonly<Record<string, object>> = {}): Promise<void> {
  const shared = {
    auth: { 'token-file': 'site.token' },
    tls: { certificate: 'site.crt', key: 'site.key', authority: 'authority.pem' },
  };
  const http = { ...shared, tls: { certificate: 'site.crt', key: 'site.key' } };
  await folder.write('a-primary.json', { 'netty-connection': dials(folder.wire), ...shared, http, ...more['a-primary'] });
  await folder.write('b-primary.json', { 'netty-connection': dials(backPort), ...shared, http });
  await folder.write('a-secondary.json', { 'netty-consumer': { 'listening-port': backPort }, ...shared, http });
  await folder.write('b-secondary.json', { 'netty-consumer': { 'listening-port': folder.wire }, ...shared, http });
}

async function site(name: 'a' | 'b', role: 'primary' | 'secondary', port: number): Promise<Running> {
  const other = role === 'primary' ? 'secondary' : 'primary';
  const files = ['--config', `${name}-${role}.json`, '--standby-config', `${name}-${other}.json`];
  const started = start([role, ...files, '--data', name, '--http', `127.0.0.1:${port}`, '--site', name, '--log', 'json'], folder.path);
  ends.push(() => started.process.kill('SIGKILL'));
  await started.printed('"event":"started"', 'stderr', LIMIT_MS);
  return started;
}

beforeEach(async () => {
  folder = await siteFolder();
  backPort = await freePort();
  authorities = [await makeAuthority('the first'), await makeAuthority('the second')];
  await folder.write('authority.pem', authorities[0].certificate);
  await writeSecret('site.token', 'the-first-token');
  await writeCertificate(authorities[0]);
  await writeFiles();
  const b = await site('b', 'secondary', folder.secondaryHttp);
  sites = { a: await site('a', 'primary', folder.primaryHttp), b };
  await replicates('/first');
});
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) end();
  await Promise.all(Object.values(sites).map(each => each.ended));
  await folder[Symbol.asyncDispose]();
});

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly certificate: string;
}

/** One request over a connection of its own, unless an agent keeps it. */
async function ask(port: number, method: string, path: string, token: string, body?: string, agent?: Agent): Promise<Answer> {
  const authority = authorities.map(({ certificate }) => certificate);
  const sent = request({
    host: '127.0.0.1',
    port,
    path,
    method,
    ca: authority,
    agent: agent ?? false,
    headers: { Authorization: `Bearer ${token}` },
  });
  sent.end(body);
  const response = await answered(sent);
  const { fingerprint256: certificate } = (response.socket as TLSSocket).getPeerCertificate();
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += String(chunk);
  return { status: response.statusCode ?? 0, body: text, certificate };
}

async function answered(sent: ClientRequest): Promise<IncomingMessage> {
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return response;
}

/** A commit at one site reaches the other one. */
async function replicates(path: string, token = 'the-first-token', from = folder.primaryHttp, to = folder.secondaryHttp): Promise<void> {
  expect(await ask(from, 'PUT', `/data${path}`, token, 'true')).toMatchObject({ status: 200 });
  await until(`${path} arrives`, async () => (await ask(to, 'GET', `/data${path}`, token)).body.trim() === 'true', LIMIT_MS);
}

interface PeerTold {
  readonly peers: readonly { readonly state: string; readonly since: string }[];
}

/** Since when the link is there: another one has another time. */
async function linkedSince(token: string, port = folder.primaryHttp): Promise<string | undefined> {
  const { peers } = JSON.parse((await ask(port, 'GET', '/status', token)).body) as PeerTold;
  return peers[0]?.since;
}

/** How often the site has told that it reloaded. */
const count = (running: Running, event: string) => running.stderr.split(`"event":"${event}"`).length - 1;

async function hangUp(running: Running, event = 'reloaded'): Promise<void> {
  const before = count(running, event);
  running.process.kill('SIGHUP');
  await until(`it tells ${event}`, () => Promise.resolve(count(running, event) > before), LIMIT_MS);
}

/** The stream of a watch, open until the test ends. */
async function watch(port: number, token: string): Promise<{ text: string; isOver: boolean }> {
  const sent = request({
    host: '127.0.0.1',
    port,
    path: '/watch',
    ca: authorities.map(({ certificate }) => certificate),
    headers: { Authorization: `Bearer ${token}` },
  });
  sent.end();
  const response = await answered(sent);
  const stream = { text: '', isOver: false };
  response.setEncoding('utf8').on('data', (text: string) => (stream.text += text));
  response.on('error', () => undefined).on('close', () => (stream.isOver = true));
  ends.push(() => sent.destroy());
  return stream;
}

describe('SIGHUP', () => {
  test('gives new connections the new token and certificate, and cuts none that is open', async () => {
    const [stream, before, since] = [
      await watch(folder.secondaryHttp, 'the-first-token'),
      await ask(folder.secondaryHttp, 'GET', '/status', 'the-first-token'),
      await linkedSince('the-first-token'),
    ];
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    ends.push(() => agent.destroy());
    const kept = await ask(folder.secondaryHttp, 'GET', '/status', 'the-first-token', undefined, agent);
    await writeCertificate(authorities[0]);
    await writeSecret('site.token', 'the-second-token');
    for (const each of [sites.b, sites.a]) await hangUp(each);
    expect(await ask(folder.secondaryHttp, 'GET', '/status', 'the-first-token')).toMatchObject({ status: 401 });
    const after = await ask(folder.secondaryHttp, 'GET', '/status', 'the-second-token');
    expect(after.status).toBe(200);
    expect(after.certificate).not.toBe(before.certificate);
    // A connection that was kept has its certificate still; each request on it is judged by the tokens of now.
    expect(await ask(folder.secondaryHttp, 'GET', '/status', 'the-first-token', undefined, agent)).toMatchObject({ status: 401 });
    const again = await ask(folder.secondaryHttp, 'GET', '/status', 'the-second-token', undefined, agent);
    expect([again.status, again.certificate]).toEqual([200, kept.certificate]);
    await replicates('/second', 'the-second-token');
    await until('the watch tells of it', () => Promise.resolve(stream.text.includes('/second')), LIMIT_MS);
    expect(stream.isOver).toBe(false);
    expect(await linkedSince('the-second-token')).toBe(since);
  });

  test('lets a new link have both, also one of another authority, and in the other role after a swap', async () => {
    // In the order of the rotation: first the side that dials trusts both, then the side that listens changes.
    await folder.write('authority.pem', authorities.map(({ certificate }) => certificate).join('\n'));
    for (const each of [sites.a, sites.b]) await hangUp(each);
    await writeCertificate(authorities[1]);
    await folder.write('authority.pem', authorities[1].certificate);
    await writeSecret('site.token', 'the-second-token');
    for (const each of [sites.b, sites.a]) await hangUp(each);
    expect(await evertree(['switchover', '--to', 'b'], folder.primaryHttp)).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('b is the primary') as unknown,
      stderr: '',
    });
    await replicates('/swapped', 'the-second-token', folder.secondaryHttp, folder.primaryHttp);
    await writeSecret('site.token', 'the-third-token');
    await writeCertificate(authorities[1]);
    for (const each of [sites.a, sites.b]) await hangUp(each);
    await replicates('/third', 'the-third-token', folder.secondaryHttp, folder.primaryHttp);
    // The old primary's process is gone: its next link needs what b has now.
    sites.a.process.kill('SIGKILL');
    await sites.a.ended;
    sites = { ...sites, a: await site('a', 'primary', folder.primaryHttp) };
    await replicates('/again', 'the-third-token', folder.secondaryHttp, folder.primaryHttp);
  });

  test('changes nothing where a file is bad: the log names it, its place and the remedy', async () => {
    const since = await linkedSince('the-first-token');
    const before = await ask(folder.primaryHttp, 'GET', '/status', 'the-first-token');
    await writeCertificate(authorities[0]);
    await writeSecret('site.token', 'short');
    await hangUp(sites.a, 'reload-refused');
    expect(sites.a.stderr).toMatch(/a-primary\.json:1:\d+: auth\.token-file names .*site\.token.*write one line of 8 or more/);
    const after = await ask(folder.primaryHttp, 'GET', '/status', 'the-first-token');
    expect([after.status, after.certificate]).toEqual([200, before.certificate]);
    await replicates('/still', 'the-first-token');
    expect(await linkedSince('the-first-token')).toBe(since);
    await rm(join(folder.path, 'site.token'));
    const refused = await evertree(['reload'], folder.primaryHttp, 'first.token');
    expect(refused).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringMatching(
        /nothing was reloaded:\na-primary\.json:1:\d+: auth\.token-file names "site\.token", which does not exist/,
      ),
    });
    expect(refused.stderr).toMatch(/a-secondary\.json:1:\d+: auth/);
  });
});

async function evertree(args: readonly string[], port: number, token = 'site.token') {
  await writeSecret('first.token', 'the-first-token');
  await folder.write('both.pem', authorities.map(({ certificate }) => certificate).join('\n'));
  return run([...args, '--url', `https://127.0.0.1:${port}`, '--token-file', token, '--ca', 'both.pem'], { cwd: folder.path });
}

describe('evertree reload', () => {
  test('tells what was taken over, and what needs a restart', async () => {
    expect(await evertree(['reload'], folder.primaryHttp)).toMatchObject({
      status: 0,
      stdout: 'tokens and certificates are the same as before\n',
    });
    await writeSecret('site.token', 'the-second-token');
    await writeFiles({ 'a-primary': { limits: { 'pending-bytes': 1_000_000 } } });
    const { status, stdout } = await evertree(['reload'], folder.primaryHttp, 'first.token');
    expect([status, stdout.split('\n')]).toEqual([
      0,
      [
        'reloaded: auth of a-primary.json',
        'reloaded: http.auth of a-primary.json',
        'reloaded: auth of a-secondary.json',
        'reloaded: http.auth of a-secondary.json',
        expect.stringMatching(
          /^not reloaded: a-primary\.json:1:\d+: limits\.pending-bytes is 1000000, and was missing when the site started; it counts after a restart$/,
        ),
        '',
      ],
    ]);
    expect(sites.a.stderr).toMatch(/"level":"warn","event":"restart-needed","message":"a-primary\.json:1:\d+: limits\.pending-bytes/);
    const json = await evertree(['reload', '--json'], folder.primaryHttp);
    expect(JSON.parse(json.stdout)).toMatchObject({ renewed: [], pending: [{ source: 'a-primary.json', key: 'limits.pending-bytes' }] });
  });
});

// With CI set it fails where there is no such program.
test.skipIf(process.env['CI'] === undefined && !existsSync(SCRIPT))(
  'a site whose terminal is closed stops in order, and does not reload',
  async () => {
    await folder.write('plain.json', { 'netty-consumer': { 'listening-port': await freePort() } });
    const command = [process.execPath, PROGRAM, 'secondary', '--config', 'plain.json', '--data', 'c', '--http', 'off', '--log', 'json'];
    const terminal = spawn(SCRIPT, ['-qfec', `${command.join(' ')} 2> log`, '/dev/null'], { cwd: folder.path, stdio: 'ignore' });
    ends.push(() => terminal.kill('SIGKILL'));
    const log = () => readFile(join(folder.path, 'log'), 'utf8').catch(() => '');
    await until('it starts', async () => (await log()).includes('"event":"started"'), LIMIT_MS);
    terminal.kill('SIGKILL');
    await until('it stops', async () => (await log()).includes('"event":"stopped"'), LIMIT_MS);
    expect(await log()).toContain('stops in order, because of SIGHUP');
    expect(await log()).not.toContain('reloaded');
  },
);
