import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { openTarget, Recipients, type Sealing } from '@evertree/archive';
import { verifyArchive } from 'evertree';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildArchive, largeStream, randomStream, type RandomStream } from '../support/archive-builder.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { type Ended, run, start } from '../support/program.ts';

const IDENTITY = 'AGE-SECRET-KEY-124QXXUXT6NUUR6R0K5XK3G6P252E5QEFST82TLFRPGYS259U8A4Q4FS752\n';
const RECIPIENT = 'age1rgzl2tg9wk09waxangek5g8walq5qahrluscswdx4yuz0rletdaspm7wlv';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'evertree-verify-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function archive(name: string, stream: RandomStream, sealing: Sealing = 'plain', inTails = 5): Promise<string> {
  const directory = join(root, name);
  await using target = await openTarget(directory, { clock: systemClock, random: systemRandom, make: true });
  await buildArchive({ target, stream, sealing, inTails });
  return directory;
}

function evertree(...args: string[]): Promise<Ended> {
  return run(args, { cwd: root });
}

/** The objects of a directory, by key. */
async function objects(directory: string, prefix: string): Promise<Map<string, string>> {
  const names = await readdir(join(directory, prefix), { recursive: true, withFileTypes: true });
  const files = names.filter(each => each.isFile()).map(each => join(each.parentPath, each.name));
  return new Map(await Promise.all(files.map(async file => [file.slice(directory.length + 1), await readFile(file, 'base64')] as const)));
}

async function filesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch {
    // It is not there yet.
    return [];
  }
}

describe('evertree verify TARGET', () => {
  test('says in one line what is proven, and exits with 1 where a byte is wrong, naming the object and what is left', async () => {
    const directory = await archive('north', await randomStream(30, 120));
    const sound = await evertree('verify', 'north', '--level', '3');
    expect(sound).toMatchObject({ status: 0, stderr: '' });
    expect(sound.stdout).toMatch(
      /^drawn {3}\d+-\d+ of .* \(--seed \d+\)\nverified \d+ images?, \d+ stretches, \d+ objects of tails, [\d,]+ commits, to \d+-\d+, digest [0-9a-f]{16}, level 3, \d+ objects read, 0 remembered/,
    );
    const again = JSON.parse((await evertree('verify', 'north', '--bytes', '0', '--json')).stdout) as { readonly objectsRead: number };
    expect(again).toMatchObject({ passed: true, objectsRead: 0 });
    const [[key]] = [...(await objects(directory, 'stretch'))] as [[string, string]];
    const bytes = await readFile(join(directory, key));
    bytes[bytes.length >> 1]! ^= 1;
    await writeFile(join(directory, key), bytes);
    const damaged = await evertree('verify', 'north', '--all');
    expect(damaged.status).toBe(1);
    expect(damaged.stdout).toMatch(new RegExp(`^damage {2}${key}: its sum is .*restored`, 'm'));
    expect(damaged.stdout).toMatch(/NOT sound: 1 finding among /);
    await rm(join(directory, key));
    expect(await evertree('verify', 'north', '--level', '0')).toMatchObject({
      status: 1,
      stdout: expect.stringContaining(`${key}: it is missing`),
    });
  }, 60_000);

  test('tells an archive from a site by what lies there, and refuses options of the other', async () => {
    await archive('north', await randomStream(31, 40));
    await mkdir(join(root, 'empty'));
    for (const [args, status, text] of [
      [['empty'], 1, /is no directory of a site.*Nor is it an archive: it has no HEAD/],
      [['north', '--checksums-only'], 2, /--checksums-only is for the directory of a site/],
      [['north', '--level', '4'], 2, /--level "4" is none; write 0, 1, 2 or 3/],
      [['north', '--all', '--part', '1/2'], 2, /--part and --all say two things/],
      [['north', '--seed', '3'], 2, /it goes with --level 3/],
    ] as const) {
      expect(await evertree('verify', ...args), args.join(' ')).toMatchObject({ status, stderr: expect.stringMatching(text) });
    }
    await copyFile(join(root, 'north', 'HEAD'), join(root, 'empty', 'HEAD'));
    await writeFile(join(root, 'empty', 'site.json'), '{}');
    expect(await evertree('verify', 'empty')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/an archive and the files of a site/),
    });
    await rm(join(root, 'empty', 'HEAD'));
    expect(await evertree('verify', 'empty', '--level', '1')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/is for an archive/),
    });
  }, 60_000);

  test('needs an identity from level 2 on where the archive is encrypted', async () => {
    const directory = await archive('north', await randomStream(32, 60), Recipients.parse([RECIPIENT]));
    await writeFile(join(root, 'identity'), IDENTITY, { mode: 0o600 });
    expect(await evertree('verify', 'north')).toMatchObject({ status: 0 });
    expect(await evertree('verify', 'north', '--level', '2')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/give the identity/),
    });
    expect(await evertree('verify', 'north', '--level', '2', '--identity', 'identity')).toMatchObject({ status: 0, stderr: '' });
    expect(await verifyArchive(directory, { level: 3, identities: [IDENTITY] })).toMatchObject({ passed: true });
  }, 60_000);

  test('killed at any moment leaves the archive as it was, and what it did is remembered', async () => {
    const directory = await archive('north', await largeStream(1_500, 8_000), 'plain', 0);
    const before = await objects(directory, 'stretch');
    // It pins what it reads first, and writes down what it did now and then.
    for (const made of ['pin', 'verified']) {
      await using running = start(['verify', 'north', '--level', '2'], root);
      while ((await filesIn(join(directory, made))).length === 0) await new Promise(resolve => setImmediate(resolve));
      await running.stop('SIGKILL');
      expect(await objects(directory, 'stretch')).toEqual(before);
    }
    const found = await verifyArchive(directory, { rotation: { bytes: 0 } });
    expect(found).toMatchObject({ passed: true, findingCount: 0 });
    expect(found.objectsRemembered).toBeGreaterThan(0);
    expect(found.objectsRead + found.objectsRemembered).toBe(before.size);
    expect(dirname(found.report!)).toBe('verified');
  }, 90_000);
});
