import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { REPOSITORY, Running } from '../support/program.ts';
import { describeKafka, sharedBroker } from '../support/kafka/suite.ts';
import { freePort } from '../support/site-process.ts';
import { START_LIMIT_MS, TopicProcesses, expectNever, untilEqual } from '../support/topic-processes.ts';

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

  test('the past of a tree: read, asked, undone', async () => {
    await using running = example('read-the-past.ts');
    expect(await running.ended).toEqual({
      status: 0,
      stderr: '',
      stdout: [
        'r2 had { mtu: 1500 }',
        'bob delete /devices/r2 ',
        'bob put /devices/r1/mtu jumbo frames',
        '/devices/r2 was there at 1-4',
        'to be set back: /devices/r1/mtu, /devices/r2',
        '/devices/r1/mtu put by eve',
        '/devices/r2/mtu above by eve',
        '',
      ].join('\n'),
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

test('two sites in one process swap roles, and swap them back', async () => {
  await using swap = new Running(join(REPOSITORY, 'examples', 'swap-roles.ts'), ['sites', String(await freePort(2))], folder);
  expect(await swap.ended).toMatchObject({
    status: 0,
    stderr: '',
    stdout: expect.stringMatching(
      /^1-2 was written at north\nnorth → south: done, writers waited \d+\.\d ms\n2-5 was written at south\nsouth → north: done, writers waited .*\n3-8 was written at north\n$/,
    ),
  });
});

describeKafka('an example that needs a broker', () => {
  test("reads a stream's topic, in JSON, with nothing but kafkajs", async () => {
    const broker = await sharedBroker();
    await using sites = await TopicProcesses.at(broker, { journal: { encoding: 'json' } });
    const [primary, secondary] = [await sites.primary(), await sites.secondary()];
    await Promise.all([primary.start(START_LIMIT_MS), secondary.start(START_LIMIT_MS)]);
    const post = async (...operations: readonly unknown[]): Promise<void> => {
      const headers = { 'content-type': 'application/x-ndjson' };
      const body = operations.map(operation => JSON.stringify(operation)).join('\n');
      expect(await (await fetch(`${primary.url}/batch`, { method: 'POST', headers, body })).json()).toMatchObject({
        committed: operations.length,
      });
    };
    await post(['put', '/devices/r1', { mtu: 1500 }], ['merge', '/devices/r1', { up: true }]);
    await using reader = example('read-topic.ts', broker, sites.topic);
    await reader.printed(/^1-2 20\S+Z \["put","\/devices\/r1",\{"mtu":1500\}\]\n1-3 20\S+Z \["put","\/devices\/r1\/up",true\]$/m);
    // In parts, as it is larger than a record may be; and what comes after it.
    await post(['put', '/large', 'ü'.repeat(200_000)], ['delete', '/devices/r1/mtu']);
    await reader.printed(/^1-4 20\S+Z \["put","\/large","ü{200000}"\]\n1-5 20\S+Z \["delete","\/devices\/r1\/mtu"\]$/m);
    expect((await reader.stop()).status).toBe(0);
    await untilEqual(primary, secondary);
    expectNever([], primary, secondary);
  });

  test('says what to set when the frames are binary', async () => {
    const broker = await sharedBroker();
    await using sites = await TopicProcesses.at(broker);
    await using primary = await sites.primary();
    await primary.start(START_LIMIT_MS);
    await fetch(`${primary.url}/data/a`, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: '1' });
    await using reader = example('read-topic.ts', broker, sites.topic);
    expect(await reader.ended).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('set "journal": { "encoding": "json" } at the primary'),
    });
  });
});
