import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Consumer } from '@evertree/consumer';
import { SITE, type Transport, Store } from '@evertree/core';
import { MemoryJournal } from '@evertree/journal';
import { Producer } from '@evertree/producer';
import { type Report, openSite, openStore, startProducer } from 'evertree';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Part } from '../../packages/evertree/src/roles/part.ts';
import { siteOf } from '../../packages/evertree/src/site/store.ts';
import { Site } from '../../packages/evertree/src/site/site.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { HttpSite, until } from '../support/http-site.ts';
import { allowErrors, collectReports } from '../support/reports.ts';
import { onPort, toPort } from '../support/netty-files.ts';
import { freePort } from '../support/site-process.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evertree-site-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function data(name: string): string {
  return join(folder, name);
}

async function metric(http: HttpSite, name: string): Promise<number | undefined> {
  const { text } = await http.send('GET', '/metrics');
  const line = text.split('\n').find(each => each.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length));
}

test('a site changes its part while HTTP and metrics stay, and they show the present part', async () => {
  const [far, here, there] = [await freePort(), await freePort(), await freePort()];
  const site = await openSite({ data: data('a'), site: 'a', primary: toPort(far), standby: onPort(here) });
  await using http = await HttpSite.start({ site });
  const told: string[] = [];
  site.on('role', role => told.push(role));
  site.on('part', part => told.push(part === undefined ? 'none' : `a part of a ${part.role}`));

  expect([site.role, site.state, site.producer?.peers.length, site.consumer]).toEqual(['primary', 'open', 1, undefined]);
  expect(await http.get('/status')).toMatchObject({ site: 'a', role: 'primary', state: 'open', peers: [{ state: 'offline' }] });
  expect((await http.send('GET', '/readyz')).status).toBe(200);
  expect(await metric(http, 'evertree_is_primary')).toBe(1);
  expect((await http.send('GET', '/metrics')).text).toMatch(/^evertree_peer_connected\{peer=/m);

  await site.startConsumer(onPort(here));
  expect([site.role, site.state, site.producer]).toEqual(['secondary', 'listening', undefined]);
  expect(await http.get('/status')).toMatchObject({ role: 'secondary', state: 'listening', peers: [], consumer: { state: 'listening' } });
  expect(await http.send('GET', '/readyz')).toMatchObject({ status: 503, json: { reason: 'the secondary is listening' } });
  expect(await metric(http, 'evertree_is_primary')).toBe(0);
  expect((await http.send('GET', '/metrics')).text).not.toMatch(/^evertree_peer_connected\{peer=/m);

  await using primary = await openSite({ data: data('b'), site: 'b', primary: toPort(here) });
  await primary.store.put('/a', 1).acknowledged(1, { timeoutMs: 20_000 });
  await until(() => site.state === 'replicating');
  expect((await http.send('GET', '/readyz')).status).toBe(200);
  expect(await http.put('/data/a', 2)).toMatchObject({ status: 409, json: { code: 'NOT_PRIMARY', primary: { site: 'b' } } });

  await site.stop();
  expect([site.part, site.state]).toEqual([undefined, 'open']);
  expect(await http.send('GET', '/readyz')).toMatchObject({ status: 503, json: { reason: 'nothing feeds this secondary' } });
  await site.startConsumer(onPort(there));
  expect(await http.get('/status')).toMatchObject({ state: 'listening', consumer: { primary: null } });
  expect(told).toEqual(['none', 'secondary', 'a part of a secondary', 'none', 'a part of a secondary']);

  // What a role change will make legal: today a secondary stays one.
  await expect(site.startProducer(toPort(far))).rejects.toMatchObject({ code: 'WRONG_ROLE' });
  expect(site.part).toBeUndefined();
});

test('one process plays a consumer on one directory, then a producer on another', async () => {
  const port = await freePort();
  {
    await using site = await openSite({ data: data('a'), standby: onPort(port) });
    expect([site.role, site.part?.role, site.state]).toEqual(['secondary', 'secondary', 'listening']);
  }
  await using site = await openSite({ data: data('b'), primary: toPort(port) });
  expect([site.role, site.part?.role, site.state]).toEqual(['primary', 'primary', 'open']);
});

describe('openSite', () => {
  test('plays the part of the role that the directory has', async () => {
    const primary = toPort(await freePort());
    const first = { primary, standby: onPort(await freePort()) };
    const second = { primary, standby: onPort(await freePort()) };
    await (await openSite({ data: data('a'), ...first })).close();
    await (await openSite({ data: data('b'), ...second, role: 'secondary' })).close();
    await using a = await openSite({ data: data('a'), ...first });
    await using b = await openSite({ data: data('b'), ...second });
    expect([a.part?.role, b.part?.role]).toEqual(['primary', 'secondary']);
  });

  test('refuses a directory of the other role, where it is given one configuration', async () => {
    await (await openStore({ data: data('a') })).close();
    await expect(openSite({ data: data('a'), standby: onPort(await freePort()) })).rejects.toMatchObject({ code: 'WRONG_ROLE' });
  });

  test('plays no part without a configuration, and is a store all the same', async () => {
    await using site = await openSite({ data: 'memory' });
    site.store.put('/a', 1);
    expect([site.part, site.role, site.state, site.store.get('/a')]).toEqual([undefined, 'primary', 'open', 1]);
  });

  test("leaves nothing open when its part can't begin", async () => {
    const port = await freePort();
    await using first = await openSite({ data: data('a'), standby: onPort(port) });
    await expect(openSite({ data: data('b'), standby: onPort(port) })).rejects.toMatchObject({ code: 'UNREACHABLE' });
    await (await openStore({ data: data('b') })).close();
    expect(first.state).toBe('listening');
  });

  test('opens the store as its configurations ask, and refuses two that differ', async () => {
    const primary = { ...toPort(await freePort()), limits: { 'listener-batches': 10 } };
    const standby = { ...onPort(await freePort()), journal: { 'segment-bytes': 65_536 } };
    {
      await using site = await openSite({ data: data('a'), primary, standby });
      expect(site.settings).toMatchObject({ limits: { listenerBatches: 10 }, journal: { segmentBytes: 65_536 } });
      expect(site.store.limits.listenerBatches).toBe(10);
      expect([site.settings, site.settings.limits, site.settings.journal].map(Object.isFrozen)).toEqual([true, true, true]);
    }
    await expect(openSite({ data: data('a'), primary, standby: { ...standby, limits: { 'listener-batches': 9 } } })).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      message: expect.stringMatching(/limits\.listenerBatches asks for 9/),
    });
  });
});

