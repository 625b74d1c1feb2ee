import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { chmod, rm } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeAuthority, makeCertificate } from '../support/certificates.ts';
import { type Ended, PROGRAM, type RunOptions, type Running, run, start } from '../support/program.ts';
import { type SiteFolder, siteFolder } from '../support/site-folder.ts';
import { freePort } from '../support/site-process.ts';

/**
 * What operators meet when something is wrong: a site that hangs, a variable that is not set, a file that is too large.
 */

const LIMIT_MS = 20_000;
/** Small, so that a small file shows what a large one meets. */
const BODY_LIMIT_BYTES = 16 * 1024;

let folder: SiteFolder;
let primary: Running;
let url: string;

beforeAll(async () => {
  folder = await siteFolder();
  await folder.write('producer.json', {
    'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': folder.wire, 'connection-retry-interval-ms': 50 },
    limits: { 'http-body-bytes': BODY_LIMIT_BYTES },
  });
  primary = start([...folder.primary, '--site', 'box-a'], folder.path);
  await primary.printed('"event":"started"', 'stderr', LIMIT_MS);
  url = `http://127.0.0.1:${folder.primaryHttp}`;
});
afterAll(async () => {
  await primary[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

function evertree(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  return run(args, { cwd: folder.path, ...options, env: { EVERTREE_URL: url, ...options.env } });
}

async function value(path = ''): Promise<unknown> {
  return (await fetch(`${url}/data${path}`)).json();
}

function rows(from: number): object {
  return Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`k${from + index}`, { v: 'x'.repeat(200) }]));
}

/** Runs a command with its output into something that is already open. */
async function into(stdout: number | 'pipe', args: readonly string[]): Promise<{ status: number; stderr: string }> {
  const env = { ...process.env, NO_COLOR: '1' };
  const child = spawn(process.execPath, [PROGRAM, ...args, '--url', url], { env, stdio: ['ignore', stdout, 'pipe'] });
  // No process reads, and the pipe is closed before the command writes.
  child.stdout?.destroy();
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [status] = (await once(child, 'close')) as [number];
  return { status, stderr };
}

