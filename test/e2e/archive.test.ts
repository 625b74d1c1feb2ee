import { readFile, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { Identities, openTarget } from '@evertree/archive';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type CheckedLine, checkArchive } from '../support/archive-check.ts';
import { systemClock as clock, systemRandom as random } from '../support/host.ts';
import { type Ended, type Running, run, start } from '../support/program.ts';
import { makeBucket, S3_ENVIRONMENT, startS3 } from '../support/s3/server.ts';
import { describeS3, sharedS3 } from '../support/s3/suite.ts';
import { type SiteFolder, siteFolder } from '../support/site-folder.ts';
import { until } from '../support/site-process.ts';

/** Archives as people meet them: files, commands and real processes. */

const LIMIT_MS = 40_000;
/** Stands in the data, and nowhere in an encrypted archive. */
const SECRET = 'the-secret-of-north';

interface ArchiveState {
  readonly state: string;
  readonly position: { readonly revision: number } | null;
  readonly lag: { readonly revisions: number };
  readonly lastError: { readonly code: string } | null;
  readonly drilled: unknown;
}

/** Made for tests by `age-keygen`, and used for nothing else. */
const IDENTITY = 'AGE-SECRET-KEY-15EYHWXK6LNKSJJJGP3TPSNAWRLYVCKDUUFJNDV67YLZZ2HPE34LSVLEZAP';
const RECIPIENT = 'age1yx47sjfaw3m5fpefj2ukehrvmnusvgvll3lr5e5wleajev0anf5sj2fasq';

