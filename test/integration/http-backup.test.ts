import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTarget } from '@evertree/archive';
import { openStore } from 'evertree';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { siteOf } from '../../packages/evertree/src/site/store.ts';
import { checkArchive } from '../support/archive-check.ts';
import { systemClock as clock, systemRandom as random } from '../support/host.ts';
import { type Answer, HttpSite, type HttpSiteOptions, until } from '../support/http-site.ts';
import { run } from '../support/program.ts';
import { collectReports } from '../support/reports.ts';

/** POST /admin/backup, and what GET /status and /metrics tell of an archive. */

const JSON_TYPE = { 'content-type': 'application/json' };
const LINES = { ...JSON_TYPE, accept: 'application/x-ndjson' };
const RECIPIENT = 'age1yx47sjfaw3m5fpefj2ukehrvmnusvgvll3lr5e5wleajev0anf5sj2fasq';

let folder: string;
let target: string;
let http: HttpSite | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evertree-http-backup-'));
  target = join(folder, 'archive');
});
afterEach(async () => {
  await http?.[Symbol.asyncDispose]();
  http = undefined;
  await rm(folder, { recursive: true, force: true });
});

async function begin(archive?: object, options: Partial<HttpSiteOptions> = {}): Promise<HttpSite> {
  const { report } = collectReports();
  const store = await openStore({ data: join(folder, 'site'), site: 'north', log: report, ...(archive && { archive }) });
  http = await HttpSite.start({ site: siteOf(store), ...options });
  return http;
}

function backup(body: unknown, headers: Readonly<Record<string, string>> = JSON_TYPE): Promise<Answer> {
  return http!.send('POST', '/admin/backup', { headers, body: JSON.stringify(body) });
}

test('a backup into a bucket that the site does not reach by its environment says whose environment counts', async () => {
  const { url } = await begin();
  for (const name of ['AWS_REGION', 'AWS_DEFAULT_REGION', 'AWS_PROFILE', 'AWS_ENDPOINT_URL_S3']) vi.stubEnv(name, undefined);
  for (const name of ['AWS_CONFIG_FILE', 'AWS_SHARED_CREDENTIALS_FILE']) vi.stubEnv(name, join(folder, 'none'));
  for (const more of [[], ['--dry-run']]) {
    const { status, stderr } = await run(['backup', 's3://nowhere/north', '--url', url.origin, ...more], {
      env: { AWS_REGION: 'eu-west-1' },
    });
    expect([status, stderr]).toEqual([2, expect.stringMatching(/no region is given .*makes this backup, with its own environment/)]);
  }
  vi.unstubAllEnvs();
});

