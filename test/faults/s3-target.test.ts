import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { S3Target, type S3TargetOptions } from '../../packages/archive/src/targets/s3-target.ts';
import { parseS3Name, probeTarget } from '@evertree/archive';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock, systemRandom } from '../support/host.ts';
import { type S3Fault, type S3FaultProxy, startFaultProxy } from '../support/s3/fault-proxy.ts';
import { makeBucket, S3_ENVIRONMENT, type S3Server, startS3 } from '../support/s3/server.ts';
import { describeS3, sharedS3, type SharedS3 } from '../support/s3/suite.ts';

/** Attempts follow one another at once, and are given up soon. */
const LIMITS = { firstWaitMs: 1, longestWaitMs: 5, attemptMs: 200, attempts: 4 };
const BYTES = Buffer.alloc(3_000, 7);
const OTHERS = Buffer.alloc(2_000, 9);

describeS3('an archive in a bucket', () => {
  let server: SharedS3;
  let proxy: S3FaultProxy;
  let target: S3Target;
  let printed: string[];

  function open(options: Partial<S3TargetOptions> = {}, name = `s3://${server.bucket}/archive`): Promise<S3Target> {
    return S3Target.open(parseS3Name(name), {
      clock: systemClock,
      random: systemRandom,
      endpoint: proxy.endpoint,
      limits: LIMITS,
      ...options,
    });
  }

  function planted(fault: S3Fault) {
    return proxy.fail(fault);
  }

  beforeEach(async () => {
    server = await sharedS3();
    proxy = await startFaultProxy(server.endpoint);
    target = await open();
    printed = [];
    const print = (...words: unknown[]) => void printed.push(words.join(' '));
    for (const level of ['log', 'info', 'warn', 'error', 'debug'] as const) vi.spyOn(console, level).mockImplementation(print);
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    await target[Symbol.asyncDispose]();
    await proxy.close();
    expect(printed).toEqual([]);
  });

  const passing: [string, S3Fault][] = [
    ['is slowed down', { kind: 'refuse' }],
    ['fails by itself', { kind: 'refuse', status: 500, code: 'InternalError' }],
    ['is not available', { kind: 'refuse', status: 502, code: 'BadGateway' }],
    ['has too many requests', { kind: 'refuse', status: 429, code: 'TooManyRequests' }],
    ['has a conflict of conditions', { kind: 'refuse', status: 409, code: 'ConditionalRequestConflict' }],
    ['is cut off before the request', { kind: 'cut' }],
    ['loses the request', { kind: 'stall' }],
    ['is cut off before the answer', { kind: 'lose-answer' }],
    ['loses the answer', { kind: 'stall-answer' }],
  ];

  test.each(passing)('a service that %s for a while: every call succeeds, and tells the truth', async (_, fault) => {
    await target.create('there', OTHERS);
    for (const times of [1, 3]) {
      const once = { ...fault, times };
      const key = `new-${times}`;
      planted({ ...once, method: 'PUT', target: new RegExp(key) });
      expect(await target.create(key, BYTES)).toBe('created');
      planted({ ...once, method: 'PUT', target: /there/ });
      expect(await target.create('there', BYTES)).toBe('exists');
      planted({ ...once, method: 'GET', target: /new/ });
      expect((await target.get(key))?.bytes.equals(BYTES)).toBe(true);
      planted({ ...once, method: 'HEAD' });
      expect((await target.stat(key))?.size).toBe(BYTES.length);
      planted({ ...once, method: 'GET', target: /list-type/ });
      expect((await Array.fromAsync(target.list('new'))).map(each => each.key)).toContain(key);
      planted({ ...once, method: 'PUT', target: /HEAD/ });
      const tag = (await target.get('HEAD'))?.tag;
      const replaced = await target.replace('HEAD', Buffer.from(key), tag);
      expect(replaced).toEqual({ tag: (await target.get('HEAD'))!.tag });
      expect(await target.replace('HEAD', BYTES, tag)).toBe('changed');
      planted({ ...once, method: 'POST' });
      await target.remove([key, 'nothing']);
      expect(await target.get(key)).toBeUndefined();
    }
  });

  test.each<[string, S3Fault]>([
    ['is cut', { kind: 'cut-body' }],
    ['stalls', { kind: 'stall-body' }],
    ['is another one’s page', { kind: 'page' }],
  ])('an answer that %s in its middle is asked for again, and never taken for the whole', async (_, fault) => {
    await target.create('a', BYTES);
    planted({ ...fault, method: 'GET', target: /archive\/a/, times: 2 });
    expect((await target.get('a'))?.bytes.equals(BYTES)).toBe(true);
    planted({ ...fault, method: 'GET', target: /list-type/, times: 2 });
    expect((await Array.fromAsync(target.list(''))).map(({ key }) => key)).toEqual(['a']);
  });

  test('a lost answer, and then another writer: the one that was first is told that it created', async () => {
    planted({ kind: 'lose-answer', method: 'PUT', target: /race/, times: 1 });
    const release = proxy.hold();
    const first = target.create('race', BYTES);
    release();
    expect(await first).toBe('created');
    expect(await target.create('race', OTHERS)).toBe('exists');
    // Here the other one was first, and the answer that says so is lost.
    await target.create('lost', OTHERS);
    planted({ kind: 'lose-answer', method: 'PUT', target: /lost/, times: 1 });
    expect(await target.create('lost', BYTES)).toBe('exists');
  });

  const refusals: [string, S3Fault, string, RegExp][] = [
    [
      'an unknown key',
      { kind: 'refuse', status: 403, code: 'InvalidAccessKeyId' },
      'UNAUTHENTICATED',
      /does not know the access key.*--profile/,
    ],
    ['a wrong secret', { kind: 'refuse', status: 403, code: 'SignatureDoesNotMatch' }, 'UNAUTHENTICATED', /secret key is not that/],
    ['expired credentials', { kind: 'refuse', status: 400, code: 'ExpiredToken' }, 'UNAUTHENTICATED', /expired; sign in again/],
    ['no rights', { kind: 'refuse', status: 403, code: 'AccessDenied' }, 'FORBIDDEN', /s3:PutObject/],
    [
      'a wrong region',
      { kind: 'refuse', status: 301, code: 'PermanentRedirect', headers: { 'x-amz-bucket-region': 'eu-west-1' } },
      'CONFIGURATION_INVALID',
      /not in the region us-east-1; give --region eu-west-1/,
    ],
    [
      'a region that it does not name',
      { kind: 'refuse', status: 400, code: 'AuthorizationHeaderMalformed' },
      'CONFIGURATION_INVALID',
      /give the region of the bucket/,
    ],
    ['a full bucket', { kind: 'refuse', status: 507, code: 'InsufficientStorage' }, 'STORAGE_FULL', /evertree prune/],
    ['a quota', { kind: 'refuse', status: 400, code: 'QuotaExceeded' }, 'STORAGE_FULL', /evertree prune/],
    ['no bucket', { kind: 'refuse', status: 404, code: 'NoSuchBucket' }, 'NOT_FOUND', /there is no bucket/],
    ['something else', { kind: 'refuse', status: 400, code: 'InvalidSomething' }, 'STORAGE_FAILED', /InvalidSomething/],
    ['clocks that are apart', { kind: 'refuse', status: 403, code: 'RequestTimeTooSkewed' }, 'UNAUTHENTICATED', /clock.*NTP/],
    ['slow-down for ever', { kind: 'refuse' }, 'UNREACHABLE', /SlowDown.*overloaded/],
    ['cuts for ever', { kind: 'cut' }, 'UNREACHABLE', /can't be reached.*network is up/],
    ['silence for ever', { kind: 'stall' }, 'UNREACHABLE', /did not answer in time/],
  ];

  test.each(refusals)('%s: the error says so, and what helps', async (_, fault, code, message) => {
    planted({ ...fault, method: 'PUT' });
    const refused = { code, message: expect.stringMatching(message) };
    await expect(target.create('a/b', BYTES)).rejects.toMatchObject(refused);
    await expect(target.create('a/b', BYTES)).rejects.toMatchObject({
      message: expect.stringContaining(`a/b in the archive s3://${server.bucket}`),
    });
    const attempts = proxy.requests.filter(request => request.startsWith('PUT')).length;
    expect(attempts).toBeLessThanOrEqual(2 * LIMITS.attempts);
    expect(attempts).toBeGreaterThanOrEqual(2);
    expect(await target.get('a/b')).toBeUndefined();
  });

  test('a bucket that is not there is told from an object that is not there', async () => {
    const other = await open({}, 's3://no-such-bucket/archive');
    const missing = { code: 'NOT_FOUND', message: expect.stringContaining('no bucket no-such-bucket') };
    await expect(other.get('HEAD')).rejects.toMatchObject(missing);
    await expect(other.stat('HEAD')).rejects.toMatchObject(missing);
    await expect(other.create('HEAD', BYTES)).rejects.toMatchObject(missing);
    await expect(other.replace('HEAD', BYTES, 'x')).rejects.toMatchObject(missing);
    await expect(other.remove(['HEAD'])).rejects.toMatchObject(missing);
    await expect(Array.fromAsync(other.list(''))).rejects.toMatchObject(missing);
    await other[Symbol.asyncDispose]();
  });

  test('credentials that the server does not know', async () => {
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'not the secret');
    const other = await open();
    await expect(other.get('HEAD')).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'nobody');
    const another = await open();
    await expect(another.get('HEAD')).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  test('a profile without credentials, which is named', async () => {
    const other = await open({ profile: 'nope' });
    await expect(other.get('HEAD')).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
      message: expect.stringContaining('there are no credentials in the profile "nope"; give others'),
    });
    await other[Symbol.asyncDispose]();
  });

  test('credentials that were mended in their file while the process runs are taken', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'evertree-credentials-'));
    const file = join(folder, 'credentials');
    const write = (secret: string) =>
      writeFile(file, `[default]\naws_access_key_id = ${S3_ENVIRONMENT.AWS_ACCESS_KEY_ID}\naws_secret_access_key = ${secret}\n`);
    vi.stubEnv('AWS_ACCESS_KEY_ID', undefined);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined);
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', file);
    await write('expired');
    const other = await open();
    await expect(other.create('a', BYTES)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    await expect(other.create('a', BYTES)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    await write(S3_ENVIRONMENT.AWS_SECRET_ACCESS_KEY);
    expect(await other.create('a', BYTES)).toBe('created');
    await other[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  test('the endpoint of the environment, and an address where nobody is', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL_S3', server.endpoint);
    const found = await S3Target.open(parseS3Name(`s3://${server.bucket}/archive`), { clock: systemClock, random: systemRandom });
    expect(await found.create('of the environment', BYTES).catch((error: unknown) => error)).toMatchObject({ code: 'PATH_INVALID' });
    expect(await found.create('of-the-environment', BYTES)).toBe('created');
    expect((await target.get('of-the-environment'))?.bytes.equals(BYTES)).toBe(true);
    const nowhere = await open({ endpoint: 'http://127.0.0.1:1' });
    await expect(nowhere.get('HEAD')).rejects.toMatchObject({ code: 'UNREACHABLE', message: expect.stringMatching(/ECONNREFUSED/) });
  });

  test('a service that says that it removed objects, and keeps them, is found out', async () => {
    for (const key of ['a', 'b']) await target.create(key, BYTES);
    using fault = planted({ kind: 'pretend', method: 'POST' });
    await expect(target.remove(['a', 'b'])).rejects.toMatchObject({ code: 'STORAGE_FAILED', message: expect.stringMatching(/keeps them/) });
    fault[Symbol.dispose]();
    planted({ kind: 'pretend', method: 'POST', times: 1 });
    await target.remove(['a', 'b']);
    expect(await Array.fromAsync(target.list(''))).toEqual([]);
  });

  test('a service that removes one object at a time only', async () => {
    for (const key of ['a', 'b', 'c']) await target.create(key, BYTES);
    planted({ kind: 'refuse', method: 'POST', status: 400, code: 'MissingContentMD5' });
    await target.remove(['a', 'b', 'c', 'd']);
    expect(await Array.fromAsync(target.list(''))).toEqual([]);
  });

  test('a service that ignores conditions is found by a probe', async () => {
    const host = { clock: systemClock, random: systemRandom };
    expect(await probeTarget(target, host)).toMatchObject({ conditions: true, ignored: [], refusals: [] });
    proxy.ignoreConditions(true);
    const { conditions, ignored, rights } = await probeTarget(target, host);
    expect({ conditions, rights }).toEqual({
      conditions: false,
      rights: { create: true, read: true, replace: true, list: true, remove: true },
    });
    expect(ignored).toHaveLength(3);
    expect(await Array.fromAsync(target.list(''))).toEqual([]);
  });

  test.each([[2 * 3_600_000], [-2 * 3_600_000]])(
    'a service whose clock is apart by %i ms is asked for an object first, and its refusal has no body',
    async skewMs => {
      proxy.setSkew(skewMs);
      expect(await target.stat('a')).toBeUndefined();
      await target.create('a', BYTES);
      expect(await target.stat('a')).toMatchObject({ size: BYTES.length });
    },
  );

  test.each([[2 * 3_600_000], [-2 * 3_600_000]])(
    'a service whose clock is apart by %i ms is written to, and its time is told',
    async skewMs => {
      proxy.setSkew(skewMs);
      expect(await target.create('a', BYTES)).toBe('created');
      const { clockSkewMs } = await probeTarget(target, { clock: systemClock, random: systemRandom });
      expect(Math.abs(clockSkewMs - skewMs)).toBeLessThan(60_000);
    },
  );

  test('the time comes from answers that come anyway', async () => {
    await target.create('a', BYTES);
    const before = proxy.requests.length;
    const first = await target.now();
    expect(await target.now()).toBeGreaterThanOrEqual(first);
    expect(proxy.requests.length).toBe(before);
  });
});

