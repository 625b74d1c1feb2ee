import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeAuthority, makeCertificate } from '../support/certificates.ts';
import { type Running, run, start } from '../support/program.ts';
import { type SiteFolder, siteFolder } from '../support/site-folder.ts';
import { until } from '../support/site-process.ts';

const LIMIT_MS = 20_000;

let folder: SiteFolder;
const running: Running[] = [];

beforeEach(async () => {
  folder = await siteFolder();
});
afterEach(async () => {
  for (const started of running.splice(0)) await started[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** Starts a site and waits until it says so. */
async function site(args: readonly string[]): Promise<Running> {
  const started = start(args, folder.path);
  running.push(started);
  await started.printed('"event":"started"', 'stderr', LIMIT_MS);
  return started;
}

async function read(port: number, path: string): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${port}/data${path}`);
  return response.ok ? response.json() : undefined;
}

describe("the ancestor's way: a secondary in one terminal, a primary in another", () => {
  test.each([
    ['the secondary first', true],
    ['the primary first', false],
  ])('%s', async (_name, secondaryFirst) => {
    const [first, second] = secondaryFirst ? [folder.secondary, folder.primary] : [folder.primary, folder.secondary];
    await site(first);
    if (!secondaryFirst) await run(['put', '/early', 'true', '--url', `127.0.0.1:${folder.primaryHttp}`]);
    await site(second);
    await run(['put', '/hello', '"world"', '--url', `127.0.0.1:${folder.primaryHttp}`]);
    await until('the secondary has it', async () => (await read(folder.secondaryHttp, '/hello')) === 'world', LIMIT_MS);
    expect(await read(folder.secondaryHttp, '')).toEqual(secondaryFirst ? { hello: 'world' } : { early: true, hello: 'world' });
    for (const stopped of running) expect(await stopped.stop('SIGTERM')).toMatchObject({ status: 0, stdout: '' });
  });
});

describe('a site that stops', () => {
  test('exits with 0 on SIGINT and continues where it was', async () => {
    const first = await site(folder.primary);
    await run(['put', '/a', '1', '--url', `127.0.0.1:${folder.primaryHttp}`]);
    const stopped = await first.stop('SIGINT');
    expect(stopped.status).toBe(0);
    expect(stopped.stderr).toMatch(
      /"event":"stopping","message":"stops in order, because of SIGINT;[^]*"event":"stopped".* has stopped at 1-2"/,
    );
    const second = await site(folder.primary);
    expect(second.stderr).toContain('is a primary at 1-2');
    expect(await read(folder.primaryHttp, '/a')).toBe(1);
  });
});

const standby = ['--standby-config', 'consumer.json'];

describe('a site that may not start says why, changes nothing, and ends', () => {
  test("with 3 if its directory is a secondary's, and it was to be the primary", async () => {
    await (await site(folder.secondary)).stop();
    const ended = await run([...folder.primary, '--data', 'b'], { cwd: folder.path });
    expect(ended).toMatchObject({
      status: 3,
      stderr: expect.stringMatching(/belongs to a secondary, and was to be started as a primary.*--promote.*WRONG_ROLE/),
    });
    await site(folder.secondary);
  });

  test('with 1 when its directory is in use', async () => {
    await site(folder.primary);
    const ended = await run([...folder.primary.slice(0, -1), 'off'], { cwd: folder.path });
    expect(ended).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/directory .* is in use by another process.*DIRECTORY_IN_USE/),
    });
  });

  test('with 1 when its directory can not be made', async () => {
    await folder.write('file', '');
    const ended = await run([...folder.primary, '--data', join('file', 'a')], { cwd: folder.path });
    expect(ended).toMatchObject({ status: 1, stderr: expect.stringMatching(/file\/a.*STORAGE_FAILED/) });
  });

  test.each(['wire', 'secondaryHttp'] as const)('with 1 when its port (%s) is in use', async which => {
    const occupant = createServer().listen(folder[which], '127.0.0.1');
    await once(occupant, 'listening');
    try {
      const ended = await run(folder.secondary, { cwd: folder.path });
      expect(ended).toMatchObject({
        status: 1,
        stderr: expect.stringMatching(new RegExp(`can't listen on 127\\.0\\.0\\.1.*${folder[which]}.*UNREACHABLE`)),
      });
    } finally {
      occupant.close();
    }
  });

  test.each<[string, (folder: SiteFolder) => readonly string[], RegExp]>([
    ['a configuration that is not there', () => ['primary', '--config', 'none.json'], /none\.json: does not exist/],
    [
      "the other role's configuration",
      () => ['primary', '--config', 'consumer.json'],
      /consumer\.json:1:2: netty-consumer configures a secondary/,
    ],
    ['no configuration', () => ['secondary'], /required option '--config <file>' not specified/],
    [
      'a Kafka configuration with what no Node process has',
      () => ['primary', '--config', 'java.json'],
      /java\.json:1:\d+: kafka-producer-properties\.partitioner\.class is refused: the partition is set by "kafka-messaging"/,
    ],
    [
      'two configurations that disagree about the site',
      () => ['primary', '--config', 'producer.json', '--config', 'other.json'],
      /other\.json: netty-connection names 127\.0\.0\.1:\d+ again, as producer\.json does/,
    ],
    ['two ways for a secondary', ({ secondary }) => [...secondary, '--config', 'consumer.json'], /--config is given 2 times; keep one/],
    [
      'what is wrong in the files of both roles, told at once',
      () => ['primary', '--config', 'none.json', '--standby-config', 'java.json'],
      /java\.json:1:\d+: kafka-producer-properties configures a primary, and this site is to be a secondary[^]*none\.json: does not exist/,
    ],
    [
      'two standby files for a primary',
      ({ primary }) => [...primary, ...standby, ...standby],
      /--standby-config is given 2 times; keep one/,
    ],
    [
      'files of the two roles that disagree about HTTP',
      ({ primary }) => [...primary, '--config', 'advertised.json', '--standby-config', 'standby.json'],
      /standby\.json: advertised-http differs from that in producer\.json, advertised\.json \("http:\/\/b:1", and there "http:\/\/a:1"\)/,
    ],
    [
      'a standby file with the port that the site itself dials',
      ({ primary }) => [...primary, ...standby],
      /producer\.json: netty-connection names 127\.0\.0\.1:\d+, where this site itself listens \(consumer\.json\); name the port of the other site/,
    ],
    [
      'HTTP that others can reach',
      ({ primary }) => [...primary, '--http', '0.0.0.0:8181'],
      /auth is missing, and --http 0\.0\.0\.0:8181 can be reached[^]*tls is missing/,
    ],
    [
      'an archive in its own directory',
      ({ primary }) => [...primary, '--config', 'inside.json'],
      /a\/backups would lie in the site's own directory/,
    ],
    [
      'the same before a restore, which would fill the directory',
      ({ primary }) => [...primary, '--config', 'inside.json', '--restore', 'lost'],
      /a\/backups would lie in the site's own directory/,
    ],
    [
      'one port for its primary and for HTTP',
      ({ secondary, wire }) => [...secondary, '--http', `127.0.0.1:${wire}`],
      /consumer\.json: netty-consumer\.listening-port is \d+, and so is the port of --http 127\.0\.0\.1:\d+; choose another one/,
    ],
    ['a name that is none', ({ primary }) => [...primary, '--site', 'a/b'], /"a\/b" is no name for a site/],
  ])('with 2 for %s', async (_name, args, message) => {
    const properties = { 'partitioner.class': 'com.example.Mine' };
    await folder.write('java.json', {
      'kafka-connection': { 'kafka-host': '::', 'kafka-port': 9092 },
      'kafka-producer-properties': properties,
    });
    await folder.write('advertised.json', {
      'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': 9 },
      'advertised-http': 'http://a:1',
    });
    await folder.write('standby.json', { 'netty-consumer': { 'listening-port': 9 }, 'advertised-http': 'http://b:1' });
    await folder.write('other.json', { 'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': folder.wire } });
    await folder.write('inside.json', {
      'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': 9 },
      archive: { target: 'a/backups' },
    });
    expect(await run(args(folder), { cwd: folder.path })).toMatchObject({ status: 2, stderr: expect.stringMatching(message) });
    await leftNothing();
  });

  test.each([
    ['its own role', ['--config', 'kafka.json']],
    ['the other role', ['--config', 'producer.json', '--standby-config', 'kafka-standby.json']],
  ])('with 2 for a Kafka client of %s whose package is not installed', async (_name, files) => {
    const kafka = { 'kafka-connection': { 'kafka-host': '127.0.0.1', 'kafka-port': 9 }, 'kafka-client': 'platformatic' };
    await folder.write('kafka.json', { ...kafka, 'kafka-producer-properties': {} });
    await folder.write('kafka-standby.json', { ...kafka, 'kafka-consumer-properties': { 'group.id': 'b' } });
    const hooks = await folder.write('hooks.mjs', NOT_INSTALLED);
    const ended = await run(['primary', ...files, '--data', 'a'], { cwd: folder.path, env: { NODE_OPTIONS: `--import ${hooks}` } });
    expect(ended).toMatchObject({ status: 2, stderr: expect.stringContaining('npm install @platformatic/kafka@2') });
    await leftNothing();
  });
});

