import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { openTarget, Recipients, type RestoreForecast } from '@evertree/archive';
import { formatPosition } from '@evertree/core';
import { restore } from 'evertree';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ArchiveMaker, inGroups, snapshotOf } from '../support/archive-maker.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { run, start } from '../support/program.ts';
import { archiveHistory, oracleHistory, type OracleHistory } from '../support/restorable.ts';
import { Simulation } from '../support/simulation.ts';
import { freePort, SiteProcess } from '../support/site-process.ts';
import { framesOf, memoryStore } from '../support/stores.ts';

const LIMIT_MS = 25_000;
const IDENTITY = 'AGE-SECRET-KEY-15EYHWXK6LNKSJJJGP3TPSNAWRLYVCKDUUFJNDV67YLZZ2HPE34LSVLEZAP';
const RECIPIENT = 'age1yx47sjfaw3m5fpefj2ukehrvmnusvgvll3lr5e5wleajev0anf5sj2fasq';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'evertree-restore-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function archive(made: OracleHistory, isEncrypted = false): Promise<string> {
  const name = join(root, 'archive');
  await using target = await openTarget(name, { clock: systemClock, random: systemRandom, make: true });
  await archiveHistory(target, made, { sealing: isEncrypted ? Recipients.parse([RECIPIENT]) : 'plain' });
  return name;
}

function evertree(...args: string[]) {
  return run(args, { cwd: root });
}

describe('evertree restore', () => {
  test('tells the plan, restores, and refuses a directory that holds something', async () => {
    const made = await oracleHistory(8, 40);
    const target = await archive(made, true);
    await writeFile(join(root, 'identity.txt'), `# a comment\n${IDENTITY}\n`, { mode: 0o600 });
    const state = made.states.at(-1)!;
    const position = formatPosition(state.position);
    const dry = await evertree('restore', target, '--data', 'again', '--identity', 'identity.txt', '--dry-run');
    expect(dry).toMatchObject({ status: 0, stderr: '' });
    expect(dry.stdout).toContain(`state    ${position} of `);
    expect(dry.stdout).toContain(`becomes  north, a primary that begins epoch ${state.position.epoch + 2}`);
    expect(dry.stdout).toContain('nothing was changed');
    expect(existsSync(join(root, 'again'))).toBe(false);
    const plan = JSON.parse(
      (await evertree('restore', target, '--data', 'again', '--identity', 'identity.txt', '--dry-run', '--json')).stdout,
    ) as RestoreForecast;
    expect(plan).toMatchObject({ position: state.position, digest: state.digest, site: 'north' });
    const refused = await evertree('restore', target, '--data', 'again');
    expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('give the identity of one of its recipients') as string });
    expect(existsSync(join(root, 'again'))).toBe(false);
    const restored = await evertree('restore', target, '--data', 'again', '--identity', 'identity.txt');
    expect(restored).toMatchObject({ status: 0, stderr: '' });
    expect(restored.stdout).toContain(`restored ${position}, digest ${state.digest}, into again: north, a primary`);
    expect(await evertree('verify', 'again')).toMatchObject({ status: 0 });
    const again = await evertree('restore', target, '--data', 'again', '--identity', 'identity.txt');
    expect(again).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('holds site.json; name one that is empty or absent') as string,
    });
    await writeFile(join(root, 'again', 'notes.txt'), '');
    expect((await evertree('restore', target, '--data', root, '--identity', 'identity.txt')).status).toBe(3);
    expect((await evertree('restore', target)).status).toBe(2);
    expect((await evertree('restore', target, '--data', 'x', '--at', '/a')).stderr).toContain(
      '--at is for one subtree: it goes with --path',
    );
    expect((await evertree('restore', target, '--data', join(target, 'x'), '--identity', 'identity.txt')).stderr).toContain(
      'lies in the archive',
    );
    expect(existsSync(join(target, 'x'))).toBe(false);
  });

  test('gives one subtree, as a document or as one commit of a running site', async () => {
    const made = await oracleHistory(8, 40);
    const target = await archive(made);
    const state = made.states.at(-5)!;
    const to = formatPosition(state.position);
    const whole = await evertree('restore', target, '--path', '', '--to', to);
    expect(whole.status).toBe(0);
    expect(JSON.parse(whole.stdout)).toEqual(JSON.parse(JSON.stringify(state.value)));
    const [key, value] = Object.entries(state.value as Record<string, unknown>).find(([name]) => name.startsWith('k'))!;
    const one = await evertree('restore', target, '--path', `/${key}`, '--to', to, '--output', 'one.json');
    expect(one).toMatchObject({ status: 0, stdout: '' });
    expect(JSON.parse(await readFile(join(root, 'one.json'), 'utf8'))).toEqual(JSON.parse(JSON.stringify(value)));
    const dry = await evertree('restore', target, '--path', `/${key}`, '--to', to, '--output', 'two.json', '--dry-run');
    expect(dry).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^would write to two\.json .*; nothing was changed\n$/) as string,
    });
    expect(existsSync(join(root, 'two.json'))).toBe(false);
    const nothing = await evertree('restore', target, '--path', '/never/there', '--to', to);
    expect(nothing).toMatchObject({ status: 1, stdout: '', stderr: expect.stringContaining('nothing stood at "/never/there"') as string });
    await using site = await primary('live');
    await site.start(LIMIT_MS);
    const into = ['--path', `/${key}`, '--to', to, '--into', site.url, '--at', '/back/again'];
    expect(await evertree('restore', target, ...into, '--dry-run')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('nothing was changed') as string,
    });
    const put = await evertree('restore', target, ...into, '--author', 'ann', '--json');
    expect(put).toMatchObject({ status: 0 });
    expect(JSON.parse(put.stdout)).toMatchObject({ transactions: 1 });
    const answer = await fetch(`${site.url}/data/back/again`);
    expect(await answer.json()).toEqual(JSON.parse(JSON.stringify(value)));
    const history = (await (await fetch(`${site.url}/history?path=/back`)).json()) as {
      readonly changes: readonly { readonly author: string; readonly message: string }[];
    };
    expect(history.changes).toHaveLength(1);
    expect(history.changes[0]).toMatchObject({ author: 'ann', message: expect.stringContaining(`restored "/${key}" at ${to}`) as string });
    // The whole tree is replaced only by who means it.
    const everything = ['--path', '', '--to', to, '--into', site.url];
    expect(await evertree('restore', target, ...everything)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('add --yes') as string,
    });
    expect((await evertree('restore', target, ...everything, '--yes')).status).toBe(0);
    expect(await (await fetch(`${site.url}/data`)).json()).toEqual(JSON.parse(JSON.stringify(state.value)));
  });
});

