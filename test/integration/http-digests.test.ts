import type { SnapshotHeader } from '@evertree/core';
import { Consumer } from '@evertree/consumer';
import { helloOf } from '@evertree/core';
import { readConsumerConfiguration } from '../../packages/evertree/src/configuration/reading.ts';
import { secondaryPart } from '../../packages/evertree/src/site/parts.ts';
import { openSite } from '../../packages/evertree/src/site/opening.ts';
import { expectErrors, strictReport } from '../support/reports.ts';
import { ScriptedTransport } from '../support/scripted-link.ts';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { TreeNode } from '../../packages/core/src/tree/node.ts';
import { setSlot } from '../../packages/core/src/tree/node-slots.ts';
import { getFrom, Tree } from '../../packages/core/src/tree/tree.ts';
import { SiteClient } from '../../packages/evertree/src/client/site-client.ts';
import { compareSites, repairSite } from '../../packages/evertree/src/comparison/site-comparison.ts';
import { HttpSite, until } from '../support/http-site.ts';
import { type Commits, holding, memoryJournal, partedFrames, PRIMARY } from '../support/parted-trees.ts';
import { framesOf } from '../support/stores.ts';
import { freePort, isFree } from '../support/site-process.ts';

/** Where trees differ, and mending one of them, at sites in this process. */

interface Pinned {
  readonly pin: string;
  readonly header: SnapshotHeader;
}

async function pin(site: HttpSite, body: object = {}): Promise<Pinned> {
  const answer = await site.send('POST', '/digests', { body: JSON.stringify(body) });
  expect(answer.status).toBe(200);
  return answer.json as Pinned;
}

const ask = (site: HttpSite, name: string, queries: readonly object[]) =>
  site.send('POST', `/digests/${name}`, { body: JSON.stringify({ queries }) });
const clientOf = (site: HttpSite) => new SiteClient(site.url);

/** As a flipped bit does it: the value is another one, and no digest was computed. */
function damageMemory({ store }: HttpSite, object: string, key: string, value: number): void {
  const pinning = vi.spyOn(Tree.prototype, 'pin');
  store.snapshot().release();
  const root = pinning.mock.results[0]?.value as TreeNode;
  pinning.mockRestore();
  const node = getFrom(root, [object]) as TreeNode;
  setSlot(node, node.shape!.indexOf(key), value);
}

