import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Ended, type Running, run, start } from '../support/program.ts';
import { freePort, until } from '../support/site-process.ts';

/** Roles as an operator changes them: by commands, at sites that are processes of their own. */

const LIMIT_MS = 20_000;

type Name = 'a' | 'b';

let path: string;
let ports: Readonly<Record<Name, { readonly http: number; readonly wire: number }>>;
const running = new Map<Name, Running>();

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'evertree-roles-'));
  ports = { a: { http: await freePort(), wire: await freePort() }, b: { http: await freePort(), wire: await freePort() } };
  for (const [name, other] of [
    ['a', 'b'],
    ['b', 'a'],
  ] as const) {
    const connection = { 'consumer-address': '127.0.0.1', 'consumer-port': ports[other].wire, 'connection-retry-interval-ms': 50 };
    await writeFile(join(path, `${name}-primary.json`), JSON.stringify({ 'netty-connection': connection }));
    await writeFile(join(path, `${name}-secondary.json`), JSON.stringify({ 'netty-consumer': { 'listening-port': ports[name].wire } }));
  }
});
afterEach(async () => {
  for (const process of running.values()) await process[Symbol.asyncDispose]();
  running.clear();
  await rm(path, { recursive: true, force: true });
});

function argsOf(name: Name, role: 'primary' | 'secondary', ...more: readonly string[]): string[] {
  const place = ['--data', name, '--site', `box-${name}`, '--http', `127.0.0.1:${ports[name].http}`];
  return [role, '--config', `${name}-${role}.json`, ...place, ...more];
}

/** Starts a site that can play both roles. */
function both(name: Name, role: 'primary' | 'secondary'): Promise<void> {
  return site(name, argsOf(name, role, '--standby-config', `${name}-${role === 'primary' ? 'secondary' : 'primary'}.json`));
}

async function site(name: Name, args: readonly string[]): Promise<void> {
  const process = start(args, path);
  running.set(name, process);
  await process.printed('"event":"started"', 'stderr', LIMIT_MS);
}

async function kill(name: Name): Promise<void> {
  await running.get(name)?.stop('SIGKILL');
  running.delete(name);
}

function at(name: Name, ...args: readonly string[]): Promise<Ended> {
  return run([...args, '--url', `http://127.0.0.1:${ports[name].http}`], { cwd: path });
}

async function done(ended: Promise<Ended>): Promise<string> {
  const { status: exit, stdout, stderr } = await ended;
  expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
  return stdout;
}

interface Shown {
  readonly standing: string;
  readonly position: { readonly revision: number };
  readonly digest: string;
  readonly divergences: readonly { readonly name: string; readonly commits: number }[];
  readonly epochs: readonly { readonly number: number; readonly site: string; readonly end?: { readonly to: string } }[];
  readonly peers: readonly { readonly site: string; readonly state: string }[];
}

async function status(name: Name): Promise<Shown> {
  return JSON.parse(await done(at(name, 'status', '--json'))) as Shown;
}

async function agree(): Promise<void> {
  await until(
    'both have one tree',
    async () => {
      const [a, b] = [await status('a'), await status('b')];
      return a.position.revision === b.position.revision && a.digest === b.digest;
    },
    LIMIT_MS,
  );
}

/** The first secondary, and a first commit that it has. */
async function startPair(): Promise<void> {
  await both('b', 'secondary');
  await both('a', 'primary');
  await done(at('a', 'put', '', '{"x":1}', '--acknowledge', '1', '--wait', '20'));
}