test("a document that can't be written leaves nothing of the data behind, and none is written through a link", async () => {
  const made = await oracleHistory(8, 40);
  const target = await archive(made);
  await mkdir(join(root, 'taken'));
  expect((await evertree('restore', target, '--path', '', '--output', 'taken')).status).not.toBe(0);
  expect(readdirSync(root).filter(name => name.startsWith('taken'))).toEqual(['taken']);
  await writeFile(join(root, 'precious'), 'kept');
  await symlink('precious', join(root, 'tree.json.tmp'));
  expect((await evertree('restore', target, '--path', '', '--output', 'tree.json')).status).toBe(0);
  expect(await readFile(join(root, 'precious'), 'utf8')).toBe('kept');
  expect(JSON.parse(await readFile(join(root, 'tree.json'), 'utf8'))).toEqual(JSON.parse(JSON.stringify(made.states.at(-1)!.value)));
});

async function primary(data: string): Promise<SiteProcess> {
  const config = join(root, `${data}.json`);
  await writeFile(config, JSON.stringify({ 'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': await freePort() } }));
  return new SiteProcess({ role: 'primary', site: 'north', config, data: join(root, data), httpPort: await freePort() });
}

describe('evertree primary --restore', () => {
  test('brings a lost site back in one command, and starts it as it is the next time', async () => {
    const made = await oracleHistory(8, 40);
    const target = await archive(made);
    const state = made.states.at(-1)!;
    const config = join(root, 'primary.json');
    await writeFile(config, JSON.stringify({ 'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': await freePort() } }));
    const port = await freePort();
    const args = ['primary', '--restore', target, '--config', config, '--data', 'lost', '--http', `127.0.0.1:${port}`, '--log', 'json'];
    await using first = start(args, root);
    await first.printed('"event":"started"', 'stderr');
    expect(first.stderr).toContain(`restored ${formatPosition(state.position)}, digest ${state.digest}`);
    expect(await (await fetch(`http://127.0.0.1:${port}/data`)).json()).toEqual(JSON.parse(JSON.stringify(state.value)));
    const put = await fetch(`http://127.0.0.1:${port}/data/written`, {
      method: 'PUT',
      body: '1',
      headers: { 'Content-Type': 'application/json' },
    });
    expect(put.ok).toBe(true);
    expect(put.headers.get('evertree-position')).toMatch(new RegExp(`^${state.position.epoch + 2}-`));
    await first.stop('SIGKILL');
    await using second = start(args, root);
    await second.printed('"event":"started"', 'stderr');
    expect(second.stderr).toContain('lost holds a site already, which starts as it is: nothing is restored');
    expect(await (await fetch(`http://127.0.0.1:${port}/data/written`)).json()).toBe(1);
    expect((await second.stop()).status).toBe(0);
    const to = await evertree('primary', '--to', '1-5', '--config', config, '--data', 'other');
    expect(to).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--to names what is restored: it goes with --restore') as string,
    });
  });
});