/** A producer that opens no transport: `log` records what would be opened and closed. */
function recorded(store: Store, name: string, log: string[], opening: () => Promise<void> = () => Promise.resolve()): Part {
  const transport: Transport = {
    remotes: [],
    farEnd: SITE,
    async open() {
      log.push(`${name} opens`);
      await opening();
    },
    async close() {
      log.push(`${name} closes`);
    },
  };
  return { role: 'primary', producer: new Producer({ store, transports: [transport] }) };
}

describe('changes of part', () => {
  const host = { clock: systemClock, random: systemRandom, report: collectReports().report };
  let site: Site;
  let log: string[];
  beforeEach(async () => {
    site = new Site(await Store.open({ ...host, journal: new MemoryJournal(host) }));
    log = [];
  });
  afterEach(() => site.close());

  test('wait for each other, and each part ends before the next one begins', async () => {
    const slow = Promise.withResolvers<void>();
    const changes = [
      site.play(recorded(site.store, 'first', log, () => slow.promise)),
      site.play(recorded(site.store, 'second', log)),
      site.stop(),
      site.play(recorded(site.store, 'third', log)),
    ];
    slow.resolve();
    await Promise.all(changes);
    expect(log).toEqual(['first opens', 'first closes', 'second opens', 'second closes', 'third opens']);
  });

  test('end before the store closes, and none begins after', async () => {
    await site.play(recorded(site.store, 'first', log));
    site.store.on('state', () => log.push(site.store.state));
    await site.close();
    expect(log).toEqual(['first opens', 'first closes', 'closed']);
    await expect(site.play(recorded(site.store, 'second', log))).rejects.toMatchObject({ code: 'CLOSED' });
    await site.close();
  });

  test('go on after one that failed: the site plays no part then', async () => {
    await site.play(recorded(site.store, 'first', log));
    const failing = recorded(site.store, 'second', log, () => Promise.reject(new Error('no way out')));
    await expect(site.play(failing)).rejects.toThrow('no way out');
    expect(site.part).toBeUndefined();
    const third = recorded(site.store, 'third', log);
    await site.play(third);
    expect(site.part).toBe(third);
  });

  test('are noticed when a part is closed by its holder', async () => {
    const part = recorded(site.store, 'first', log) as Extract<Part, { role: 'primary' }>;
    await site.play(part);
    const seen: (Part | undefined)[] = [];
    site.on('part', present => seen.push(present));
    await part.producer.close();
    expect([site.part, seen]).toEqual([undefined, [undefined]]);
  });

  test('a part that lost its only transport for ever is reported as a failure, until the part ends', async () => {
    const error = new Error('the broker refuses');
    const transport: Transport = {
      remotes: ['broker'],
      farEnd: SITE,
      open: events => Promise.resolve(events.failed('broker', error, Infinity)),
      close: () => Promise.resolve(),
    };
    const failures: Error[] = [];
    site.on('failed', failure => failures.push(failure));
    await site.play({ role: 'primary', producer: new Producer({ store: site.store, transports: [transport] }) });
    expect([failures, site.failure]).toEqual([[error], error]);
    await site.play(recorded(site.store, 'second', log));
    expect(site.failure).toBeUndefined();
  });
});

test('several producers that the library started on one store run together, and the site shows the newest', async () => {
  const reports: Report[] = [];
  await using store = await openStore({ data: 'memory', log: report => reports.push(report) });
  const site = siteOf(store);
  await using first = await startProducer(store, toPort(await freePort()));
  const second = await startProducer(store, toPort(await freePort()));
  expect([site.producer, first.peers.length, second.peers.length]).toEqual([second, 1, 1]);
  await second.close();
  expect(site.producer).toBe(first);
});

test('a primary goes on without the port of its standby configuration, and fails when it is to follow', async () => {
  const host = { clock: systemClock, random: systemRandom, report: collectReports().report };
  await using site = new Site(await Store.open({ ...host, journal: new MemoryJournal(host) }));
  site.store.put('/a', 1);
  const error = new Error('the port is gone');
  const transport: Transport = {
    remotes: [],
    farEnd: SITE,
    open: events => Promise.resolve(events.failed('port', error, Infinity)),
    close: () => Promise.resolve(),
  };
  const failures: Error[] = [];
  site.on('failed', failure => failures.push(failure));
  allowErrors('transport-failed');
  await site.join({ role: 'secondary', consumer: new Consumer({ store: site.store, transport, standby: true }) });
  expect([failures, site.failure]).toEqual([[], undefined]);
  await site.store.fence({ number: 2, id: 'aa'.repeat(8) }, true);
  expect([failures, site.failure]).toEqual([[error], error]);
});