/** Where Node looks for packages, one is missing. */
const NOT_INSTALLED = `
  import { registerHooks } from 'node:module';
  registerHooks({
    resolve(name, context, next) {
      if (name !== '@platformatic/kafka') return next(name, context);
      throw Object.assign(new Error("Cannot find package '" + name + "'"), { code: 'ERR_MODULE_NOT_FOUND' });
    },
  });
`;

/** No data directory was made. */
async function leftNothing(): Promise<void> {
  const entries = await readdir(folder.path, { withFileTypes: true });
  expect(entries.filter(entry => entry.isDirectory())).toEqual([]);
}

function at(port: number, token: string): string[] {
  return ['--url', `127.0.0.1:${port}`, '--token-file', token];
}

describe('several tokens', () => {
  test('give each client its rights and its name in the history, over HTTP and on the wire', async () => {
    const rights = { reader: ['read'], writer: ['read', 'write'], operator: ['read', 'admin'], north: ['replicate'] };
    for (const name of Object.keys(rights)) await folder.write(name, `secret-of-${name}\n`);
    const tokens = Object.entries(rights).map(([name, has]) => ({ name, 'token-file': name, rights: has }));
    const connection = { 'consumer-address': '127.0.0.1', 'consumer-port': folder.wire, 'connection-retry-interval-ms': 50 };
    await folder.write('producer.json', { 'netty-connection': connection, auth: { tokens } });
    await folder.write('consumer.json', { 'netty-consumer': { 'listening-port': folder.wire }, auth: { tokens } });
    const secondary = await site(folder.secondary);
    await site(folder.primary);
    const evertree = (...args: string[]) => run(args, { cwd: folder.path });
    const put = ['put', '/a', '1'];
    expect(await evertree(...put, ...at(folder.primaryHttp, 'writer'), '--acknowledge', '1', '--wait', '20', '--json')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('"acknowledged":1'),
    });
    expect(await evertree('get', '/a', ...at(folder.secondaryHttp, 'reader'))).toMatchObject({ status: 0, stdout: '1\n' });
    expect(await evertree(...put, ...at(folder.primaryHttp, 'reader'))).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/the token "reader" lacks the right "write".*FORBIDDEN/),
    });
    expect(await evertree('snapshot', ...at(folder.primaryHttp, 'writer'))).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/the token "writer" lacks the right "admin".*FORBIDDEN/),
    });
    expect(await evertree('snapshot', ...at(folder.primaryHttp, 'operator'))).toMatchObject({ status: 0 });
    expect(await evertree('get', '/a', ...at(folder.primaryHttp, 'north'))).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/the token "north" lacks the right "read".*FORBIDDEN/),
    });
    expect(secondary.stderr).not.toContain('connection-refused');
    expect(await evertree('check-config', 'producer.json', 'consumer.json')).toMatchObject({ status: 0 });
  });

  test('are read at the start: a primary that shows one without the right to replicate is refused by name', async () => {
    await folder.write('reader', 'secret-of-reader\n');
    await folder.write('north', 'secret-of-north\n');
    const tokens = [
      { name: 'reader', 'token-file': 'reader', rights: ['read'] },
      { name: 'north', 'token-file': 'north', rights: ['replicate'] },
    ];
    const connection = { 'consumer-address': '127.0.0.1', 'consumer-port': folder.wire, 'connection-retry-interval-ms': 50 };
    await folder.write('producer.json', { 'netty-connection': { ...connection, auth: { 'token-file': 'reader' } } });
    await folder.write('consumer.json', { 'netty-consumer': { 'listening-port': folder.wire }, auth: { tokens } });
    const secondary = await site(folder.secondary);
    const primary = await site(folder.primary);
    await secondary.printed('the token \\"reader\\" lacks the right \\"replicate\\"', 'stderr', LIMIT_MS);
    await primary.printed('refused the connection (403): the token \\"reader\\" lacks the right', 'stderr', LIMIT_MS);
    for (const { stderr } of [primary, secondary]) expect(stderr).not.toContain('secret-of');
  });
});