describe('switchover', () => {
  test('there and back, by the same command at either site; clients follow', async () => {
    await startPair();
    expect(await done(at('a', 'switchover', '--dry-run'))).toMatch(/^possible\nbox-a can hand over to box-b; writers would wait about \d/);
    expect(await done(at('a', 'switchover', '--to', 'box-b'))).toMatch(
      /^done: box-b is the primary, and goes on from 1-\d+ of box-a; writers waited \d/,
    );
    expect(await done(at('a', 'put', '/x', '2', '--follow', '--acknowledge', '1', '--wait', '20'))).toMatch(/^2-\d+\n$/);
    await agree();
    expect(await done(at('a', 'status'))).toMatch(
      /box-a {2}secondary {2}replicating\n[^]* {2}epoch 1 {3}box-a after 0-0, .*, handed over to box-b\n {2}epoch 2 {3}box-b after 1-\d+/,
    );
    expect((await fetch(`http://127.0.0.1:${ports.b.http}/healthz?role=primary`)).status).toBe(200);
    expect((await fetch(`http://127.0.0.1:${ports.a.http}/healthz?role=primary`)).status).toBe(503);
    expect(await done(at('a', 'switchover', '--to', 'box-a', '--json')), 'asked at the secondary').toMatch(/"outcome":"done"/);
    expect(await status('a')).toMatchObject({ standing: 'primary', divergences: [] });
    await agree();
  });

  test('under HTTP writers of which each follows 307: every write is answered with success, and stands at both sites', async () => {
    await startPair();
    const written: string[] = [];
    const answers = new Map<string, number>();
    const stop = new AbortController();
    let origin = `http://127.0.0.1:${ports.a.http}`;
    const write = async (writer: number) => {
      for (let count = 0; !stop.signal.aborted;) {
        const id = `${writer}-${count}`;
        const headers = { 'Content-Type': 'application/json' };
        const response = await fetch(`${origin}/data/${id}`, { method: 'PUT', headers, body: JSON.stringify(id) });
        const { primary } = (await response.json()) as { readonly primary?: { readonly address?: string } };
        const answer = `${response.status}${response.redirected ? ' redirected' : ''}`;
        answers.set(answer, (answers.get(answer) ?? 0) + 1);
        if (response.status === 200) written.push(id);
        if (response.status === 200) count++;
        // One that comes when all is over is told, and not redirected.
        origin = response.redirected ? new URL(response.url).origin : (primary?.address ?? origin);
      }
    };
    const writers = Array.from({ length: 10 }, (_, writer) => write(writer));
    for (const [from, to] of [
      ['a', 'b'],
      ['b', 'a'],
    ] as const) {
      const before = written.length;
      await until('writers write', () => Promise.resolve(written.length > before + 20), LIMIT_MS);
      await done(at(from, 'switchover', '--to', `box-${to}`));
    }
    stop.abort();
    await Promise.all(writers);
    expect([...answers.keys()].filter(answer => !/^(?:200|409)/.test(answer))).toEqual([]);
    expect(answers.get('200 redirected')).toBeGreaterThan(0);
    await agree();
    const tree = JSON.parse(await done(at('b', 'export'))) as Record<string, unknown>;
    expect(written.filter(id => tree[id] !== id)).toEqual([]);
  });

  test('is refused with every obstacle, and with 3', async () => {
    await site('b', argsOf('b', 'secondary'));
    await site('a', argsOf('a', 'primary'));
    await done(at('a', 'put', '/x', '1', '--acknowledge', '1', '--wait', '20'));
    const told = /box-a has no standby file.*--standby-config[^]*box-b has no primary file.*--standby-config/;
    expect(await at('a', 'switchover', '--dry-run')).toMatchObject({ status: 3, stdout: expect.stringMatching(/^not possible\n/) });
    expect(await at('a', 'switchover', '--dry-run')).toMatchObject({ status: 3, stdout: expect.stringMatching(told) });
    expect(await at('a', 'switchover')).toMatchObject({ status: 3, stdout: '', stderr: expect.stringMatching(told) });
    expect(await status('a')).toMatchObject({ standing: 'primary' });
  });
});