/** Of the server of the tests, for all that runs here. */
const CREDENTIALS = { ...S3_ENVIRONMENT, AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null' };

let folder: SiteFolder;
const stack: AsyncDisposable[] = [];

beforeEach(async () => {
  folder = await siteFolder();
  await folder.write('identity', IDENTITY);
  await folder.write('recipients', `# operators\n${RECIPIENT}\n`);
});
afterEach(async () => {
  for (const each of stack.splice(0).toReversed()) await each[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

function evertree(...args: readonly string[]): Promise<Ended> {
  return run(args, { cwd: folder.path, env: { ...CREDENTIALS, EVERTREE_URL: url() } });
}

function url(port = folder.primaryHttp): string {
  return `http://127.0.0.1:${port}`;
}

/** Writes the files of both sites, with an archive in them. */
async function configure(archive: object): Promise<void> {
  const wire = { 'consumer-address': '127.0.0.1', 'consumer-port': folder.wire, 'connection-retry-interval-ms': 50 };
  await folder.write('producer.json', { 'netty-connection': wire, archive });
  await folder.write('consumer.json', { 'netty-consumer': { 'listening-port': folder.wire }, archive });
}

async function started(args: readonly string[]): Promise<Running> {
  const running = start([...args, '--log', 'json'], folder.path);
  stack.push(running);
  await running.printed('"started"', 'stderr');
  return running;
}

async function archiveAt(site: string): Promise<ArchiveState> {
  return ((await (await fetch(`${site}/status`)).json()) as { archive: ArchiveState }).archive;
}

/** Everything that the site has committed is in its archive. */
async function archived(site = url()): Promise<void> {
  const isArchived = async () => {
    const { archive, position } = (await (await fetch(`${site}/status`)).json()) as {
      archive: ArchiveState;
      position: { revision: number };
    };
    return archive.state === 'archiving' && archive.position?.revision === position.revision;
  };
  await until('everything is archived', isArchived, LIMIT_MS);
}

async function put(path: string, value: unknown): Promise<void> {
  const answer = await fetch(`${url()}/data${path}`, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(value),
  });
  expect(answer.status).toBe(200);
}

async function digestOf(site: string): Promise<string> {
  return ((await (await fetch(`${site}/status`)).json()) as { digest: string }).digest;
}

async function linesIn(name: string, settings: { readonly endpoint?: string } = {}): Promise<CheckedLine[]> {
  await using target = await openTarget(name, { clock, random, ...settings });
  return await checkArchive(target, Identities.parse([IDENTITY]));
}

describe('a pair of sites with an encrypted archive in a directory', () => {
  test('archives at both, tells so, goes on after SIGKILL in the same lines, and writes no plain byte', async () => {
    const made = await evertree('backup', 'init', 'archive', '--recipients', 'recipients');
    expect(made).toMatchObject({ status: 0, stderr: '' });
    expect(made.stdout).toMatch(/^made the archive [0-9a-f]{32} in .*archive; it refuses what it must refuse$/m);
    expect(made.stdout).toMatch(/^encrypted for 1 recipient\. Whoever loses all of their identities has lost every backup in it/m);
    await configure({ target: 'archive', every: '50ms', recipients: 'recipients' });
    const checked = await evertree('check-config', '--connect', 'consumer.json');
    expect(checked).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/archive .*archive is there, encrypted for these recipients$/m),
    });
    const secondary = await started(folder.secondary);
    const primary = await started(folder.primary);
    for (let n = 0; n < 20; n++) await put(`/numbers/${n}`, `${SECRET}-${n}`);
    await archived();
    await until(
      'the secondary has archived it',
      async () => (await digestOf(url())) === (await digestOf(url(folder.secondaryHttp))),
      LIMIT_MS,
    );
    await archived(url(folder.secondaryHttp));
    const before = await linesIn(join(folder.path, 'archive'));
    expect(before.map(({ digest }) => digest)).toEqual([await digestOf(url()), await digestOf(url())]);
    const status = await evertree('status');
    expect(status.stdout).toMatch(/^ {2}archive {3}.*archive {2}archiving, at 1-\d+, lag 0 revisions, encrypted$/m);
    expect(status.stdout).toMatch(/^ {4}never drilled: evertree drill .*archive$/m);
    const metrics = await (await fetch(`${url()}/metrics`)).text();
    expect(metrics).toMatch(/^evertree_backup_last_completion_timestamp_seconds 1\d{9}/m);
    expect(metrics).toMatch(/^evertree_archive_lag_revisions 0$/m);
    expect(metrics).toMatch(/^evertree_archive_working 1$/m);

    expect(await evertree('drill', 'archive', '--identity', 'identity')).toMatchObject({ status: 0 });
    await until('the site has heard of the drill', async () => (await archiveAt(url())).drilled !== null, LIMIT_MS);
    expect((await evertree('status')).stdout).toMatch(/^ {4}last drill passed 20.*, at 1-\d+ in /m);
    expect(await (await fetch(`${url()}/metrics`)).text()).toMatch(/^evertree_archive_last_drill_passed 1$/m);

    primary.process.kill('SIGKILL');
    secondary.process.kill('SIGKILL');
    await Promise.all([primary.ended, secondary.ended]);
    const follower = await started(folder.secondary);
    const again = await started(folder.primary);
    await put('/last', `${SECRET}-last`);
    await archived();
    await put('/very-last', 1);
    const digest = await digestOf(url());
    // What was committed last is in the archive when it has ended.
    expect(await again.stop('SIGTERM')).toMatchObject({ status: 0 });
    const after = await linesIn(join(folder.path, 'archive'));
    expect(after.map(({ id }) => id).toSorted()).toEqual(before.map(({ id }) => id).toSorted());
    expect(after.map(line => line.digest)).toContain(digest);
    // Nobody writes there any more: spare files come and go.
    expect(await follower.stop('SIGTERM')).toMatchObject({ status: 0 });
    for (const file of await filesIn('archive')) expect((await readFile(file)).includes(SECRET.slice(0, 12))).toBe(false);
  }, 120_000);

  test('a target that goes away and comes back: writes go on, the log says it once each, and readiness is as before', async () => {
    expect(await evertree('backup', 'init', 'archive')).toMatchObject({ status: 0 });
    await configure({ target: 'archive', every: '50ms' });
    const primary = await started(folder.primary);
    await put('/a', 1);
    await archived();
    expect(await evertree('backup', 'archive', '--data', 'a')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/the site that runs on .*a archives to .*archive by itself: leave --data out/),
    });
    await rename(join(folder.path, 'archive'), join(folder.path, 'away'));
    await put('/a', 2);
    await until('it is away', async () => (await archiveAt(url())).state === 'away', LIMIT_MS);
    for (let n = 3; n < 20; n++) await put('/a', n);
    expect((await fetch(`${url()}/readyz`)).status).toBe(200);
    const status = await evertree('status');
    expect(status.stdout).toMatch(/away, at 1-\d+, lag \d+ revisions \(.*\), not encrypted\n {4}the archive.s directory .* is missing/);
    await rename(join(folder.path, 'away'), join(folder.path, 'archive'));
    await archived();
    expect((await linesIn(join(folder.path, 'archive')))[0]).toMatchObject({ digest: await digestOf(url()) });
    const events = primary.stderr.split('\n').filter(line => /"archive-(?:away|back)"/.test(line));
    expect(events).toHaveLength(2);
  }, 120_000);
});