describe('a site that hangs', () => {
  test('is distinguished from a site that is not there, by every command, within --timeout', async () => {
    await evertree(['put', '/a', '1']);
    primary.process.kill('SIGSTOP');
    try {
      const commands = [['status'], ['get', '/a'], ['put', '/a', '2'], ['export'], ['watch', '/a'], ['snapshot'], ['forget', 'box-b']];
      const ended = await Promise.all(commands.map(command => evertree([...command, '--timeout', '0.5'])));
      for (const each of ended) {
        expect(each).toMatchObject({ status: 1, stdout: '', stderr: expect.stringMatching(/was reached, but has been silent for 0\.5 s/) });
      }
      expect(ended[2]?.stderr).toContain('whether the change was committed is not known');
    } finally {
      primary.process.kill('SIGCONT');
    }
    const nobody = await evertree(['status', '--timeout', '5'], { env: { EVERTREE_URL: `127.0.0.1:${await freePort()}` } });
    expect(nobody).toMatchObject({ status: 1, stderr: expect.stringContaining('nothing listens there') });
  });

  test('status --watch says since when its answer is old, and why, until it is live again', async () => {
    const startedAt = Date.now();
    await using watching = start(['status', '--watch', '--json', '--timeout', '1'], folder.path, { EVERTREE_URL: url });
    await watching.printed('"site":"box-a"');
    primary.process.kill('SIGSTOP');
    try {
      await watching.printed(/"state":"unreachable","since":\d+,"error":"http:\S+ was reached, but has been silent/);
    } finally {
      primary.process.kill('SIGCONT');
    }
    await watching.printed(/"state":"unreachable"[^]*"site":"box-a"/);
    const since = Number(/"state":"unreachable","since":(\d+)/.exec(watching.stdout)?.[1]);
    expect(since).toBeGreaterThanOrEqual(startedAt);
  });

  test('an invalid --timeout is refused', async () => {
    for (const timeout of ['0', '-1', 'soon']) expect(await evertree(['status', '--timeout', timeout])).toMatchObject({ status: 2 });
  });
});

describe('the whole tree', () => {
  test.each<[string, readonly string[]]>([
    ['delete with a variable that is not set', ['delete', '']],
    ['put with a variable that is not set', ['put', '', '{"mtu":1500}']],
    ['a patch that removes the root', ['patch', '[{"op":"remove","path":""}]']],
    ['a patch that replaces the root', ['patch', '[{"op":"replace","path":"","value":{}}]']],
    ['an import of nothing', ['import', 'nothing.json']],
  ])('%s changes nothing without --yes', async (_name, args) => {
    await folder.write('nothing.json', {});
    await evertree(['put', '/kept', 'true']);
    const before = await value();
    expect(await evertree(args)).toMatchObject({ status: 2, stdout: '', stderr: expect.stringMatching(/whole tree of box-a.*--yes/) });
    expect(await value()).toEqual(before);
  });

  test('is emptied with --yes, and an empty one may be filled without it', async () => {
    await evertree(['put', '/kept', 'true']);
    expect(await evertree(['delete', '', '--yes'])).toMatchObject({ status: 0, stderr: '' });
    expect(await value()).toEqual({});
    expect(await evertree(['put', '', '{"b":1}'])).toMatchObject({ status: 0, stderr: '' });
    expect(await value()).toEqual({ b: 1 });
    expect(await evertree(['put', '', '{"c":1}', '--yes'])).toMatchObject({ status: 0, stderr: '' });
    await folder.write('other.json', { c: 2, d: 3 });
    expect(await evertree(['import', 'other.json'])).toMatchObject({ status: 0, stderr: '' });
  });
});

describe('an import that the site does not take as one transaction', () => {
  test('goes in parts, says that they are not one, and ends equal to the file', async () => {
    const first = { rows: rows(0), list: [1, 2] };
    await folder.write('large.json', first);
    const imported = await evertree(['import', 'large.json', '--at', '/large', '--json']);
    expect(imported).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/does not take this as one transaction.*readers may see some/),
    });
    const { transactions } = JSON.parse(imported.stdout) as { transactions: number };
    expect(transactions).toBeGreaterThan(3);
    expect(await value('/large')).toEqual(first);
    const second = { rows: rows(150), list: [3] };
    await folder.write('large.json', second);
    expect(await evertree(['import', 'large.json', '--at', '/large'])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^\d+-\d+: 150 added, 1 replaced, 150 removed, in \d+ transactions\n$/),
    });
    expect(await value('/large')).toEqual(second);
    expect(await evertree(['import', 'large.json', '--at', '/large'])).toMatchObject({
      status: 0,
      stdout: 'nothing differs; nothing was committed\n',
      stderr: '',
    });
  });

  test('names a value that is too large for any transaction, and what was committed', async () => {
    await folder.write('long.json', { short: 1, long: 'x'.repeat(2 * BODY_LIMIT_BYTES) });
    const ended = await evertree(['import', 'long.json', '--at', '/long']);
    expect(ended).toMatchObject({ status: 1, stderr: expect.stringMatching(/the value at "\/long" takes \d+ bytes and can't be cut/) });
    expect(ended.stderr).toMatch(/\d+ transactions? of this import (?:is|are) committed/);
  });
});

describe('output that nobody takes', () => {
  test('a pipe that is closed ends get and export quietly', async () => {
    for (const command of ['get', 'export']) expect(await into('pipe', [command, ''])).toEqual({ status: 0, stderr: '' });
  });

  test('a full device is reported in one line', async () => {
    for (const command of ['get', 'export']) {
      const full = openSync('/dev/full', 'w');
      const ended = await into(full, [command, '']);
      closeSync(full);
      expect(ended).toMatchObject({ status: 1, stderr: expect.stringMatching(/^evertree: the output can't be written: ENOSPC.*\n$/) });
    }
  });
});

describe('where a site listens, and how it is reached', () => {
  test('--http may not have a port that fetch refuses', async () => {
    for (const args of [
      [...folder.primary.slice(0, -1), '127.0.0.1:6000'],
      ['pair', '--http', '6000'],
      ['pair', '--http', '5999'],
    ]) {
      expect(await run(args, { cwd: folder.path })).toMatchObject({
        status: 2,
        stderr: expect.stringMatching(/--http may not have the port 6000: browsers and fetch refuse/),
      });
    }
  });

  test('a directory of the other role is refused, with the command that starts it', async () => {
    const site = start([...folder.secondary, '--site', 'box-b'], folder.path);
    await site.printed('"event":"started"', 'stderr', LIMIT_MS);
    await site.stop();
    const ended = await run([...folder.primary.slice(0, 3), '--data', 'b', '--http', 'off'], { cwd: folder.path });
    expect(ended).toMatchObject({ status: 3, stderr: expect.stringMatching(/Start it with "evertree secondary --data b"/) });
  });

  test('EVERTREE_URL, EVERTREE_TOKEN_FILE, EVERTREE_CA and --ca reach a site with TLS and a token', async () => {
    const authority = await makeAuthority();
    const { certificate, key } = await makeCertificate(authority);
    await folder.write('authority.pem', authority.certificate);
    await folder.write('cert.pem', certificate);
    await folder.write('key.pem', key);
    await folder.write('token', 'correct-horse-battery\n');
    await chmod(join(folder.path, 'token'), 0o600);
    await chmod(join(folder.path, 'key.pem'), 0o600);
    await folder.write('secure.json', {
      'netty-consumer': { 'listening-port': folder.wire },
      http: { tls: { certificate: 'cert.pem', key: 'key.pem' }, auth: { 'token-file': 'token' } },
    });
    const port = await freePort();
    const args = ['secondary', '--config', 'secure.json', '--data', 'c', '--http', `127.0.0.1:${port}`, '--site', 'box-c'];
    await using site = start(args, folder.path);
    await site.printed('"event":"started"', 'stderr', LIMIT_MS);
    expect(site.stderr).not.toContain('configuration-warning');
    const at = `https://127.0.0.1:${port}`;
    const done = { status: 0, stderr: '', stdout: expect.stringContaining('"site":"box-c"') };
    const env = { EVERTREE_URL: at, EVERTREE_TOKEN_FILE: 'token', EVERTREE_CA: 'authority.pem' };
    expect(await evertree(['status', '--json'], { env })).toMatchObject(done);
    const options = ['--url', at, '--token-file', 'token', '--ca', 'authority.pem'];
    const empty = { EVERTREE_URL: '', EVERTREE_TOKEN_FILE: '', EVERTREE_CA: '' };
    expect(await evertree(['status', '--json', ...options], { env: empty })).toMatchObject(done);
    const untrusted = await evertree(['status'], { env: { ...env, EVERTREE_CA: '' } });
    expect(untrusted).toMatchObject({ status: 1, stderr: expect.stringMatching(/is not trusted.*--ca or EVERTREE_CA/) });
    expect(await evertree(['status', '--ca', 'token'], { env })).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('holds no PEM certificate'),
    });
    expect(await evertree(['status'], { env: { ...env, EVERTREE_TOKEN_FILE: '' } })).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/EVERTREE_TOKEN_FILE.*UNAUTHENTICATED/),
    });
  });

  test('a token file that others can read draws a warning, at a command and at a site', async () => {
    await folder.write('open', 'correct-horse-battery\n');
    await chmod(join(folder.path, 'open'), 0o644);
    const ended = await evertree(['status', '--json', '--token-file', 'open']);
    expect(ended).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/warning: the token file open can be read by every user of this machine \(mode 644\).*chmod 600 open/),
    });
    await folder.write('open.json', { 'netty-consumer': { 'listening-port': 1 }, auth: { 'token-file': 'open' } });
    const checked = await run(['check-config', 'open.json'], { cwd: folder.path });
    expect(checked).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/warning: auth\.token-file names "open", which can be read by/),
    });
    await chmod(join(folder.path, 'open'), 0o600);
    expect(await evertree(['status', '--json', '--token-file', 'open'])).toMatchObject({ status: 0, stderr: '' });
    await rm(join(folder.path, 'open'));
  });
});
