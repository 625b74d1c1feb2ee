import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PROGRAM } from '../support/program.ts';
import { freePort } from '../support/site-process.ts';

/** Tells on its last line what was loaded: dependencies, rooms and what Node loads of its own on demand. */
const TELLS_LOADED = `
  import { registerHooks } from 'node:module';
  const loaded = new Set();
  registerHooks({
    resolve(specifier, context, next) {
      if (/^[@a-z]/.test(specifier) && !specifier.startsWith('file:')) loaded.add(specifier);
      return next(specifier, context);
    },
  });
  process.on('exit', () => {
    if (process.moduleLoadList.some(name => name.includes('undici'))) loaded.add('fetch of Node');
    process.stderr.write('loaded ' + JSON.stringify([...loaded]) + '\\n');
  });`;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evertree-loading-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Runs the program, stops a site once it is started, and gives what was loaded. */
async function loadedBy(...args: readonly string[]): Promise<string[]> {
  const hooks = `data:text/javascript,${encodeURIComponent(TELLS_LOADED)}`;
  const child = spawn(process.execPath, ['--import', hooks, PROGRAM, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let last = '';
  for await (const line of createInterface({ input: child.stderr })) {
    if (line.includes('"event":"started"')) child.kill('SIGTERM');
    last = line;
  }
  if (child.exitCode === null) await once(child, 'exit');
  expect(child.exitCode, last).toBe(0);
  return JSON.parse(last.slice('loaded '.length)) as string[];
}

function matching(loaded: readonly string[], pattern: RegExp): string[] {
  return loaded.filter(name => pattern.test(name));
}

describe('a start loads what it needs, and no more', () => {
  test('get', async () => {
    const server = createServer((_request, response) => response.end('{}')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const loaded = await loadedBy('get', '', '--url', `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.close();
    expect(matching(loaded, /^(?:@evertree\/|commander$)/)).toEqual(['commander', '@evertree/core', '@evertree/history/when']);
    const heavy = /zod|prometheus|kafkajs|aws-sdk|^ws$|age-encryption|sqlite|worker_threads|node:http$|https|fetch of Node/;
    expect(matching(loaded, heavy)).toEqual([]);
  });

  test('a primary on WebSocket', async () => {
    const config = join(folder, 'primary.json');
    await writeFile(config, JSON.stringify({ 'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': 1 } }));
    const loaded = await loadedBy(
      'primary',
      '--config',
      config,
      '--data',
      join(folder, 'data'),
      '--http',
      String(await freePort()),
      '--log',
      'json',
    );
    expect(matching(loaded, /^(?:ws|@evertree\/transport\/.*)$/)).toEqual(['@evertree/transport/websocket', 'ws']);
    expect(matching(loaded, /kafka|aws-sdk|age-encryption|@evertree\/archive|fetch of Node/)).toEqual([]);
  });
});