describe('/digests', () => {
  let site: HttpSite;

  beforeEach(async () => {
    site = await HttpSite.start({ limits: { digestPins: 2 } });
  });
  afterEach(async () => {
    await site[Symbol.asyncDispose]();
  });

  test('holds a state: what is committed later is not seen', async () => {
    await site.put('/data', { a: { b: 1 }, '~/': [1], '': 2 });
    const { pin: name, header } = await pin(site);
    expect(header).toEqual(
      expect.objectContaining({ position: site.store.position, digest: site.store.digest, stream: site.store.stream }),
    );
    const before = (await ask(site, name, [{ path: '' }, { path: '/a', group: '' }])).json;
    await site.put('/data', { a: 1 });
    expect((await ask(site, name, [{ path: '' }, { path: '/a', group: '' }])).json).toEqual(before);
    const digest = expect.stringMatching(/^[0-9a-f]{16}$/);
    const children = [
      ['', 'value', digest],
      ['a', 'object', digest],
      ['~/', 'value', digest],
    ];
    expect(before).toEqual({ answers: [{ children }, { children: [['b', 'value', digest]] }] });
    const values = await site.send('POST', `/digests/${name}/values`, { body: JSON.stringify({ paths: ['/~0~1', '/a', '/'] }) });
    expect(values).toMatchObject({ status: 200, json: [[1], { b: 1 }, 2] });
    expect((await site.send('DELETE', `/digests/${name}`)).status).toBe(204);
    expect((await ask(site, name, [{ path: '' }])).json).toMatchObject({ status: 404, code: 'NOT_FOUND' });
  });

  test('answers as many queries as fit, and at least one', async () => {
    const wide = Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`${'k'.repeat(20_000)}${at}`, at]));
    await site.put('/data', { a: wide, b: wide });
    const { pin: name } = await pin(site);
    const { answers } = (await ask(site, name, [{ path: '/a' }, { path: '/b' }, { path: '' }])).json as { answers: { next?: string }[] };
    expect(answers.length).toBeGreaterThanOrEqual(1);
    expect(answers[0]?.next).toBeDefined();
  });

  test.each<[string, object, number, string]>([
    ['a path without an object', { queries: [{ path: '/a' }] }, 404, 'NOT_FOUND'],
    ['no path', { queries: [{ path: 'a' }] }, 400, 'PATH_INVALID'],
    ['no group', { queries: [{ path: '', group: 'w' }] }, 400, 'VALUE_INVALID'],
    ['no queries', { queries: [] }, 400, 'VALUE_INVALID'],
    ['too many queries', { queries: Array.from({ length: 257 }, () => ({ path: '' })) }, 400, 'VALUE_INVALID'],
    ['another key', { queries: [{ path: '' }], more: 1 }, 400, 'VALUE_INVALID'],
  ])('refuses %s', async (_, body, status, code) => {
    await site.put('/data', { a: 1 });
    const { pin: name } = await pin(site);
    const answer = await site.send('POST', `/digests/${name}`, { body: JSON.stringify(body) });
    expect(answer.json).toMatchObject({ status, code });
  });

  test('holds few states at one time', async () => {
    await pin(site);
    const { pin: second } = await pin(site);
    expect((await site.send('POST', '/digests', { body: '{}' })).json).toMatchObject({ status: 503, code: 'OVERLOADED' });
    await site.send('DELETE', `/digests/${second}`);
    await pin(site);
  });

  test('lets a state go that nobody asks for', async () => {
    await using short = await HttpSite.start({ limits: { digestPinMs: 20 } });
    const { pin: name } = await pin(short);
    // Each question keeps the state, so they are further apart than its idle time.
    await until(
      async () =>
        (await ask(short, name, [{ path: '' }])).status === 404 || new Promise<boolean>(resolve => setTimeout(resolve, 100, false)),
    );
    expect((await ask(short, name, [{ path: '' }])).status).toBe(404);
  });

  test('holds the first state that is not before a revision, or the present one when none comes', async () => {
    await site.put('/data/a', 1);
    const { revision } = site.store.position;
    const waiting = pin(site, { revision: revision + 2 });
    for (let at = 0; at < 4; at++) await site.put('/data/a', at + 2);
    expect((await waiting).header.position.revision).toBe(revision + 2);
    expect((await pin(site, { revision: 1_000, waitMs: 1 })).header.position).toEqual(site.store.position);
  });
});

/** A primary and a secondary that came to another tree at its position; nothing links them. */
async function parted(
  common: Commits,
  ours: Commits,
  theirs: Commits,
): Promise<{ primary: HttpSite; secondary: HttpSite } & AsyncDisposable> {
  const frames = await partedFrames(common, ours, theirs);
  const primary = await HttpSite.start({ journal: await holding(memoryJournal(PRIMARY, 'primary'), frames.primary) });
  const secondary = await HttpSite.start({ journal: await holding(memoryJournal('box-b', 'secondary'), frames.secondary) });
  return {
    primary,
    secondary,
    [Symbol.asyncDispose]: async () => {
      await secondary[Symbol.asyncDispose]();
      await primary[Symbol.asyncDispose]();
    },
  };
}

const COMMON: Commits = [store => void store.put('', { a: { b: 1, c: [1, 2] }, d: 'x', '': { '/': 1 }, '😀': {} })];