describe('POST /admin/backup', () => {
  test('archives what is committed, and says what can be restored', async () => {
    const { store } = await begin();
    await store.transact(tx => tx.put('/a', 1)).durable;
    const { epoch, revision } = store.position;
    const first = await backup({ target });
    expect(first.status).toBe(200);
    expect(first.json).toMatchObject({
      site: 'north',
      target,
      made: true,
      position: { epoch, revision },
      digest: store.digest,
      commits: 2,
      images: 0,
    });
    expect(Object.keys((first.json as { position: object }).position)).toEqual(['epoch', 'revision']);
    expect((await backup({ target })).json).toMatchObject({ made: false, objects: 0 });
    await using place = await openTarget(target, { clock, random });
    expect(await checkArchive(place)).toMatchObject([{ digest: store.digest }]);
    // Nobody holds the history for it any more.
    expect(store.journal.leases.of('backup').size).toBe(0);
    const metrics = (await http!.send('GET', '/metrics')).text;
    expect(metrics).toMatch(/^evertree_backup_last_completion_timestamp_seconds 1\d{9}/m);
    expect(metrics).not.toMatch(/^evertree_archive_lag/m);
    expect((await http!.send('GET', '/status')).json).toMatchObject({ archive: null });
  });

  test('answers lines of progress to who asks for them, and the outcome or the error as the last one', async () => {
    const { store } = await begin();
    await store.transact(tx => tx.put('/a', 1)).durable;
    const done = await backup({ target, recipients: [RECIPIENT] }, LINES);
    expect(done).toMatchObject({ status: 200, headers: { 'content-type': 'application/x-ndjson' } });
    expect(JSON.parse(done.text.trimEnd().split('\n').at(-1)!)).toMatchObject({ result: { made: true, commits: 2 } });
    const failed = await backup({ target }, LINES);
    expect(JSON.parse(failed.text.trimEnd().split('\n').at(-1)!)).toMatchObject({
      error: { code: 'CONFIGURATION_INVALID', detail: expect.stringContaining('is encrypted, and this site has no recipients') },
    });
  });

  test('a dry run says what would be written, and changes nothing', async () => {
    const { store } = await begin();
    await store.transact(tx => tx.put('/a', 1)).durable;
    const expected = { archive: null, from: null, to: { epoch: 1, revision: 2 }, commits: 2, image: false, encrypted: false };
    expect((await backup({ target, dryRun: true })).json).toMatchObject(expected);
    await expect(openTarget(target, { clock, random })).rejects.toThrow('is missing');
    await backup({ target });
    await store.transact(tx => tx.put('/a', 2)).durable;
    const next = { from: { epoch: 1, revision: 2 }, to: { epoch: 1, revision: 3 }, commits: 1, reason: null };
    expect((await backup({ target, dryRun: true })).json).toMatchObject(next);
  });

  test('without a target goes into the archive of the site, and through its own thread', async () => {
    await backupOnce();
    const { store, site } = await begin({ target, every: '1h' });
    await store.transact(tx => tx.put('/a', 3)).durable;
    const answer = await backup({});
    expect(answer).toMatchObject({ status: 200, json: { target, digest: store.digest, images: 0 } });
    expect(site.archive!.status).toMatchObject({ state: 'archiving', lag: { commits: 0 } });
    expect((await http!.send('GET', '/status')).json).toMatchObject({
      archive: { target, state: 'archiving', lag: { revisions: 0, ms: 0 }, gaps: [], drilled: null, spool: { maxBytes: 1_073_741_824 } },
    });
    const metrics = (await http!.send('GET', '/metrics')).text;
    for (const name of ['working', 'lag_revisions', 'lag_seconds', 'spool_bytes', 'spool_max_bytes', 'failed_attempts', 'gaps'])
      expect(metrics).toMatch(new RegExp(`^evertree_archive_${name} \\d`, 'm'));
    expect((await backup({ recipients: [RECIPIENT] })).json).toMatchObject({
      code: 'CONFIGURATION_INVALID',
      detail: expect.stringContaining('for other recipients than those that are named'),
    });
    await using place = await openTarget(target, { clock, random });
    expect(await checkArchive(place)).toHaveLength(1);
  });

  test.each<[string, object, number, RegExp]>([
    ['no target', {}, 400, /names no target, and this site has no archive/],
    ['a path that is not whole', { target: 'archive' }, 400, /write s3:\/\/bucket\/prefix, or the whole path of a directory/],
    ['a misspelt key', { target: '/x', recipient: [RECIPIENT] }, 400, /recipient/],
    ['a recipient that is none', { target: '/x', recipients: ['age1x'] }, 400, /has on line 1 .*which is no recipient/],
    ['an identity', { target: '/x', recipients: ['AGE-SECRET-KEY-1XYZ'] }, 400, /has on line 1 an identity/],
    ['an empty list of recipients', { target: '/x', recipients: [] }, 400, /recipients/],
  ])('refuses %s', async (_name, body, status, message) => {
    await begin();
    const answer = await backup(body);
    expect(answer).toMatchObject({ status, text: expect.stringMatching(message) });
    expect(answer.text).not.toContain('SECRET-KEY-1XYZ');
  });

  test('refuses a second one while one is under way, the own directory, and a site in memory', async () => {
    const { store, site } = await begin();
    await store.transact(tx => tx.put('/a', 1)).durable;
    const first = backup({ target });
    await until(() => site.backups.isBusy);
    expect(await backup({ target })).toMatchObject({ status: 503, json: { code: 'OVERLOADED' }, headers: { 'retry-after': '10' } });
    expect((await first).status).toBe(200);
    expect((await backup({ target: join(folder, 'site') })).json).toMatchObject({ code: 'CONFIGURATION_INVALID' });
    await http![Symbol.asyncDispose]();
    http = undefined;
    await using inMemory = await HttpSite.start();
    const refused = await inMemory.send('POST', '/admin/backup', { headers: JSON_TYPE, body: JSON.stringify({ target }) });
    expect(refused).toMatchObject({ status: 503, json: { code: 'NOT_DURABLE' } });
  });

  test('needs the right admin', async () => {
    const tokens = [{ name: 'writer', secret: 'secret-of-writer', rights: ['read', 'write'] as const }];
    await begin(undefined, { tokens });
    const refused = await backup({ target }, { ...JSON_TYPE, authorization: 'Bearer secret-of-writer' });
    expect(refused).toMatchObject({ status: 403, json: { code: 'FORBIDDEN', right: 'admin' } });
  });
});

/** Makes the archive, with the site of this test in it. */
async function backupOnce(): Promise<void> {
  const { store } = await begin();
  await store.transact(tx => tx.put('/a', 1)).durable;
  expect((await backup({ target })).status).toBe(200);
  await http![Symbol.asyncDispose]();
}