describeS3('an S3 server that dies', () => {
  test('while objects are written has each object whole or not, and all that it confirmed', async () => {
    await using server: S3Server = await startS3();
    await makeBucket(server, 'bucket');
    const target = await S3Target.open(parseS3Name('s3://bucket/archive'), {
      clock: systemClock,
      random: systemRandom,
      endpoint: server.endpoint,
      limits: { ...LIMITS, attemptMs: 5_000, attempts: 100, longestWaitMs: 100 },
    });
    const bodies = new Map(Array.from({ length: 60 }, (_, index) => [`objects/${index}`, Buffer.alloc(100_000 + index, index)]));
    const confirmed = new Map<string, string>();
    const rest = bodies.entries();
    const writeAll = async () => {
      for (const [key, bytes] of rest) confirmed.set(key, await target.create(key, bytes));
    };
    const writing = Promise.all([writeAll(), writeAll(), writeAll()]);
    for (const at of [10, 25, 40]) {
      await vi.waitFor(() => expect(confirmed.size).toBeGreaterThanOrEqual(at), { timeout: 20_000, interval: 5 });
      await server.kill();
      await server.restart();
    }
    await writing;
    for (const [key, bytes] of bodies) {
      expect(confirmed.get(key)).toBe('created');
      expect((await target.get(key))?.bytes.equals(bytes), key).toBe(true);
    }
    await target[Symbol.asyncDispose]();
  });
});
