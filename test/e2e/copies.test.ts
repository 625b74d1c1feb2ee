import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Timestamp, Verification } from '@evertree/history';
import { nodeDisk } from '@evertree/journal';
import { writeUnfinished } from '@evertree/journal/files';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BatchWriter } from '../support/batch-writer.ts';
import { run, start } from '../support/program.ts';
import { Simulation } from '../support/simulation.ts';
import { freePort, SiteProcess, until } from '../support/site-process.ts';

const LIMIT_MS = 25_000;
const MEBIBYTE = 1024 * 1024;
/** A copying tool reads so much at a time: what it has not read yet changes meanwhile. */
const READ_BYTES = 16 * 1024;

let root: string;
let site: SiteProcess;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'evertree-copies-'));
  const config = join(root, 'primary.json');
  await writeFile(
    config,
    JSON.stringify({
      'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': await freePort() },
      journal: { 'retention-max-bytes': 32 * MEBIBYTE, 'retention-rewind-ms': 0, 'retention-max-ms': 0 },
    }),
  );
  site = new SiteProcess({ role: 'primary', site: 'berlin', config, data: join(root, 'data'), httpPort: await freePort() });
  await site.start(LIMIT_MS);
});

afterEach(async () => {
  await site[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});

function evertree(...args: string[]) {
  return run(args, { cwd: root, env: { EVERTREE_URL: site.url } });
}

async function timestampIn(file: string): Promise<Timestamp> {
  return JSON.parse(await readFile(join(root, file), 'utf8')) as Timestamp;
}

async function verified(directory: string): Promise<Verification> {
  return JSON.parse((await evertree('verify', directory, '--json')).stdout) as Verification;
}

/** As rsync does it: lists first, then copies file by file, in an order of its own, and misses what has gone. */
async function copyTree(from: string, to: string, random: Simulation): Promise<void> {
  const entries = await readdir(from, { recursive: true, withFileTypes: true });
  const files = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name).slice(from.length + 1));
  for (const file of files.toSorted(() => random.fraction() - 0.5)) {
    await mkdir(dirname(join(to, file)), { recursive: true });
    await copyInPieces(join(from, file), join(to, file));
  }
}

async function copyInPieces(from: string, to: string): Promise<void> {
  if (!existsSync(from)) return;
  try {
    await using source = await open(from);
    await using target = await open(to, 'w');
    const buffer = Buffer.alloc(READ_BYTES);
    for (let at = 0; ;) {
      const { bytesRead } = await source.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) break;
      await target.write(buffer, 0, bytesRead, at);
      at += bytesRead;
    }
  } catch (error) {
    // Removed between the look and the opening.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Lets a command die as soon as something holds. @returns whether it came to that before it ended */
async function killOnce(args: readonly string[], holds: () => boolean): Promise<boolean> {
  await using running = start(args, root, { EVERTREE_URL: site.url });
  await until('the command has come so far', async () => holds() || running.process.exitCode !== null, LIMIT_MS);
  const came = running.process.exitCode === null;
  running.process.kill('SIGKILL');
  await running.ended;
  return came;
}

/** What a start on a directory that is not finished says. */
function refusedStart(data: string) {
  return evertree('primary', '--config', 'primary.json', '--data', data, '--http', 'off');
}

describe('a copy of a running site, made file by file while others write and retention runs,', () => {
  test('becomes a site with exactly the commits up to the first timestamp, whatever dies on the way', async () => {
    const writer = new BatchWriter(site, 1_000, 500);
    await until('much is written', async () => writer.batches > 20, LIMIT_MS);
    expect(await evertree('snapshot')).toMatchObject({ status: 0 });
    expect(await evertree('timestamp', 'fetch', '--file', 'F1')).toMatchObject({ status: 0, stderr: '' });
    await copyTree(join(root, 'data'), join(root, 'copy'), new Simulation(1));
    const second = await evertree('timestamp', 'fetch', '--file', 'F2', '--first', 'F1');
    expect(second).toMatchObject({ status: 0, stdout: expect.stringContaining('the copy is good') as string });
    const live = await verified('data');
    expect(live).toMatchObject({ damageCount: 0, site: 'berlin' });
    await writer.stop();
    const [first, last] = [await timestampIn('F1'), await timestampIn('F2')];
    expect(last.position.revision).toBeGreaterThan(first.position.revision);
    expect(last).toMatchObject({ first: first.position, lease: first.lease });

    const cleaning = ['timestamp', 'clean-transactions', '--data', 'copy', '--file', 'F1'];
    expect(await evertree('timestamp', 'fast-forward', '--data', 'copy', '--file', 'F2')).toMatchObject({ status: 3 });
    await killOnce(cleaning, () => existsSync(join(root, 'copy', 'unfinished.json')));
    if (existsSync(join(root, 'copy', 'unfinished.json'))) {
      expect(await refusedStart('copy')).toMatchObject({ status: 3, stderr: expect.stringContaining('UNFINISHED') as string });
    }
    expect(await evertree(...cleaning)).toMatchObject({ status: 0, stdout: expect.stringContaining(first.digest) as string });
    expect(await evertree(...cleaning)).toMatchObject({ status: 0, stdout: expect.stringContaining('clean already') as string });
    expect(await refusedStart('copy')).toMatchObject({ status: 3, stderr: expect.stringContaining('fast-forward') as string });
    expect(await verified('copy')).toMatchObject({ damageCount: 0, last: first.position, digest: first.digest });

    const forwarding = ['timestamp', 'fast-forward', '--data', 'copy', '--file', 'F2', '--site', 'rome'];
    await killOnce(forwarding, () => existsSync(join(root, 'copy', 'site.json')));
    expect(await evertree(...forwarding)).toMatchObject({ status: 0, stdout: expect.stringContaining('rome goes on') as string });
    expect(await verified('copy')).toMatchObject({ damageCount: 0, digest: first.digest, site: 'rome' });
    await site.stop();
    await using restored = new SiteProcess({
      role: 'primary',
      site: 'rome',
      config: join(root, 'primary.json'),
      data: join(root, 'copy'),
      httpPort: await freePort(),
    });
    await restored.start(LIMIT_MS);
    const status = await restored.status();
    expect(status).toMatchObject({ role: 'primary', digest: first.digest });
    expect(status?.position.epoch).toBeGreaterThan(last.epoch.number);
    const written = new BatchWriter(restored);
    await until('it takes writes', async () => written.batches > 0, LIMIT_MS);
    await written.stop();
    await restored.stop();
    expect(await evertree('verify', 'copy')).toMatchObject({ status: 0 });
  }, 120_000);

  test('is told to be no backup when the site has lost the lease; a live directory is not cleaned', async () => {
    await evertree('put', '/a', '1');
    expect(await evertree('timestamp', 'fetch', '--file', 'F1')).toMatchObject({ status: 0 });
    const kept = await readFile(join(root, 'F1'), 'utf8');
    expect(await evertree('timestamp', 'fetch', '--file', 'F1')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/F1.* exists.*timestamp release --file F1.*--force/s) as string,
    });
    expect(await readFile(join(root, 'F1'), 'utf8')).toBe(kept);
    expect(await evertree('timestamp', 'fetch', '--file', 'F1', '--force')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('for 1 other copy, too') as string,
    });
    expect(await evertree('timestamp', 'clean-transactions', '--data', 'data', '--file', 'F1', '--force')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('DIRECTORY_IN_USE') as string,
    });
    await site.kill();
    await rm(join(root, 'data', 'leases.json'));
    await site.start(LIMIT_MS);
    expect(await evertree('timestamp', 'fetch', '--file', 'F2', '--first', 'F1')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/no backup.*COMPACTED/s) as string,
    });
    expect(existsSync(join(root, 'F2'))).toBe(false);
  }, 60_000);
});

