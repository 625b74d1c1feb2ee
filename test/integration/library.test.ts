import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type OpenStoreOptions, type Store, openSite, openStore, replayDirectory, startConsumer, startProducer, version } from 'evertree';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { REPOSITORY } from '../support/program.ts';
import { freePort, until } from '../support/site-process.ts';
import { onPort, toPort } from '../support/netty-files.ts';
import { collectReports } from '../support/reports.ts';

const LIMIT_MS = 20_000;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evertree-library-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function data(name: string): string {
  return join(folder, name);
}

describe('openStore', () => {
  test('recovers what was durable, under the name and the role of the directory', async () => {
    {
      await using store = await openStore({ data: data('a'), site: 'box-a' });
      const commit = store.transact(tx => {
        tx.put('/devices/r1', { mtu: 1500 });
        tx.merge(['devices', 'r1'], { up: true });
        tx.delete('/old');
      });
      expect(commit.position).toEqual(expect.objectContaining({ epoch: 1, revision: 2 }));
      await commit.durable;
    }
    await using again = await openStore({ data: data('a') });
    expect(again.get('')).toEqual({ devices: { r1: { mtu: 1500, up: true } } });
    expect([again.site, again.role]).toEqual(['box-a', 'primary']);
  });

  test('in memory no commit is durable, and a promise is rejected only if the caller asks for it', async () => {
    await using store = await openStore({ data: 'memory' });
    const commit = store.put('/a', 1);
    expect(store.get('/a')).toBe(1);
    await expect(commit.durable).rejects.toMatchObject({ code: 'NOT_DURABLE' });
  });

  test('without a log, a listener that throws is printed once, unless somebody listens for errors', async () => {
    const print = vi.spyOn(process, 'emitWarning').mockReturnValue();
    await using store = await openStore({ data: 'memory' });
    let calls = 0;
    store.listen('/a', () => {
      calls++;
      throw new Error('mine');
    });
    store.put('/a', 1);
    await vi.waitFor(() => expect(calls).toBe(2));
    const message = expect.stringMatching(/the listener on "\/a" threw, .*: mine \(printed once/) as string;
    expect(print.mock.calls).toEqual([[message, expect.objectContaining({ code: 'EVERTREE_LISTENER_THREW' })]]);
    await using heard = await openStore({ data: 'memory' });
    const errors: unknown[] = [];
    heard.on('error', error => void errors.push(error));
    heard.listen('/a', () => {
      throw new Error('heard');
    });
    await vi.waitFor(() => expect(errors).toEqual([new Error('heard')]));
    expect(print).toHaveBeenCalledTimes(1);
    print.mockRestore();
  });

  test('a directory belongs to one store at a time, and to the same site for ever', async () => {
    const store = await openStore({ data: data('a'), site: 'box-a' });
    await expect(openStore({ data: data('a') })).rejects.toMatchObject({ code: 'DIRECTORY_IN_USE' });
    await store.close();
    await expect(openStore({ data: data('a'), site: 'box-b' })).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
    await expect(openStore({ data: data('a'), role: 'secondary' })).rejects.toMatchObject({ code: 'WRONG_ROLE' });
    await (await openStore({ data: data('a'), site: 'box-a', role: 'primary' })).close();
  });

  test.each([
    ['site.json', '{', 'DAMAGED', 'site.json is not JSON'],
    ['site.json', '{"format":99}', 'FORMAT_UNSUPPORTED', 'site.json has format version 99'],
    ['rewind.json', '{', 'DAMAGED', 'rewind.json'],
  ])('names the directory of a file that it can not read: %s with %s', async (file, text, code, problem) => {
    await (await openStore({ data: data('a') })).close();
    await writeFile(join(data('a'), file), text);
    const message = (told: string) => expect.stringContaining(`in ${data('a')}: ${told}`) as string;
    const details = { directory: data('a') };
    await expect(openStore({ data: data('a') })).rejects.toMatchObject({ code, message: message(problem), details });
    await expect(replayDirectory(data('a'), data('b'))).rejects.toMatchObject({ code: 'DAMAGED', message: message(file), details });
  });

  test('writes a snapshot whenever the journal has grown enough, and recovers from it', async () => {
    const { reports, report: log } = collectReports();
    const saved = () => reports.filter(report => report.event === 'snapshot-saved').length;
    const journal = { segmentBytes: 65_536, snapshotBytes: 65_536 };
    let digest: string;
    let written = 0;
    {
      await using store = await openStore({ data: data('a'), journal, log });
      await store.put('/a', 'little').durable;
      expect(await readdir(data('a/snapshots'))).toEqual([]);
      // Rewriting one place: the history grows, the tree and so its snapshots do not.
      await until(
        'three snapshots were written',
        async () => {
          await store.put('/a', 'x'.repeat(16_384 + written++)).durable;
          return saved() >= 3;
        },
        LIMIT_MS,
      );
      digest = store.digest;
    }
    expect(reports.filter(report => report.level !== 'info')).toEqual([]);
    await using again = await openStore({ data: data('a'), journal });
    expect(again.digest).toBe(digest);
    expect((await again.journal.snapshots.newest())?.header.position.revision).toBeGreaterThan(1);
  });
});

describe('options are checked as files are', () => {
  test.each([
    ['data: an empty text', { data: '' }, 'openStore: data is ""; write a directory, or "memory"'],
    ['data: none', {}, 'openStore: data is missing'],
    ['no options', undefined, 'openStore: is undefined; give an object with "data"'],
    ['an unknown one', { data: 'memory', sit: 'a' }, 'openStore: sit is not known; did you mean "site"?'],
    ['one of openSite', { data: 'memory', standby: 'a.json' }, 'openStore: standby is not known'],
    ['an unknown role', { data: 'memory', role: 'third' }, 'role is "third"; write one of "primary", "secondary"'],
    [
      'an unknown key',
      { data: 'memory', limits: { pendingByte: 65_536 } },
      'limits.pendingByte is not known; did you mean "pendingBytes"?',
    ],
    ['a key as in a file', { data: 'memory', journal: { 'segment-bytes': 65_536 } }, 'did you mean "segmentBytes"?'],
    ['a negative number', { data: 'memory', limits: { listenerBatches: -1 } }, 'limits.listenerBatches is -1; write batches'],
    ['a fraction', { data: 'memory', journal: { retentionMinMs: 0.5 } }, 'journal.retentionMinMs is 0.5; write'],
    ['not a number', { data: 'memory', journal: { segmentBytes: Number.NaN } }, 'journal.segmentBytes is null; write'],
    ['a log that is no function', { data: 'memory', log: console }, 'log is an object; write a function'],
    ['two encodings', { data: 'memory', encoding: 'json', journal: { encoding: 'binary' } }, 'encoding is "json", and journal.encoding'],
  ])('%s', async (_, options, message) => {
    await expect(openStore(options as unknown as OpenStoreOptions)).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      message: expect.stringContaining(message),
    });
  });

  test('all problems are reported at once, and nothing is opened', async () => {
    const options = { data: data('a'), sight: 'a', limits: { listenerBatches: 0 } } as unknown as OpenStoreOptions;
    await expect(openSite(options)).rejects.toMatchObject({
      message: expect.stringMatching(/^openSite: (sight[^]*\nopenSite: limits\.|limits\.[^]*\nopenSite: sight)/),
    });
    expect(await readdir(folder)).toEqual([]);
  });

  test('a misspelt key of a configuration does not compile, and is refused', async () => {
    await using store = await openStore({ data: 'memory' });
    const starts = [
      // @ts-expect-error: "netty-connection"
      () => startProducer(store, { 'netty-conection': { 'consumer-address': 'b', 'consumer-port': 1 } }),
      // @ts-expect-error: "consumer-port"
      () => startProducer(store, { 'netty-connection': { 'consumer-address': 'b', 'consumer-prt': 1 } }),
      // @ts-expect-error: "segment-bytes"
      () => startProducer(store, { 'netty-connection': [], journal: { 'segment-byte': 65_536 } }),
      // @ts-expect-error: "bootstrap.servers"
      () => startProducer(store, { 'kafka-producer-properties': { 'bootstrap.server': 'b:1' } }),
      // @ts-expect-error: a consumer's file
      () => startProducer(store, { 'netty-consumer': { 'listening-port': 1 } }),
      // @ts-expect-error: "listening-port"
      () => startConsumer(store, { 'netty-consumer': { 'listening-prt': 1 } }),
      // @ts-expect-error: a text is no port
      () => startConsumer(store, { 'netty-consumer': { 'listening-port': '1' } }),
    ];
    for (const start of starts) await expect(start()).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
    expect(store.role).toBe('primary');
  });
});