describe('a token', () => {
  test('is demanded by HTTP and by the wire, and read from its file', async () => {
    await folder.write('token', 'correct-horse-battery\n');
    await folder.write('wrong', 'incorrect-horse-battery\n');
    const auth = { 'token-file': 'token' };
    await folder.write('consumer.json', { 'netty-consumer': { 'listening-port': folder.wire }, auth });
    await folder.write('producer.json', { 'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': folder.wire }, auth });
    await site(folder.secondary);
    await site(folder.primary);
    const url = ['--url', `http://127.0.0.1:${folder.primaryHttp}`];
    const put = (...more: string[]) => run(['put', '/a', '1', ...url, ...more], { cwd: folder.path });
    expect(await put()).toMatchObject({ status: 1, stderr: expect.stringMatching(/with --token-file \(UNAUTHENTICATED/) });
    expect(await put('--token-file', 'wrong')).toMatchObject({ status: 1, stderr: expect.stringContaining('UNAUTHENTICATED') });
    expect(await put('--token-file', 'none')).toMatchObject({ status: 2 });
    expect(await put('--token-file', 'token', '--acknowledge', '1', '--wait', '20', '--json')).toMatchObject({
      status: 0,
      stdout: '{"position":{"epoch":1,"revision":2},"acknowledged":1}\n',
    });
  });
});