describe('verify and replay', () => {
  test('tell of a running and of a damaged directory, and rebuild one', async () => {
    await evertree('put', '/a', '{"b":1}');
    await evertree('put', '/a/b', '2');
    const proof = await evertree('verify', 'data');
    expect(proof).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/verified 0 snapshots, 1 segment, 3 commits, to 1-3, digest [0-9a-f]{16}/) as string,
    });
    await site.stop();
    const rebuilt = await evertree('replay', 'data', '--to', '1-2', '--into', 'before');
    expect(rebuilt).toMatchObject({ status: 0, stdout: expect.stringContaining('to 1-2') as string });
    const without = await evertree('replay', 'data', '--without', '1-2', '--into', 'what-if');
    expect(without).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/conflict\s+1-3 put "\/a\/b".*it is not the real history/s) as string,
    });
    expect(await evertree('verify', 'what-if')).toMatchObject({ status: 0 });
    expect(await evertree('replay', 'data', '--into', 'before')).toMatchObject({ status: 2 });
    // As a death leaves it that comes right before the end: site.json is there already.
    await writeUnfinished(nodeDisk(join(root, 'before')), { work: 'replay' });
    expect(await evertree('verify', 'before')).toMatchObject({ status: 1 });
    expect(await evertree('replay', 'data', '--into', 'before')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('to 1-3') as string,
    });
    for (const into of ['data/inside', '.', 'data/../data']) {
      expect(await evertree('replay', 'data', '--into', into)).toMatchObject({
        status: 2,
        stderr: expect.stringContaining('the directory that is to be replayed; name') as string,
      });
    }
    expect(existsSync(join(root, 'data', 'inside'))).toBe(false);
    const [segment] = await readdir(join(root, 'data', 'journal'));
    const path = join(root, 'data', 'journal', segment!);
    const bytes = await readFile(path);
    bytes[200]! ^= 1;
    await copyFile(path, join(root, 'kept'));
    await writeFile(path, bytes);
    expect(await evertree('verify', 'data')).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(
        new RegExp(`damage\\s+journal/${segment!} at offset 64: .*start from a copy of another site's directory.*NOT sound`, 's'),
      ) as string,
    });
    expect(await evertree('verify', 'nowhere')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(
        /nowhere is no directory of a site.*--data.*NOT_FOUND|NOT_FOUND.*nowhere is no directory.*--data/s,
      ) as string,
    });
    expect(await evertree('replay', 'nowhere', '--into', 'nothing')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/nowhere has no history to replay.*--data/s) as string,
    });
    expect(existsSync(join(root, 'nothing'))).toBe(false);
  }, 60_000);
});