/** The directory as it is after site.json was written, and before unfinished.json was removed. */
async function killedAtEnd(target: string, data: string): Promise<void> {
  let unfinished: Buffer | undefined;
  await restore(target, { data, progress: () => void (unfinished = readFileSync(join(data, 'unfinished.json'))) });
  await writeFile(join(data, 'unfinished.json'), unfinished!);
}

describe('a restore that was killed right before its end', () => {
  test('goes on when it is run again, and when the site is started with --restore', async () => {
    const made = await oracleHistory(8, 40);
    const target = await archive(made);
    await killedAtEnd(target, join(root, 'again'));
    expect(await evertree('restore', target, '--data', 'again')).toMatchObject({ status: 0, stderr: '' });
    expect((await evertree('verify', 'again')).status).toBe(0);
    await killedAtEnd(target, join(root, 'started'));
    const config = join(root, 'primary.json');
    await writeFile(config, JSON.stringify({ 'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': await freePort() } }));
    const http = `127.0.0.1:${await freePort()}`;
    await using site = start(['primary', '--restore', target, '--config', config, '--data', 'started', '--http', http], root);
    await Promise.race([site.printed('is a primary at', 'stderr'), site.ended]);
    expect(site.stderr).toContain('north is a primary at');
    expect(site.stderr).toContain(`digest ${made.states.at(-1)!.digest}`);
  });
});

describe('a restore that is killed at any moment', () => {
  test('leaves nothing that starts with less, and goes on', async () => {
    const { target, digest, revision } = await largeArchive();
    const seed = Math.floor(Math.random() * 1e9);
    const chance = new Simulation(seed);
    const began = performance.now();
    expect((await evertree('restore', target, '--data', 'whole')).status).toBe(0);
    const tookMs = performance.now() - began;
    let killed = 0;
    for (let round = 0; round < 4; round++) {
      const data = join(root, `killed-${round}`);
      for (let attempt = 0; attempt < 2; attempt++) {
        await using running = start(['restore', target, '--data', data], root);
        await Promise.race([after(tookMs * chance.fraction()), running.ended]);
        const { status } = await running.stop('SIGKILL');
        if (status === null) killed++;
        if (existsSync(join(data, 'unfinished.json'))) expect((await evertree('verify', data)).status, `seed ${seed}`).not.toBe(0);
      }
      if (existsSync(join(data, 'site.json')) && !existsSync(join(data, 'unfinished.json'))) {
        const verified = JSON.parse((await evertree('verify', data, '--json')).stdout) as { readonly digest: string };
        expect(verified.digest, `seed ${seed}`).toBe(digest);
        continue;
      }
      const restored = await restore(target, { data });
      expect([restored.digest, restored.base.revision], `seed ${seed}`).toEqual([digest, revision]);
      expect((await evertree('verify', data)).status, `seed ${seed}`).toBe(0);
      expect(readdirSync(data), `seed ${seed}`).not.toContain('unfinished.json');
    }
    expect(killed, `seed ${seed}`).toBeGreaterThan(0);
  }, 120_000);
});

/** Some megabytes: an image in parts, and stretches after it. */
async function largeArchive() {
  const { store } = await memoryStore({ site: 'north' });
  for (let index = 0; index < 20_000; index++) store.put(['devices', `d${index}`], { name: `device ${index}`, mtu: index });
  store.cut();
  const snapshot = snapshotOf(store);
  const base = store.position.revision;
  for (let index = 0; index < 60_000; index++) {
    store.put(['devices', `d${(index * 7) % 20_000}`, 'mtu'], 1e6 + index);
    if (index % 500 === 0) store.cut();
  }
  await store.flush();
  const frames = (await framesOf(store.journal)).filter(({ header }) => header.base.revision >= base);
  const { digest, position } = store;
  await store.close();
  const target = join(root, 'large');
  await using opened = await openTarget(target, { clock: systemClock, random: systemRandom, make: true });
  const maker = new ArchiveMaker(opened);
  const line = maker.line('north');
  await line.image(snapshot, { partBytes: 100_000 });
  for (const group of inGroups(frames, 10)) await line.stretch(group);
  await maker.publish();
  return { target, digest, revision: position.revision };
}