describe('"acknowledgement"', () => {
  test('makes writes wait for secondaries, and says if too few acknowledged in time', async () => {
    const connection = { 'consumer-address': '127.0.0.1', 'consumer-port': folder.wire, 'connection-retry-interval-ms': 50 };
    const policy = { secondaries: 1, 'timeout-ms': 300, 'on-timeout': 'fail' };
    await folder.write('producer.json', { 'netty-connection': connection, acknowledgement: policy });
    await site(folder.primary);
    const put = (value: string) => run(['put', '/a', value, '--json', '--url', `127.0.0.1:${folder.primaryHttp}`]);
    expect(await put('1')).toMatchObject({ status: 1, stderr: expect.stringContaining('ACKNOWLEDGEMENT_TIMEOUT') });
    expect(await read(folder.primaryHttp, '/a')).toBe(1);
    await site(folder.secondary);
    await until('the secondary has it', async () => (await read(folder.secondaryHttp, '/a')) === 1, LIMIT_MS);
    expect(await put('2')).toMatchObject({ status: 0, stdout: expect.stringContaining('"acknowledged":1') });
  });
});

describe('"acknowledgement" with "on-timeout": "refuse"', () => {
  test('takes no further writes while a secondary hangs, and goes on when it acknowledges what stands', async () => {
    const connection = { 'consumer-address': '127.0.0.1', 'consumer-port': folder.wire, 'connection-retry-interval-ms': 50 };
    const acknowledgement = { secondaries: 1, 'timeout-ms': 500, 'on-timeout': 'refuse' };
    await folder.write('producer.json', { 'netty-connection': connection, acknowledgement });
    const secondary = await site(folder.secondary);
    await site(folder.primary);
    const url = `http://127.0.0.1:${folder.primaryHttp}`;
    const put = async (value: number) => {
      const response = await fetch(`${url}/data/a`, {
        method: 'PUT',
        headers: { 'Content-Type': 'application/json' },
        body: String(value),
      });
      return { status: response.status, retryAfter: response.headers.get('retry-after'), ...((await response.json()) as object) };
    };
    await until('a write is acknowledged', async () => (await put(1)).status === 200, LIMIT_MS);
    secondary.process.kill('SIGSTOP');
    const late = (await put(2)) as unknown as { readonly position: object };
    expect(late, 'it stands').toMatchObject({ status: 504, code: 'ACKNOWLEDGEMENT_TIMEOUT', acknowledged: 0 });
    const { position } = late;
    expect(await put(3)).toMatchObject({ status: 503, code: 'NOT_ACKNOWLEDGED', retryAfter: '1', position, secondaries: 1 });
    const batch = await fetch(`${url}/batch`, { method: 'POST', body: '["put","/b",1]' });
    expect([batch.status, await batch.json()]).toMatchObject([503, { code: 'NOT_ACKNOWLEDGED', committed: 0 }]);
    expect(await read(folder.primaryHttp, '')).toEqual({ a: 2 });
    const status = (await (await fetch(`${url}/status`)).json()) as object;
    expect(status).toMatchObject({ position, acknowledgement: { onTimeout: 'refuse', overdue: position } });
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
    secondary.process.kill('SIGCONT');
    await until('writes are taken again', async () => (await put(4)).status === 200, LIMIT_MS);
    expect(await read(folder.secondaryHttp, '')).toEqual({ a: 4 });
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });
});

