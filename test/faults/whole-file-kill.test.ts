import { watch } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTarget } from '@evertree/archive';
import { formatPosition } from '@evertree/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock, systemRandom } from '../support/host.ts';
import { run, start } from '../support/program.ts';
import { archiveHistory, oracleHistory } from '../support/restorable.ts';
import { until } from '../support/site-process.ts';

/** Commands that write a file, killed while they do: its name has what it had before, or all of what is new. */

const LIMIT_MS = 25_000;
/** Each test starts a dozen processes. */
const TEST_LIMIT_MS = 90_000;
const BEFORE = 'what was there before\n';
/** How often a command whose file is small is killed: the moment is not in our hands. */
const ROUNDS = 4;

let folder: string;
let server: Server | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evertree-whole-file-'));
  await writeFile(join(folder, 'out.json'), BEFORE);
});
afterEach(async () => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
  await rm(folder, { recursive: true, force: true });
});

const read = () => readFile(join(folder, 'out.json'), 'utf8');
const unfinished = async () => (await readdir(folder)).filter(name => /^out\.json\.[0-9a-f]{8}\.tmp$/.test(name));

/** Runs it, and kills it as soon as it has begun a file beside its target. */
async function killAtFirstFile(args: readonly string[]): Promise<void> {
  await using running = start(args, folder);
  const begun = Promise.withResolvers<void>();
  const watching = watch(folder, (_, name) => {
    if (name?.endsWith('.tmp')) running.process.kill('SIGKILL');
    if (name?.endsWith('.tmp')) begun.resolve();
  });
  await Promise.race([begun.promise, running.ended]);
  await running.ended;
  watching.close();
}

/** What the run after it leaves, and says of what the killed one left. */
async function expectMended(args: readonly string[], expected: string): Promise<void> {
  const left = await unfinished();
  const ended = await run(args, { cwd: folder });
  expect(ended.status).toBe(0);
  expect(await read()).toBe(expected);
  // Another run might be writing them: they are named, and stay.
  expect(await unfinished()).toEqual(left);
  for (const name of left.slice(0, 3)) expect(ended.stderr).toContain(name);
  expect(ended.stderr.includes('what a run that was killed has left')).toBe(left.length > 0);
  for (const name of left) await rm(join(folder, name));
  expect((await run(args, { cwd: folder })).stderr).not.toContain('killed');
}

/** A site whose answer stops in its middle, or not. */
async function serve(answer: string, isStuck: () => boolean): Promise<string> {
  server = createServer((_, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json', 'Evertree-Position': '1-1' });
    if (isStuck()) response.write(answer.slice(0, answer.length / 2));
    else response.end(answer);
  }).listen(0, '127.0.0.1');
  await new Promise(resolve => server!.once('listening', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('export --output', { timeout: TEST_LIMIT_MS }, async () => {
  const answer = JSON.stringify(Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`k${n}`, 'x'.repeat(100)])));
  let isStuck = true;
  const url = await serve(answer, () => isStuck);
  const args = ['export', '--output', 'out.json', '--url', url];
  await using running = start(args, folder);
  const bytes = async () => {
    const [name] = await unfinished();
    return name === undefined ? 0 : (await stat(join(folder, name))).size;
  };
  await until('the half of it is written', async () => (await bytes()) > answer.length / 4, LIMIT_MS);
  running.process.kill('SIGKILL');
  await running.ended;
  expect(await read()).toBe(BEFORE);
  expect(await unfinished()).toHaveLength(1);
  isStuck = false;
  await expectMended(args, `${answer}\n`);
});

describe('restore', () => {
  test('of a subtree into a file', { timeout: TEST_LIMIT_MS }, async () => {
    const made = await oracleHistory(8, 40);
    {
      await using target = await openTarget(join(folder, 'archive'), { clock: systemClock, random: systemRandom, make: true });
      await archiveHistory(target, made, { sealing: 'plain' });
    }
    const { position } = made.states.at(-1)!;
    const args = ['restore', 'archive', '--path', '', '--to', formatPosition(position), '--output', 'out.json'];
    const printed = await run(args.slice(0, -2), { cwd: folder });
    expect(printed.status).toBe(0);
    for (let round = 0; round < ROUNDS; round++) {
      await killAtFirstFile(args);
      expect([BEFORE, printed.stdout]).toContain(await read());
    }
    await expectMended(args, printed.stdout);
  });
});

test('timestamp fetch', { timeout: TEST_LIMIT_MS }, async () => {
  const position = { epoch: 1, epochId: 'cd'.repeat(8), revision: 7 };
  const timestamp = { stream: 'ab'.repeat(16), lease: 'lease', site: 'north', position, held: [] };
  const url = await serve(JSON.stringify(timestamp), () => false);
  const args = ['timestamp', 'fetch', '--file', 'out.json', '--force', '--url', url];
  const whole = `${JSON.stringify(timestamp, undefined, 2)}\n`;
  for (let round = 0; round < ROUNDS; round++) {
    await writeFile(join(folder, 'out.json'), BEFORE);
    await killAtFirstFile(args);
    expect([BEFORE, whole]).toContain(await read());
  }
  await expectMended(args, whole);
});