describe('promote', () => {
  test('names a command that does what it says: with --force beside a primary that answers, none at the primary', async () => {
    await startPair();
    expect(await at('b', 'promote', '--dry-run')).toMatchObject({
      status: 3,
      stdout: expect.stringMatching(/^not possible\n[^]*\nto do so all the same: evertree promote --confirm [0-9a-f]+ --force --url http/),
    });
    expect(await done(at('b', 'promote', '--dry-run', '--force'))).toMatch(
      /^possible\n[^]*\nto do so: evertree promote --confirm [0-9a-f]+ --force --url http/,
    );
    const here = await at('a', 'promote', '--dry-run');
    expect([here.status, here.stdout]).toEqual([3, expect.not.stringMatching(/to do so/)]);
    expect(await at('a', 'switchover', '--dry-run', '--cancel')).toMatchObject({ status: 2, stdout: '' });
  });

  test('tells what may be lost; the old primary comes back, keeps what only it had, and an operator replays it', async () => {
    await startPair();
    await kill('b');
    await done(at('a', 'put', '/x', '2'));
    await done(at('a', 'put', '/z', '{"q":1}'));
    await kill('a');
    await both('b', 'secondary');
    const forecast = await done(at('b', 'promote', '--dry-run'));
    expect(forecast).toMatch(
      /^possible\nbox-b would be the primary from 1-2 on; .*\nlost: nothing that is known; what else only the old primary has is unknown/,
    );
    const confirm = /--confirm ([0-9a-f]+) --url/.exec(forecast)?.[1] ?? '';
    expect(await at('b', 'promote', '--confirm', '0'.repeat(16))).toMatchObject({ status: 3, stdout: '' });
    expect(await done(at('b', 'promote', '--confirm', confirm))).toMatch(/^done: this site is the primary, in epoch 2 from 2-3 on\nlost: /);
    await done(at('b', 'put', '/x', '7'));

    await both('a', 'primary');
    await until('a keeps what only it had', async () => (await status('a')).divergences.length === 1, LIMIT_MS);
    await agree();
    expect(await done(at('a', 'divergences'))).toMatch(
      /^1 {2}1-[0-9a-f]{16}-2-4\n {3}2 commits .* after 1-2 up to 1-4, from .*\n {3}by nobody named, at "\/x", "\/z"\n/,
    );
    expect(await done(at('a', 'divergences', 'show', '1'))).toMatch(/^1-3 .*\n {2}put \/x 2\n1-4 .*\n {2}put \/z \{"q":1\}\n$/);
    const shown = '1-3 conflict, left out\n  "/x" was changed since the fork, by 2-4\n';
    expect(await at('a', 'divergences', 'replay', '1', '--dry-run')).toMatchObject({ status: 3, stdout: `${shown}1-4 would be applied\n` });
    expect(await at('a', 'divergences', 'replay', '1')).toMatchObject({ status: 3, stdout: `${shown}1-4 applied as 2-5\n` });
    expect(await done(at('a', 'divergences', 'replay', '1', '--commit', '1-4'))).toBe('1-4 was applied before as 2-5\n');
    expect(await done(at('a', 'divergences', 'replay', '1', '--commit', '1-3', '--force'))).toMatch(/^1-3 applied as 2-6\n/);
    await agree();
    expect(JSON.parse(await done(at('a', 'export')))).toEqual({ x: 2, z: { q: 1 } });
    expect(await done(at('a', 'divergences', 'export', '1'))).toMatch(
      /^\{"position":\{"epoch":1,"revision":3\},.*"replayed":true,"standing":false\}\n\{/,
    );
    expect(await done(at('a', 'divergences'))).toMatch(
      /all of its commits were applied again: nothing is to be done, and "evertree divergences forget 1 --url http/,
    );
    expect(await done(at('a', 'status'))).toMatch(/2 commits kept as \S+; all applied again\n {4}evertree divergences forget /);
    await done(at('a', 'divergences', 'forget', '1'));
    expect(await done(at('a', 'divergences'))).toMatch(/keeps no divergence/);
  });
});

describe("the ancestor's way: each is stopped, and started with the other's file", () => {
  test('wants --promote of the former secondary, and lets the former primary follow', async () => {
    await site('b', argsOf('b', 'secondary'));
    await site('a', argsOf('a', 'primary'));
    await done(at('a', 'put', '/x', '1', '--acknowledge', '1', '--wait', '20'));
    await running.get('a')?.stop('SIGTERM');
    await running.get('b')?.stop('SIGTERM');
    const refused = await run(argsOf('b', 'primary'), { cwd: path });
    expect(refused).toMatchObject({
      status: 3,
      stderr: expect.stringMatching(/add --promote: commits that only its old primary has.*WRONG_ROLE/),
    });
    await site('a', argsOf('a', 'secondary'));
    await site('b', argsOf('b', 'primary', '--promote'));
    await done(at('b', 'put', '/x', '2', '--acknowledge', '1', '--wait', '20'));
    await agree();
    expect(await status('a')).toMatchObject({ standing: 'secondary', divergences: [] });
    expect(await status('b')).toMatchObject({ standing: 'primary' });
    await running.get('b')?.stop('SIGTERM');
    await site('b', argsOf('b', 'primary'));
    expect(await status('b'), 'it is a primary from now on').toMatchObject({ standing: 'primary' });
  });
});
