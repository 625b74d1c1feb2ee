import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTarget, parseDrill, Recipients, type Sealing } from '@evertree/archive';
import { type Drilled, drill } from 'evertree';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseHead } from '../../packages/archive/src/format/head-codec.ts';
import { buildArchive, randomStream, type RandomStream } from '../support/archive-builder.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { type Ended, run, start } from '../support/program.ts';

const IDENTITY = 'AGE-SECRET-KEY-124QXXUXT6NUUR6R0K5XK3G6P252E5QEFST82TLFRPGYS259U8A4Q4FS752\n';
const RECIPIENT = 'age1rgzl2tg9wk09waxangek5g8walq5qahrluscswdx4yuz0rletdaspm7wlv';

/** It ends with the drill that runs it. */
const CHECK_WITHOUT_END = 'echo reached; while kill -0 $PPID 2>/dev/null; do sleep 0.1; done';

let root: string;
let directory: string;
let stream: RandomStream;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'evertree-drills-'));
  directory = join(root, 'north');
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function archive(seed: number, sealing: Sealing = 'plain'): Promise<void> {
  stream = await randomStream(seed, 100);
  await using target = await openTarget(directory, { clock: systemClock, random: systemRandom, make: true });
  await buildArchive({ target, stream, sealing, inTails: 5 });
}

function evertree(...args: string[]): Promise<Ended> {
  return run(args, { cwd: root });
}

/** What lies in the archive, but for what drills write there. */
async function content(): Promise<Map<string, string>> {
  const names = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = names.filter(each => each.isFile()).map(each => join(each.parentPath, each.name).slice(directory.length + 1));
  const others = files.filter(file => !/^(HEAD$|drill\/|pin\/|\.)/.test(file));
  return new Map(await Promise.all(others.map(async file => [file, await readFile(join(directory, file), 'base64')] as const)));
}

async function head() {
  return parseHead(await readFile(join(directory, 'HEAD')));
}

function leftIn(scratch: string): Promise<string[]> {
  return readdir(join(root, scratch));
}

