import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Running, run, start } from '../support/program.ts';
import { freePort } from '../support/site-process.ts';

/** What `switchover --dry-run` tells of the machines: sites that are processes of their own, one with another clock. */

const LIMIT_MS = 20_000;
const AHEAD_MS = 90_000;
/** Loaded before the program: that process has another clock. */
const CLOCK_AHEAD = `--import=data:text/javascript,const{now}=Date;Date.now=()=>now()+${AHEAD_MS}`;

const NAMES = ['a', 'b', 'c'] as const;
type Name = (typeof NAMES)[number];

let path: string;
let http: number;
let wire: number;
const running: Running[] = [];

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'evertree-preflight-'));
  http = await freePort(NAMES.length);
  wire = await freePort(NAMES.length);
});
afterEach(async () => {
  for (const process of running.splice(0)) await process[Symbol.asyncDispose]();
  await rm(path, { recursive: true, force: true });
});

async function site(name: Name, role: 'primary' | 'secondary', feeds: readonly Name[], env: NodeJS.ProcessEnv = {}): Promise<void> {
  const port = (other: Name) => wire + NAMES.indexOf(other);
  const connections = feeds.map(other => ({
    'consumer-address': '127.0.0.1',
    'consumer-port': port(other),
    'connection-retry-interval-ms': 50,
  }));
  await writeFile(join(path, `${name}-primary.json`), JSON.stringify({ 'netty-connection': connections }));
  await writeFile(join(path, `${name}-secondary.json`), JSON.stringify({ 'netty-consumer': { 'listening-port': port(name) } }));
  const standby = role === 'primary' ? 'secondary' : 'primary';
  const files = ['--config', `${name}-${role}.json`, '--standby-config', `${name}-${standby}.json`];
  const place = ['--data', name, '--site', `box-${name}`, '--http', `127.0.0.1:${http + NAMES.indexOf(name)}`];
  const process = start([role, ...files, ...place], path, env);
  running.push(process);
  await process.printed('"event":"started"', 'stderr', LIMIT_MS);
}

test('a dry run tells of clocks that differ, and of a secondary that the target would not feed; neither stands in the way', async () => {
  await site('c', 'secondary', ['a', 'b']);
  await site('b', 'secondary', ['a'], { NODE_OPTIONS: CLOCK_AHEAD });
  await site('a', 'primary', ['b', 'c']);
  const url = `http://127.0.0.1:${http}`;
  const at = (...args: readonly string[]) => run([...args, '--url', url], { cwd: path });
  expect(await at('put', '/x', '1', '--acknowledge', '2', '--wait', '20')).toMatchObject({ status: 0 });

  const told = await at('switchover', '--to', 'box-b', '--dry-run');
  expect(told).toMatchObject({ status: 0, stderr: '' });
  expect(told.stdout).toMatch(
    /^possible\n {2}clocks-differ: the clock of box-b is (?:89\.9|90\.0)\d\d s ahead of that of box-a \(measured over the link, to within \d/,
  );
  expect(told.stdout).toMatch(/\n {2}secondary-unreached: box-b would not feed box-c: .*add its address to that file/);
  expect(told.stdout).toMatch(/\nbox-a can hand over to box-b; writers would wait about \d/);

  const asked = await run(['switchover', '--to', 'box-b', '--dry-run', '--json', '--url', `http://127.0.0.1:${http + 1}`], { cwd: path });
  const { possible, obstacles, warnings } = JSON.parse(asked.stdout) as {
    readonly possible: boolean;
    readonly obstacles: readonly object[];
    readonly warnings: readonly { readonly code: string }[];
  };
  expect([possible, obstacles, warnings.map(({ code }) => code)], 'asked at the target').toEqual([
    true,
    [],
    ['clocks-differ', 'secondary-unreached'],
  ]);
});

test('nothing is told of machines that agree', async () => {
  await site('b', 'secondary', ['a']);
  await site('a', 'primary', ['b']);
  const url = `http://127.0.0.1:${http}`;
  expect(await run(['put', '/x', '1', '--acknowledge', '1', '--wait', '20', '--url', url], { cwd: path })).toMatchObject({ status: 0 });
  const { stdout } = await run(['switchover', '--dry-run', '--url', url], { cwd: path });
  expect(stdout).toMatch(/^possible\nbox-a can hand over to box-b; writers would wait about \d[^\n]*\n$/);
});