describe('single backups', () => {
  test('of a running site: a dry run, the first makes the archive, later ones add what is new', async () => {
    await started(folder.primary);
    await put('/a', 1);
    const dry = await evertree('backup', 'one', '--dry-run');
    expect(dry).toMatchObject({ status: 0, stderr: '' });
    expect(dry.stdout).toMatch(
      /^would make an archive in .*one, not encrypted, write 2 commits of .* up to 1-2: .* of history\nnothing was changed$/m,
    );
    await expect(readdir(join(folder.path, 'one'))).rejects.toThrow('ENOENT');
    const first = await evertree('backup', 'one');
    expect(first.stdout).toMatch(
      /^made an archive in .*one: there was none\nbacked up .* to .*one: 2 commits in 1 object, .*\nrestorable up to 1-2, digest [0-9a-f]{16}$/m,
    );
    expect(first).toMatchObject({ status: 0, stderr: 'the archive is not encrypted: whoever can read it reads the data\n' });
    await put('/a', 2);
    const second = lastLine(await evertree('backup', 'one', '--json'));
    expect(second).toMatchObject({ made: false, commits: 1, objects: 1, images: 0, position: { epoch: 1, revision: 3 } });
    expect((await evertree('backup', 'one')).stdout).toContain('it had everything already');
    expect((await linesIn(join(folder.path, 'one')))[0]).toMatchObject({ digest: await digestOf(url()) });
  }, 60_000);

  test('of a directory, encrypted, whether its site runs or not', async () => {
    const primary = await started(folder.primary);
    await put('/a', SECRET);
    const running = await evertree('backup', 'one', '--data', 'a', '--recipients', 'recipients');
    expect(running).toMatchObject({ status: 0, stdout: expect.stringContaining('restorable up to 1-2') });
    await put('/a', `${SECRET} again`);
    const digest = await digestOf(url());
    await primary.stop('SIGTERM');
    const dry = JSON.parse(
      (await evertree('backup', 'one', '--data', 'a', '--recipients', 'recipients', '--dry-run', '--json')).stdout,
    ) as object;
    expect(dry).toMatchObject({ commits: 1, image: false, encrypted: true, reason: null, from: { revision: 2 }, to: { revision: 3 } });
    expect(await evertree('backup', 'one', '--data', 'a', '--recipients', 'recipients')).toMatchObject({ status: 0 });
    const lines = await linesIn(join(folder.path, 'one'));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ digest });
    for (const file of await filesIn('one')) expect((await readFile(file)).includes(SECRET.slice(0, 12))).toBe(false);
  }, 60_000);

  test('check-config --connect finds an archive that is missing, not for these recipients, or closed to the identity', async () => {
    const check = async (archive: object) => {
      await folder.write('checked.json', { 'netty-consumer': { 'listening-port': folder.wire }, archive });
      return evertree('check-config', '--connect', 'checked.json');
    };
    expect(await check({ target: 'sealed', recipients: 'recipients' })).toMatchObject({
      status: 2,
      stdout: expect.stringMatching(
        /refused: archive .*sealed can't be used: .* is missing.*\n {4}evertree backup init .*sealed --recipients FILE$/m,
      ),
    });
    expect(await evertree('backup', 'init', 'sealed', '--recipients', 'recipients')).toMatchObject({ status: 0 });
    expect(await check({ target: 'sealed' })).toMatchObject({
      status: 2,
      stdout: expect.stringMatching(/refused: archive .*sealed is encrypted, and the file names no recipients$/m),
    });
    expect(await check({ 'catch-up-from': 'sealed' })).toMatchObject({
      status: 2,
      stdout: expect.stringMatching(/refused: archive .*sealed is encrypted, and the file names no "identity-file"$/m),
    });
    expect(await check({ 'catch-up-from': 'sealed', 'identity-file': 'identity' })).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/archive .*sealed can be read with the identity$/m),
    });
    expect(await check({ target: 's3://backups/x', endpoint: 'http://127.0.0.1:9' })).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(/failed: archive s3:\/\/backups\/x is not reached/),
    });
  }, 60_000);

  test('are refused in words: other recipients, another tree, the own directory, a place with something else', async () => {
    await started(folder.primary);
    await put('/a', 1);
    expect(await evertree('backup', 'init', 'sealed', '--recipients', 'recipients')).toMatchObject({ status: 0 });
    expect(await evertree('backup', 'sealed')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/is encrypted, and this site has no recipients/),
    });
    expect(await evertree('backup', 'a/backups')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/would lie in the site's own directory/),
    });
    await folder.write('nothing.json', '{}');
    expect(await evertree('backup', '.')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/has no archive, and is not empty .*backup init/),
    });
    expect(await evertree('backup', 'one', '--recipients', 'identity')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/identity has on line 1 an identity, which must not be at a site that archives/),
    });
    expect(await evertree('backup', 'one', '--region', 'x')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/--region concerns s3/),
    });
    expect(await evertree('backup', 'init', 'sealed')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/has an archive already, for other recipients/),
    });
  }, 60_000);
});