describe('evertree drill', () => {
  test('restores a drawn state, compares its digest, runs the check, finds the flipped bit, and tells the target', async () => {
    await archive(40, Recipients.parse([RECIPIENT]));
    await writeFile(join(root, 'identity'), IDENTITY, { mode: 0o600 });
    const before = await content();
    const check =
      'node -e "fetch(process.env.EVERTREE_URL + \'/status\').then(r => r.json()).then(s => console.log(s.state, s.digest))" && ls "$EVERTREE_DATA"';
    const found = await evertree('drill', 'north', '--identity', 'identity', '--scratch', 'scratch', '--check', check);
    expect(found).toMatchObject({ status: 0, stderr: '' });
    const pattern =
      /^refusing ([0-9a-f]{16})\n(?:[^\n]+\n)*site\.json\n(?:[^\n]+\n)*\nstate {4}(\d+-\d+) of \S+\ndigest {3}\1, as the live site recorded it\nframes {3}\d+ compared\ncheck {4}your command passed\nflip {5}a bit flipped in a copy of \S+ was found\ntook {5}open .+, restore .+, start .+, check .+, flip .+\nagain {4}--seed (\d+)\ndrill passed  .+ in .+\n$/;
    expect(found.stdout).toMatch(pattern);
    const [, digest, position, seed] = pattern.exec(found.stdout)!;
    expect(stream.frames.find(({ header: { last } }) => `${last.epoch}-${last.revision}` === position)?.header.digest).toBe(digest);
    expect(await content()).toEqual(before);
    expect(await leftIn('scratch')).toEqual([]);
    const { drilled } = await head();
    expect(drilled).toMatchObject({ passed: true, position: { revision: Number(position!.split('-')[1]) } });
    const report = parseDrill(await readFile(join(directory, drilled!.report)), drilled!.report);
    expect(report).toMatchObject({ passed: true, seed: Number(seed), digest, found: digest, check: { status: 0 }, flip: { found: true } });
    const again = await drill(directory, { seed: Number(seed), identities: [IDENTITY], scratch: join(root, 'scratch') });
    expect(again.flip).toMatchObject({ object: report.flip!.object, offset: report.flip!.offset, bit: report.flip!.bit, found: true });
    expect(again).toMatchObject({ passed: true, position: report.position, time: report.stateTime, check: null });
  }, 60_000);

  test('finds the flipped bit, whichever object it is in', async () => {
    await archive(41);
    const objects = new Set<string>();
    for (let seed = 0; seed < 12; seed++) {
      const drilled = await drill(directory, { seed, scratch: join(root, 'scratch') });
      expect(drilled, `seed ${seed}: ${drilled.problem}`).toMatchObject({ passed: true, flip: { found: true } });
      objects.add(drilled.flip!.object);
    }
    expect(objects.size).toBeGreaterThan(2);
  }, 60_000);

  test('fails where an object is damaged or the check says no, says in which phase, and tells the target', async () => {
    await archive(42);
    const refused = await evertree('drill', 'north', '--scratch', 'scratch', '--check', 'echo no; exit 3', '--keep');
    expect(refused.status).toBe(1);
    expect(refused.stdout).toMatch(
      /^no\n\nkept {5}(\S+)\nstate {4}\d+-\d+ of \S+\ntook {5}open .+\nagain {4}--seed \d+\ndrill FAILED in phase check: the check ended with 3: echo no; exit 3\n$/,
    );
    const [kept] = await leftIn('scratch');
    expect(await readdir(join(root, 'scratch', kept!, 'data'))).toContain('site.json');
    expect((await head()).drilled).toMatchObject({ passed: false });
    for (const key of (await content()).keys()) {
      if (!key.startsWith('stretch/') && !key.startsWith('image/')) continue;
      const bytes = await readFile(join(directory, key));
      bytes[bytes.length >> 1]! ^= 1;
      await writeFile(join(directory, key), bytes);
    }
    const damaged = JSON.parse((await evertree('drill', 'north', '--scratch', 'scratch', '--to', '1-5', '--json')).stdout) as Drilled;
    expect(damaged).toMatchObject({
      passed: false,
      failed: expect.stringMatching(/open|restore/),
      problem: expect.stringContaining('is damaged'),
    });
    // What was kept is not taken for the leftover of a dead drill.
    expect(await leftIn('scratch')).toEqual([kept]);
  }, 60_000);

  test('restores what is named with --to, and takes no writes there', async () => {
    await archive(43);
    const { position, digest } = { position: stream.frames[20]!.header.last, digest: stream.frames[20]!.header.digest };
    const write = `node -e "fetch(process.env.EVERTREE_URL + '/data/a', { method: 'PUT', body: '1', headers: { 'content-type': 'application/json' } }).then(async r => console.log(r.status, (await r.json()).code))"`;
    const to = `${position.epoch}-${position.revision}`;
    const found = await evertree('drill', 'north', '--scratch', 'scratch', '--to', to, '--check', write);
    expect(found.stdout).toMatch(new RegExp(`^409 FENCED\n\nstate {4}${to} of \\S+\ndigest {3}${digest}`));
  }, 60_000);

  test('takes no link for what a dead drill left, and touches nothing that it leads to', async () => {
    await archive(49);
    await mkdir(join(root, 'precious', 'data'), { recursive: true });
    await mkdir(join(root, 'scratch'));
    const link = 'evertree-drill-0123456789abcdef';
    await symlink(join(root, 'precious'), join(root, 'scratch', link));
    expect((await evertree('drill', 'north', '--scratch', 'scratch')).status).toBe(0);
    expect(await leftIn('scratch')).toEqual([link]);
    expect(await readdir(join(root, 'precious'))).toEqual(['data']);
  }, 60_000);

  test('lets nobody make the restored site a primary, or administer it', async () => {
    await archive(48);
    const post = `node -e "fetch(process.env.EVERTREE_URL + '/admin/promote', { method: 'POST', body: '{\\"force\\":true}', headers: { 'content-type': 'application/json' } }).then(async r => console.log(r.status, (await r.json()).code))"`;
    const found = await evertree('drill', 'north', '--scratch', 'scratch', '--check', post);
    expect(found.stdout).toMatch(/^403 FORBIDDEN\n\nstate [^]*\ndrill passed /);
  }, 60_000);

  test('repeats, goes on after a failure, and ends with the status of the last one', async () => {
    await archive(44);
    const file = join(root, 'sound');
    await using running = start(
      ['drill', 'north', '--scratch', 'scratch', '--every', '1s', '--check', `test -e "${file}"`, '--json'],
      root,
    );
    await running.printed('"failed":"check"');
    await writeFile(file, '');
    await running.printed('"passed":true');
    const { status, stdout } = await running.stop('SIGTERM');
    expect(status).toBe(0);
    expect(
      stdout
        .split('\n')
        .filter(line => line !== '')
        .map(line => (JSON.parse(line) as Drilled).passed),
    ).toContain(false);
    expect(await leftIn('scratch')).toEqual([]);
  }, 60_000);

  test('killed in its check leaves the archive as it was, and the next one clears what it left', async () => {
    await archive(45);
    const before = await content();
    await using running = start(['drill', 'north', '--scratch', 'scratch', '--check', CHECK_WITHOUT_END], root);
    await running.printed('reached');
    await running.stop('SIGKILL');
    const [left] = await leftIn('scratch');
    expect(left).toMatch(/^evertree-drill-/);
    expect(await content()).toEqual(before);
    expect((await head()).drilled).toBeNull();
    await writeFile(join(root, 'scratch', 'mine'), '');
    expect(await evertree('drill', 'north', '--scratch', 'scratch')).toMatchObject({ status: 0 });
    expect(await leftIn('scratch')).toEqual(['mine']);
  }, 60_000);

  test('ended by a signal ends its check, removes the scratch directory and writes nothing', async () => {
    await archive(46);
    await using running = start(['drill', 'north', '--scratch', 'scratch', '--check', CHECK_WITHOUT_END], root);
    await running.printed('reached');
    const { status, stderr } = await running.stop('SIGINT');
    expect(status).toBe(1);
    expect(stderr).toMatch(/ended early/);
    expect(await leftIn('scratch')).toEqual([]);
    expect((await head()).drilled).toBeNull();
  }, 60_000);
});