describe('TLS', () => {
  test('carries the wire, checked against a private authority, and HTTP if it is configured', async () => {
    const authority = await makeAuthority();
    const { certificate, key } = await makeCertificate(authority);
    await folder.write('authority.pem', authority.certificate);
    await folder.write('cert.pem', certificate);
    await folder.write('key.pem', key);
    await folder.write('consumer.json', {
      'netty-consumer': { 'listening-port': folder.wire },
      tls: { certificate: 'cert.pem', key: 'key.pem' },
      http: { tls: { certificate: 'cert.pem', key: 'key.pem' } },
    });
    const connection = { 'consumer-address': '127.0.0.1', 'consumer-port': folder.wire, 'connection-retry-interval-ms': 50 };
    await folder.write('producer.json', { 'netty-connection': connection, tls: { authority: 'authority.pem' } });
    await site(folder.secondary);
    await site(folder.primary);
    const url = ['--url', `http://127.0.0.1:${folder.primaryHttp}`];
    expect(await run(['put', '/a', '1', '--acknowledge', '1', ...url])).toMatchObject({ status: 0 });
    const https = ['get', '/a', '--url', `https://127.0.0.1:${folder.secondaryHttp}`];
    expect(await run(https)).toMatchObject({ status: 1, stderr: expect.stringMatching(/certificate.*NODE_EXTRA_CA_CERTS/) });
    expect(await run(https, { env: { NODE_EXTRA_CA_CERTS: join(folder.path, 'authority.pem') } })).toMatchObject({
      status: 0,
      stdout: '1\n',
    });
  });
});