test('history stays within its limit, and a secondary that stays away is reported before its frames are removed', async () => {
  const maxBytes = 8 * 1024 * 1024;
  const { reports, report: log } = collectReports();
  await using store = await openStore({ data: data('a'), journal: { retentionMaxBytes: maxBytes }, log });
  await store.put('/a', 'begin').durable;
  store.journal.leases.hold('peer', 'away', store.stable.position);
  const events = () => reports.filter(report => report.level === 'warn').map(report => report.event);
  let written = 0;
  let most = 0;
  await until(
    'the history that it needs has gone',
    async () => {
      await store.put('/a', 'x'.repeat(65_536 + written++)).durable;
      most = Math.max(most, store.journal.retention.storedBytes);
      if (events().at(-1) === 'retention-near') expect(store.journal.retention.status).toMatchObject({ maxBytes, atRisk: ['away'] });
      return events().includes('retention-passed-peer');
    },
    LIMIT_MS,
  );
  expect(events()).toEqual(['retention-near', 'retention-passed-peer']);
  await until('it is told of as passed', () => Promise.resolve(store.journal.retention.status?.passed.includes('away') === true), LIMIT_MS);
  // Bytes above the limit are removed with the next segment.
  expect(most).toBeLessThan(maxBytes * 1.25);
});