describe('comparing two sites', () => {
  test('lists what differs at one position, and how', async () => {
    const ours: Commits = [tx => void tx.put('', { a: { b: 2, c: [1, 2] }, e: { f: 1 }, '': { '/': 1 }, '😀': 1 })];
    const theirs: Commits = [tx => void tx.put('', { a: { b: 1, c: [1, 2] }, d: 'x', '': { '/': 3 }, '😀': {} })];
    await using pair = await parted(COMMON, ours, theirs);
    const comparison = await compareSites(clientOf(pair.secondary), clientOf(pair.primary), { most: 10 });
    expect(comparison).toMatchObject({
      equal: false,
      samePosition: true,
      ours: { site: 'box-b', role: 'secondary' },
      theirs: { site: PRIMARY, role: 'primary' },
    });
    expect(comparison.differences).toEqual({
      count: 5,
      listed: [
        { path: '//~1', kind: 'changed' },
        { path: '/a/b', kind: 'changed' },
        { path: '/d', kind: 'extra' },
        { path: '/e', kind: 'missing' },
        { path: '/😀', kind: 'changed' },
      ],
    });
    expect((await compareSites(clientOf(pair.secondary), clientOf(pair.primary), { most: 2 })).differences.listed).toHaveLength(2);
  });

  test('asks for nothing when they are equal', async () => {
    await using pair = await parted(COMMON, [], []);
    expect(await compareSites(clientOf(pair.secondary), clientOf(pair.primary), { most: 10 })).toMatchObject({ equal: true, digests: 0 });
  });

  test('of different streams is refused', async () => {
    await using pair = await parted(COMMON, [], []);
    await using other = await HttpSite.start();
    await other.put('/data/a', 1);
    await expect(compareSites(clientOf(pair.secondary), clientOf(other), { most: 10 })).rejects.toMatchObject({ code: 'STREAM_MISMATCH' });
  });

  test('compares at one position while somebody writes all the time', async () => {
    const port = await freePort();
    await using secondary = await HttpSite.start({ journal: memoryJournal('box-b', 'secondary') });
    await secondary.site.startConsumer({ 'netty-consumer': { 'listening-port': port } });
    await using primary = await HttpSite.start({ journal: memoryJournal(PRIMARY, 'primary') });
    await primary.site.startProducer({ 'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': port } });
    const stop = new AbortController();
    const writing = (async () => {
      for (let at = 0; !stop.signal.aborted; at++) {
        primary.store.put(`/n/${at % 1_000}`, at);
        await new Promise(resolve => setImmediate(resolve));
      }
    })();
    try {
      await until(() => secondary.site.state === 'replicating');
      const comparison = await compareSites(clientOf(secondary), clientOf(primary), { most: 10 });
      expect(comparison).toMatchObject({ equal: true, samePosition: true });
      expect(comparison.ours.position.revision).toBeGreaterThan(0);
    } finally {
      stop.abort();
      await writing;
    }
  });
});

