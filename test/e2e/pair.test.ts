import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore } from 'evertree';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Running, run, start } from '../support/program.ts';
import { freePort, until } from '../support/site-process.ts';

const LIMIT_MS = 25_000;

let data: string;
let http: number;
let pair: Running | undefined;

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'evertree-pair-'));
  http = await freePort(2);
});
afterEach(async () => {
  // The children see by their channel that their parent is gone.
  await pair?.[Symbol.asyncDispose]();
  await rm(data, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

async function startPair(...more: string[]): Promise<Running> {
  pair = start(['pair', '--data', data, '--http', String(http), ...more]);
  await pair.printed('Ctrl-C ends both', 'stdout', LIMIT_MS);
  return pair;
}

async function get(port: number, path: string): Promise<unknown> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return response.ok ? await response.json() : undefined;
  } catch {
    return undefined; // Killed, or not there yet.
  }
}

async function revision(port: number): Promise<number> {
  const status = (await get(port, '/status')) as { position: { revision: number } } | undefined;
  return status?.position.revision ?? -1;
}

function childrenOf(pid: number | undefined): number[] {
  return execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
    .trim()
    .split(/\s+/)
    .map(Number);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('a pair on this machine', () => {
  test('feeds readings of this machine, and the commands that it prints work as printed', async () => {
    const { stdout } = await startPair();
    expect(stdout).toContain(`http://127.0.0.1:${http} `);
    expect(stdout).toContain(`http://127.0.0.1:${http + 1} `);
    await until('the secondary has a reading', async () => (await get(http + 1, '/data/host/load/one')) !== undefined, LIMIT_MS);
    expect(await get(http + 1, '/data/host')).toMatchObject({ memory: { totalBytes: expect.any(Number) }, processes: {}, network: {} });
    const before = await revision(http);
    await until('the feed goes on', async () => (await revision(http)) >= before + 2, LIMIT_MS);

    const commands = [...stdout.matchAll(/^ {4}npx -y pnpm evertree (.*)$/gm)].map(match => match[1] ?? '');
    expect(commands).toHaveLength(3);
    const [put, read, watch] = commands.map(command => command.split(' ').map(word => word.replaceAll("'", '')));
    expect(await run(put ?? [])).toMatchObject({ status: 0 });
    await until('the secondary has it', async () => (await get(http + 1, '/data/hello')) === 'world', LIMIT_MS);
    expect(await run(read ?? [])).toEqual({ status: 0, stdout: '"world"\n', stderr: '' });
    await using watching = start(watch ?? []);
    await watching.printed('state');

    expect(await pair?.stop()).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringContaining('the next start goes on from here'),
    });
  });

  test('a child that is killed is started again, and a second start goes on where the first ended', async () => {
    const first = await startPair('--feed', 'none');
    expect(await run(['put', '/kept', '1', '--url', `127.0.0.1:${http}`])).toMatchObject({ status: 0 });
    for (const child of childrenOf(first.process.pid)) {
      process.kill(child, 'SIGKILL');
      await until('it is gone', async () => !isAlive(child), LIMIT_MS);
    }
    await first.printed(/the primary was ended by SIGKILL; it is started again/, 'stdout', LIMIT_MS);
    await first.printed(/the secondary was ended by SIGKILL; it is started again/, 'stdout', LIMIT_MS);
    for (const port of [http, http + 1]) await until('it has what it had', async () => (await get(port, '/data/kept')) === 1, LIMIT_MS);
    const at = await revision(http);
    expect((await first.stop('SIGTERM')).status).toBe(0);

    await startPair('--feed', 'none');
    expect(await get(http, '/data/kept')).toBe(1);
    expect(await revision(http)).toBe(at);
  });

  test('when it is killed itself, its children stop in order', async () => {
    const { process: parent } = await startPair('--feed', 'none');
    const children = childrenOf(parent.pid);
    expect(children).toHaveLength(2);
    parent.kill('SIGKILL');
    for (const child of children) await until('the child is gone', async () => !isAlive(child), LIMIT_MS);
  });

  test("the error of a child that can't start is printed, and the pair exits with the child's status", async () => {
    await using store = await openStore({ data: join(data, 'primary') });
    const ended = await run(['pair', '--data', data, '--http', String(http)]);
    expect(ended).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('is in use by another process'),
      stderr: expect.stringContaining('the primary ended with 1'),
    });
    expect(store.state).toBe('open');
  });

  test('a port in use is reported before anything starts', async () => {
    await startPair('--feed', 'none');
    const other = await run(['pair', '--data', join(data, 'other'), '--http', String(http)]);
    expect(other).toMatchObject({ status: 1, stdout: '', stderr: expect.stringContaining(`the port ${http} on 127.0.0.1 is in use`) });
  });

  test('swaps roles by a command, and the next start goes on with the roles as they are', async () => {
    const first = await startPair();
    await until('the secondary has a reading', async () => (await get(http + 1, '/data/host')) !== undefined, LIMIT_MS);
    expect(await run(['switchover', '--url', `http://127.0.0.1:${http}`])).toMatchObject({ status: 0 });
    await first.printed(`called secondary, at http://127.0.0.1:${http + 1}, takes writes`, 'stdout', LIMIT_MS);
    const before = await revision(http + 1);
    await until('the feed goes on at the new primary', async () => (await revision(http + 1)) >= before + 2, LIMIT_MS);
    expect(await first.stop()).toMatchObject({ status: 0 });
    await startPair('--feed', 'none');
    expect(await get(http + 1, '/status')).toMatchObject({ standing: 'primary' });
    expect(await get(http, '/status')).toMatchObject({ standing: 'secondary' });
  });
});