async function pair(port: number): Promise<{ primary: Store; secondary: Store }> {
  return {
    primary: await openStore({ data: data(`a${port}`), site: 'a' }),
    secondary: await openStore({ data: data(`b${port}`), site: 'b' }),
  };
}

describe('startProducer and startConsumer', () => {
  test('replicate from objects as from files, and have a status', async () => {
    const port = await freePort();
    const { primary, secondary } = await pair(port);
    await using first = primary;
    await using second = secondary;
    const seen: unknown[] = [];
    using listening = second.listen('/devices/*/up', batch => {
      seen.push(...batch.changes.map(change => [change.path, change.type, change.after]));
    });
    await using consumer = await startConsumer(second, onPort(port));
    await using producer = await startProducer(first, toPort(port));
    first.put('/devices/r1', { up: true });
    const commit = first.update<{ up: boolean }>('/devices/r1', draft => {
      draft.up = false;
    });
    expect(await commit.acknowledged(1, { timeoutMs: LIMIT_MS })).toBe(1);
    expect(second.get('/devices/r1/up')).toBe(false);
    expect(second.digest).toBe(first.digest);
    expect(producer.peers).toMatchObject([{ site: 'b', state: 'replicate' }]);
    expect(consumer.state).toMatchObject({ state: 'replicating', primary: { site: 'a' } });
    expect(() => second.put('/x', 1)).toThrow(expect.objectContaining({ code: 'NOT_PRIMARY' }));
    await until('the listener was told', async () => seen.length === 2, LIMIT_MS);
    expect(seen).toEqual([
      ['/devices/r1/up', 'write', true],
      ['/devices/r1/up', 'write', false],
    ]);
    listening[Symbol.dispose]();
  });

  test('a store that was made a secondary stays one, and gets no producer', async () => {
    const port = await freePort();
    {
      await using store = await openStore({ data: data('b') });
      await using consumer = await startConsumer(store, onPort(port));
      expect(consumer.state.state).toBe('listening');
    }
    await using again = await openStore({ data: data('b') });
    expect(again.role).toBe('secondary');
    await expect(startProducer(again, toPort(port))).rejects.toMatchObject({ code: 'WRONG_ROLE' });
  });

  test('a store with commits of its own does not become a secondary', async () => {
    await using store = await openStore({ data: data('a') });
    await store.put('/own', 1).durable;
    await expect(startConsumer(store, onPort(await freePort()))).rejects.toMatchObject({ code: 'WRONG_ROLE' });
    expect(store.role).toBe('primary');
  });

  test('a configuration is checked whole before anything happens', async () => {
    await using store = await openStore({ data: data('a') });
    // @ts-expect-error: the address is missing.
    await expect(startProducer(store, { 'netty-connection': [{ 'consumer-port': 0 }] })).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      message: expect.stringMatching(/consumer-address is missing[^]*consumer-port is 0/),
    });
    const kafka = { 'kafka-producer-properties': { 'bootstrap.servers': 'b:1', 'transactional.id': 'a' } };
    await expect(startProducer(store, [kafka, { 'netty-connection': [] }])).rejects.toMatchObject({
      message: expect.stringMatching(/netty-connection[^]*transactional\.id is refused|transactional\.id is refused[^]*netty-connection/),
    });
  });

  test('the client of Kafka is loaded only by a site that uses it', async () => {
    const script = `
      import { createRequire } from 'node:module';
      import { openStore, startProducer } from 'evertree';
      const loaded = () => Object.keys(createRequire(import.meta.url).cache).some(file => file.includes('kafkajs'));
      const store = await openStore({ data: 'memory' });
      const websocket = await startProducer(store, { 'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': 1 } });
      const before = loaded();
      const kafka = await startProducer(store, { 'kafka-producer-properties': { 'bootstrap.servers': '127.0.0.1:1' } });
      console.log(before, loaded());
      for (const each of [websocket, kafka, store]) await each.close();`;
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], { cwd: REPOSITORY });
    expect({ stdout, stderr }).toEqual({ stdout: 'false true\n', stderr: '' });
  });

  test("a configuration's settings for the store have to be those that it was opened with", async () => {
    const port = await freePort();
    const configuration = { ...toPort(port), journal: { 'segment-bytes': 65_536 }, limits: { 'listener-batches': 10 } };
    {
      await using store = await openStore({ data: data('a') });
      await expect(startProducer(store, configuration)).rejects.toMatchObject({
        message: expect.stringMatching(/limits\.listenerBatches[^]*|journal\.segmentBytes/),
      });
    }
    await using store = await openStore({ data: data('a'), journal: { segmentBytes: 65_536 }, limits: { listenerBatches: 10 } });
    await using producer = await startProducer(store, configuration);
    expect(producer.peers).toHaveLength(1);
  });
});

test('the version is that of the package', async () => {
  const { version: published } = JSON.parse(await readFile(join(REPOSITORY, 'packages/evertree/package.json'), 'utf8')) as {
    version: string;
  };
  expect(version).toBe(published);
});