describe('repairing a secondary', () => {
  const DIFFERENT: readonly [Commits, Commits] = [
    [
      tx =>
        void tx.patch('', [
          { op: 'add', path: '/a/b', value: { n: [0.5, null, '✓'] } },
          { op: 'remove', path: '/d' },
        ]),
    ],
    [
      tx =>
        void tx.patch('', [
          { op: 'add', path: '/a/z', value: 1 },
          { op: 'replace', path: '/😀', value: 3 },
        ]),
    ],
  ];

  const NEXT: Commits = [tx => void tx.put('/next', 1)];

  test('makes its tree the other one, at its position, and it goes on from there', async () => {
    await using pair = await parted(COMMON, ...DIFFERENT);
    const { primary, secondary } = pair;
    const comparison = await repairSite(clientOf(secondary), clientOf(primary), { most: 10 });
    expect(comparison).toMatchObject({ equal: false, differences: { count: 4 }, repaired: { digest: primary.store.digest, changes: 4 } });
    expect(secondary.store.get('')).toEqual(primary.store.get(''));
    expect(secondary.store.position).toEqual(primary.store.position);
    expect(await compareSites(clientOf(secondary), clientOf(primary), { most: 10 })).toMatchObject({ equal: true, samePosition: true });
    expect(await repairSite(clientOf(secondary), clientOf(primary), { most: 10 })).not.toHaveProperty('repaired');
    const { position } = secondary.store;
    await primary.put('/data/more', 1);
    for (const frame of await framesOf(primary.store.journal)) {
      if (frame.header.last.revision > position.revision) secondary.store.applyFrame(frame);
    }
    expect(secondary.store.digest).toBe(primary.store.digest);
  });

  test('is found and mended where a value changed in memory and its digest did not, if both sites compute all digests anew', async () => {
    await using pair = await parted(COMMON, [], []);
    const [ours, theirs] = [clientOf(pair.secondary), clientOf(pair.primary)];
    damageMemory(pair.secondary, 'a', 'b', 77);
    expect(await compareSites(ours, theirs, { most: 10 }), 'digests do not show it').toMatchObject({ equal: true });
    const damage = { damaged: { ours: ['/a'], theirs: [] }, differences: { count: 1, listed: [{ path: '/a/b', kind: 'changed' }] } };
    expect(await compareSites(ours, theirs, { most: 10, deep: true })).toMatchObject({ equal: false, ...damage });
    await expect(repairSite(theirs, ours, { most: 10, deep: true })).rejects.toMatchObject({ code: 'WRONG_ROLE' });
    expect(await repairSite(ours, theirs, { most: 10, deep: true })).toMatchObject({
      ...damage,
      repaired: { digest: pair.primary.store.digest },
    });
    expect(pair.secondary.store.get('')).toEqual(pair.primary.store.get(''));
    expect(await compareSites(ours, theirs, { most: 10, deep: true })).toMatchObject({ equal: true, damaged: { ours: [], theirs: [] } });
  });

  test('is not mended from a tree that is damaged itself', async () => {
    await using pair = await parted(COMMON, [], []);
    damageMemory(pair.primary, 'a', 'b', 77);
    await expect(repairSite(clientOf(pair.secondary), clientOf(pair.primary), { most: 10, deep: true })).rejects.toMatchObject({
      code: 'DAMAGED',
      message: expect.stringMatching(/is damaged itself, at "\/a": start it again/),
    });
  });

  test('tells listeners what changed, as one batch', async () => {
    await using pair = await parted(COMMON, ...DIFFERENT);
    const batches: string[][] = [];
    const listening = pair.secondary.store.listen('/a/*', batch => void batches.push(Array.from(batch.changes, ({ path }) => path)));
    await until(() => batches.length === 1);
    await repairSite(clientOf(pair.secondary), clientOf(pair.primary), { most: 10 });
    await until(() => batches.length === 2);
    listening[Symbol.dispose]();
    expect(batches[1]?.toSorted()).toEqual(['/a/b', '/a/z']);
  });

  test('ends its quarantine: it listens anew, and follows', async () => {
    expectErrors('frame-quarantined');
    const frames = await partedFrames(COMMON, [...DIFFERENT[0], ...NEXT], [...DIFFERENT[1], ...NEXT]);
    await using primary = await HttpSite.start({ journal: await holding(memoryJournal(PRIMARY, 'primary'), frames.primary) });
    await using secondary = await HttpSite.start({
      journal: await holding(memoryJournal('box-b', 'secondary'), frames.primary.slice(0, -1)),
    });
    const port = await freePort();
    const transport = new ScriptedTransport();
    const configuration = readConsumerConfiguration({ 'netty-consumer': { 'listening-port': port } });
    const again = () => secondaryPart(secondary.site, () => configuration);
    await secondary.site.play({ role: 'secondary', consumer: new Consumer({ store: secondary.store, transport }), again });
    const link = transport.connect(
      'a',
      helloOf(primary.store, { program: 'test', standby: false, advertised: undefined, raises: undefined }),
    );
    link.say({ type: 'frame', bytes: frames.secondary.at(-1)!.bytes });
    await until(() => secondary.site.state === 'quarantined');
    expect(await compareSites(clientOf(secondary), clientOf(primary), { most: 10 })).toMatchObject({
      samePosition: false,
      differences: { count: 1 },
    });
    expect(await repairSite(clientOf(secondary), clientOf(primary), { most: 10 })).toMatchObject({
      repaired: { digest: primary.store.digest },
    });
    expect(secondary.site.state).toBe('listening');
    await primary.site.startProducer({ 'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': port } });
    await primary.put('/data/more', 1);
    await until(() => secondary.store.digest === primary.store.digest);
    expect(secondary.site.state).toBe('replicating');
  });

  test('keeps another repair and a promotion out, and listens again afterwards', async () => {
    const port = await freePort();
    const site = await openSite({ data: 'memory', standby: { 'netty-consumer': { 'listening-port': port } }, log: strictReport });
    const { promise: work, resolve } = Promise.withResolvers<void>();
    const repairing = site.pauseFor(() => work);
    await until(() => site.consumer === undefined);
    await expect(site.pauseFor(() => work)).rejects.toMatchObject({ code: 'WRONG_ROLE' });
    await expect(site.promote({ force: true })).rejects.toMatchObject({ code: 'WRONG_ROLE' });
    resolve();
    await repairing;
    expect(site.state).toBe('listening');
    await expect(site.pauseFor(() => Promise.reject(new Error('no room')))).rejects.toThrow('no room');
    expect(site.state).toBe('listening');
    await site.close();
  });

  test('opens no part of a site that is closed meanwhile', async () => {
    const port = await freePort();
    const site = await openSite({ data: 'memory', standby: { 'netty-consumer': { 'listening-port': port } }, log: strictReport });
    const { promise: work, resolve } = Promise.withResolvers<void>();
    const repairing = site.pauseFor(() => work);
    await until(() => site.consumer === undefined);
    await site.close();
    resolve();
    await repairing;
    expect(site.part).toBeUndefined();
    expect(await isFree(port)).toBe(true);
  });

  test('of a primary is refused, and so is one with a site that lacks what the secondary has', async () => {
    await using pair = await parted(COMMON, ...DIFFERENT);
    await expect(repairSite(clientOf(pair.primary), clientOf(pair.secondary), { most: 10 })).rejects.toMatchObject({ code: 'WRONG_ROLE' });
    await using behind = await parted(COMMON, [], [tx => void tx.put('/more', 1)]);
    const { digest, position } = behind.secondary.store;
    await expect(repairSite(clientOf(behind.secondary), clientOf(behind.primary), { most: 10 })).rejects.toMatchObject({
      code: 'HISTORY_MISMATCH',
    });
    expect(behind.secondary.store).toMatchObject({ digest, position });
  });

  test('that leaves other differences changes nothing', async () => {
    await using pair = await parted(COMMON, ...DIFFERENT);
    const { header } = await pin(pair.primary);
    const { store } = pair.secondary;
    const { digest, position } = store;
    const send = (body: object) => pair.secondary.send('POST', '/admin/repair', { body: JSON.stringify(body) });
    const base = { position, digest };
    expect((await send({ header, base, changes: [['put', '/a/b', 7]] })).json).toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect((await send({ header, base: { position, digest: header.digest }, changes: [] })).json).toMatchObject({
      code: 'POSITION_MISMATCH',
    });
    expect((await send({ header, base, changes: [['put', '/a/b']] })).json).toMatchObject({ code: 'VALUE_INVALID' });
    expect((await send({ header: { ...header, stream: '0'.repeat(32) }, base, changes: [] })).json).toMatchObject({
      code: 'STREAM_MISMATCH',
    });
    expect(store).toMatchObject({ digest, position });
  });
});
