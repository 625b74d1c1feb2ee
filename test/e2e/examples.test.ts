import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { REPOSITORY, Running } from '../support/program.ts';
import { freePort } from '../support/site-process.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evertree-examples-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function example(name: string, ...args: string[]): Running {
  return new Running(join(REPOSITORY, 'examples', name), args, folder);
}

describe('examples', () => {
  test('a typed subtree', async () => {
    await using running = example('typed-subtree.ts');
    expect(await running.ended).toEqual({
      status: 0,
      stderr: '',
      stdout: expect.stringMatching(/^refused: the guard on "\/devices" .*\nlog: undefined\nmtu: 1500\n$/),
    });
  });

  test('an embedded primary and an embedded secondary', async () => {
    const port = await freePort();
    const producer = { 'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': port, 'connection-retry-interval-ms': 50 } };
    await writeFile(join(folder, 'producer.json'), JSON.stringify(producer));
    await writeFile(join(folder, 'consumer.json'), JSON.stringify({ 'netty-consumer': { 'listening-port': port } }));
    // The primary first: it waits for its secondary.
    await using primary = example('embed-primary.ts', 'a', 'producer.json');
    await primary.printed('waiting for a secondary');
    await using secondary = example('embed-secondary.ts', 'b', 'consumer.json');
    expect(await primary.ended).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringMatching(/1-2 is on .*\n.*\n1-4 is durable at site-/),
    });
    await secondary.printed('/devices/r2/up: write, undefined → true');
    await secondary.printed('/devices/r1/up: write, false → true');
    expect(await secondary.stop()).toMatchObject({ status: 0, stderr: '' });
  });
});