describeS3('an archive in a bucket', () => {
  test('is made, archived into continuously and encrypted, and by a single backup', async () => {
    const { endpoint, bucket } = await sharedS3();
    const target = `s3://${bucket}/north`;
    const made = await evertree('backup', 'init', target, '--endpoint', endpoint, '--recipients', 'recipients');
    expect(made).toMatchObject({ status: 0, stdout: expect.stringContaining('it refuses what it must refuse') });
    await configure({ target, every: '50ms', recipients: 'recipients', endpoint });
    await started(folder.primary);
    for (let n = 0; n < 10; n++) await put(`/numbers/${n}`, `${SECRET}-${n}`);
    await archived();
    const digest = await digestOf(url());
    expect(await linesIn(target, { endpoint })).toMatchObject([{ digest }]);
    expect(await evertree('backup', target)).toMatchObject({ status: 0 });
    const other = await evertree('backup', `s3://${bucket}/other`, '--endpoint', endpoint, '--json');
    expect(lastLine(other)).toMatchObject({ made: true, images: 0, digest });
    expect(await linesIn(`s3://${bucket}/other`, { endpoint })).toMatchObject([{ digest }]);
    const absent = await evertree('backup', `s3://${bucket}-absent/x`, '--endpoint', endpoint);
    expect(absent).toMatchObject({ status: 1, stderr: expect.stringMatching(/absent.*NOT_FOUND/) });
  }, 120_000);
});

describeS3('a bucket whose server goes away', () => {
  test('killed or stalled: no commit waits, and everything is archived once it is back', async () => {
    await using server = await startS3();
    const bucket = await makeBucket(server, 'backups');
    const { endpoint } = server;
    const target = `s3://${bucket}/north`;
    expect(await evertree('backup', 'init', target, '--endpoint', endpoint)).toMatchObject({ status: 0 });
    await configure({ target, every: '50ms', endpoint });
    const primary = await started(folder.primary);
    await put('/a', 0);
    await archived();
    await server.kill();
    for (let n = 1; n < 20; n++) await put('/a', n);
    await until('it is away', async () => (await archiveAt(url())).state === 'away', LIMIT_MS);
    expect((await archiveAt(url())).lastError).toMatchObject({ code: 'UNREACHABLE' });
    await server.restart();
    await archived();
    server.freeze();
    for (let n = 20; n < 40; n++) await put('/a', n);
    expect((await fetch(`${url()}/readyz`)).status).toBe(200);
    server.thaw();
    await archived();
    expect(await linesIn(target, { endpoint })).toMatchObject([{ digest: await digestOf(url()), line: { gaps: [] } }]);
    expect(await primary.stop('SIGTERM')).toMatchObject({ status: 0 });
  }, 180_000);

  test('or that refuses the credentials is told in status, and stops nothing', async () => {
    const { endpoint, bucket } = await sharedS3();
    await configure({ target: `s3://${bucket}/north`, every: '50ms', endpoint });
    const running = start([...folder.primary, '--log', 'json'], folder.path, { ...CREDENTIALS, AWS_SECRET_ACCESS_KEY: 'another-secret' });
    stack.push(running);
    await running.printed('"started"', 'stderr');
    await put('/a', 1);
    await until('it is refused', async () => (await archiveAt(url())).lastError?.code === 'UNAUTHENTICATED', LIMIT_MS);
    await put('/a', 2);
    expect((await evertree('status')).stdout).toMatch(/^ {2}archive {3}s3:.* away, nothing archived yet, lag \d+ revisions/m);
    expect(running.stderr).not.toContain('another-secret');
  }, 90_000);
});

/** Lines of progress may come before the outcome. */
function lastLine({ stdout }: Ended): object {
  return JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as object;
}

async function filesIn(name: string): Promise<string[]> {
  const entries = await readdir(join(folder.path, name), { recursive: true, withFileTypes: true });
  return entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name));
}
