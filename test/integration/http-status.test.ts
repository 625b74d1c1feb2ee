import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryJournal } from '@evertree/journal';
import { Consumer } from '@evertree/consumer';
import { Producer } from '@evertree/producer';
import { EvertreeError, Store } from '@evertree/core';
import { openSite } from 'evertree';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock, systemRandom } from '../support/host.ts';
import { HttpSite, until } from '../support/http-site.ts';
import { Loopback } from '../support/loopback.ts';
import { freePort } from '../support/site-process.ts';
import { strictReport } from '../support/reports.ts';

/** A pair with its HTTP interfaces, all in this process; the network is in memory. */
let stack: AsyncDisposableStack;
let network: Loopback;
let primary: HttpSite;
let secondary: HttpSite;

const host = { clock: systemClock, random: systemRandom, report: strictReport };

function openStore(site: string): Promise<Store> {
  return Store.open({ ...host, journal: new MemoryJournal({ ...host, identity: { site } }) });
}

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  network = new Loopback(host);
  const [first, second] = [await openStore('first'), await openStore('second')];
  const consumer = new Consumer({ store: second, transport: network.listen('second') });
  secondary = stack.use(await HttpSite.start({ store: second, part: { role: 'secondary', consumer } }));
  const producer = new Producer({ store: first, transports: [network.dial(['second'])] });
  primary = stack.use(await HttpSite.start({ store: first, part: { role: 'primary', producer } }));
});
afterEach(async () => {
  await stack.disposeAsync();
});

async function isReady(site: HttpSite): Promise<boolean> {
  return (await site.send('GET', '/readyz')).status === 200;
}

/** The value of a metric without labels, or with exactly these. */
async function metric(site: HttpSite, name: string): Promise<number | undefined> {
  const { text, headers } = await site.send('GET', '/metrics');
  expect(headers['content-type']).toMatch(/^text\/plain; version=/);
  const line = text.split('\n').find(each => each.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length));
}

describe('a pair', () => {
  test('appears in /status at both sites', async () => {
    await primary.put('/data/a', 1);
    await until(() => secondary.store.has('/a'));
    await until(async () => ((await primary.get('/status')) as { peers: { lagRevisions: number }[] }).peers[0]?.lagRevisions === 0);
    const position = { epoch: 1, revision: 2 };
    const { stream, digest } = primary.store;
    expect(await primary.get('/status')).toMatchObject({
      site: 'first',
      role: 'primary',
      state: 'open',
      reason: null,
      stream,
      digest,
      position,
      durable: { epoch: 0, revision: 0 },
      peers: [
        {
          site: 'second',
          state: 'replicate',
          position,
          lagRevisions: 0,
          lagMs: 0,
          lastError: null,
          sentBytes: expect.any(Number),
          since: expect.any(Number),
          lastSeen: expect.any(Number),
        },
      ],
    });
    expect(await secondary.get('/status')).toMatchObject({
      site: 'second',
      role: 'secondary',
      state: 'replicating',
      stream,
      digest,
      position,
      peers: [],
      consumer: { state: 'replicating', primary: { site: 'first' } },
    });
  });

  test('appears in /metrics', async () => {
    await primary.put('/data/a', 1);
    await until(() => secondary.store.has('/a'));
    await until(async () => (await metric(primary, 'evertree_peer_lag_revisions{peer="second"}')) === 0);
    expect(await metric(primary, 'evertree_is_primary')).toBe(1);
    expect(await metric(secondary, 'evertree_is_primary')).toBe(0);
    for (const site of [primary, secondary]) {
      expect(await metric(site, 'evertree_epoch')).toBe(1);
      expect(await metric(site, 'evertree_revision')).toBe(2);
      expect(await metric(site, 'evertree_commits_total')).toBe(2);
      expect(await metric(site, 'evertree_journal_bytes')).toBe(0);
      expect(await metric(site, 'evertree_history_first_revision')).toBe(0);
      expect(await metric(site, 'evertree_marks')).toBe(0);
      expect(await metric(site, 'evertree_watches')).toBe(0);
      expect(await metric(site, 'process_resident_memory_bytes')).toBeGreaterThan(0);
    }
    expect(await metric(primary, 'evertree_peer_lag_seconds{peer="second"}')).toBe(0);
    expect(await metric(primary, 'evertree_peer_connected{peer="second"}')).toBe(1);
    expect(await metric(primary, 'evertree_peer_sent_bytes_total{peer="second"}')).toBeGreaterThan(0);
    expect(await metric(secondary, 'evertree_divergences_total'), 'none was kept').toBe(0);
  });

  test('a secondary takes no writes, and names its primary', async () => {
    await primary.put('/data/a', 1);
    await until(() => secondary.store.has('/a'));
    const refusal = {
      status: 409,
      json: { code: 'NOT_PRIMARY', primary: { site: 'first', remote: expect.any(String), epoch: 1, position: { epoch: 1, revision: 2 } } },
    };
    expect(await secondary.put('/data/a', 2)).toMatchObject(refusal);
    expect(await secondary.send('DELETE', '/data/a')).toMatchObject(refusal);
    expect(await secondary.send('POST', '/batch', { body: '["put","/a",2]' })).toMatchObject({
      ...refusal,
      json: { committed: 0, ...refusal.json },
    });
    expect(await secondary.get('/data')).toEqual({ a: 1 });
  });

  test('a write waits for the secondary, and a watch there shows it', async () => {
    using watching = await secondary.watch('/watch/a');
    await watching.next();
    expect(await primary.put('/data/a', 1, { 'Evertree-Acknowledge': '0' })).toMatchObject({ status: 200 });
    expect(await watching.next()).toMatchObject({ event: 'change', id: '1-2', data: { operations: [['put', '/a', 1]] } });
  });

  test('is ready while the secondary is fed', async () => {
    await primary.put('/data/a', 1);
    await until(async () => (await isReady(primary)) && (await isReady(secondary)));
    network.up = false;
    for (const transport of [primary, secondary]) expect((await transport.send('GET', '/healthz')).status).toBe(200);
  });

  test('a secondary that is not linked is alive, but not ready', async () => {
    const store = await openStore('third');
    const consumer = new Consumer({ store, transport: network.listen('third') });
    await using third = await HttpSite.start({ store, part: { role: 'secondary', consumer } });
    expect(await third.send('GET', '/readyz')).toMatchObject({
      status: 503,
      json: { status: 'not-ready', reason: expect.stringContaining('listening') },
    });
    expect((await third.send('GET', '/healthz')).status).toBe(200);
  });
});

async function health(site: HttpSite, role: string): Promise<[status: number, body: unknown]> {
  const { status, json } = await site.send('GET', `/healthz?role=${role}`);
  return [status, json];
}

describe('GET /healthz?role=', () => {
  test('is healthy in the role that the site has, and only there', async () => {
    const [leads, follows] = ['primary', 'secondary'].map(role => ({ role, standing: role }));
    expect(await health(primary, 'primary')).toEqual([200, { status: 'ok', ...leads }]);
    expect(await health(primary, 'secondary')).toEqual([503, { status: 'other-role', ...leads }]);
    expect(await health(secondary, 'secondary')).toEqual([200, { status: 'ok', ...follows }]);
    expect(await health(secondary, 'primary')).toEqual([503, { status: 'other-role', ...follows }]);
  });

  test('is healthy in neither role at a primary that is fenced', async () => {
    primary.store.refuseWrites(new EvertreeError('FENCED', 'another site has become the primary'));
    expect((await health(primary, 'primary'))[0]).toBe(503);
    expect((await health(primary, 'secondary'))[0]).toBe(503);
    expect((await primary.send('GET', '/healthz')).status, 'the process itself works').toBe(200);
  });

  test.each(['role=leader', 'role=', 'rolle=primary'])('refuses ?%s', async query => {
    expect(await primary.send('GET', `/healthz?${query}`)).toMatchObject({ status: 400, json: { code: 'REQUEST_INVALID' } });
  });
});

test('a secondary whose disk is full is not ready: it takes no frames', async () => {
  await primary.put('/data/a', 1);
  await until(() => isReady(secondary));
  Object.defineProperty(secondary.store.journal.log, 'state', { value: 'full' });
  // The store looks at its journal when that makes progress.
  await primary.put('/data/a', 2);
  await until(async () => !(await isReady(secondary)));
  expect(await secondary.send('GET', '/readyz')).toMatchObject({ status: 503, json: { reason: 'the store is full' } });
  expect((await secondary.send('GET', '/healthz')).status).toBe(200);
});

test('GET / names all there is, and each of it is there', async () => {
  const { program, site, role, links } = (await primary.get('/')) as {
    readonly program: string;
    readonly site: string;
    readonly role: string;
    readonly links: readonly { readonly href: string; readonly methods: readonly string[]; readonly about: string }[];
  };
  expect({ program, site, role }).toEqual({ program: 'evertree', site: 'first', role: 'primary' });
  expect(links.map(({ href }) => href)).toEqual(
    expect.arrayContaining(['/data', '/batch', '/watch', '/status', '/healthz', '/readyz', '/metrics', '/admin/snapshot']),
  );
  for (const { href, methods, about } of links) {
    const { status, headers } = await primary.send('OPTIONS', href);
    expect([status, headers.allow]).toEqual([204, [...methods, 'OPTIONS'].join(', ')]);
    expect(about).not.toBe('');
  }
  expect(await primary.send('GET', '/dta')).toMatchObject({ status: 404, json: { detail: expect.stringContaining('GET /') } });
});

describe('administration', () => {
  test('writes a snapshot', async () => {
    const put = await primary.put('/data/a', 1);
    expect(await primary.send('POST', '/admin/snapshot')).toMatchObject({
      status: 200,
      json: { position: (put.json as { position: object }).position, digest: primary.store.digest },
    });
  });

  test('writes one snapshot at a time, for all requests that come meanwhile', async () => {
    const { store } = primary;
    let running = 0;
    let written = 0;
    const save = store.saveSnapshot.bind(store);
    store.saveSnapshot = async () => {
      expect(++running).toBe(1);
      written++;
      // Until every request is there.
      await until(() => asked === 10);
      return save().finally(() => running--);
    };
    let asked = 0;
    const answers = Array.from({ length: 10 }, async () => {
      const answer = primary.send('POST', '/admin/snapshot');
      await primary.send('GET', '/healthz');
      asked++;
      return (await answer).status;
    });
    expect(new Set(await Promise.all(answers))).toEqual(new Set([200]));
    expect(written).toBeLessThan(10);
  });

  test('forgets a peer that is lost, not one that is linked, nor one that never was', async () => {
    const forget = (site: string) =>
      primary.send('POST', '/admin/forget', { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ site }) });
    await until(async () => ((await primary.get('/status')) as { peers: { state: string }[] }).peers[0]?.state === 'replicate');
    expect(await forget('second')).toMatchObject({ status: 409, json: { code: 'WRONG_ROLE' } });
    expect(await forget('third')).toMatchObject({
      status: 404,
      json: { code: 'NOT_FOUND', detail: expect.stringMatching(/^no secondary is called "third"; \S+ knows .*second/) },
    });
    primary.store.journal.leases.hold('peer', 'third', primary.store.position);
    expect(await forget('third')).toMatchObject({ status: 200, json: { site: 'third', forgotten: true } });
    expect(primary.store.journal.leases.of('peer').has('third')).toBe(false);
  });

  test.each(['{}', '{"site":1}', '[]', '"second"', '{"site":""}'])('refuses to forget %s', async body => {
    expect(await primary.send('POST', '/admin/forget', { headers: { 'Content-Type': 'application/json' }, body })).toMatchObject({
      status: 400,
      json: { code: 'VALUE_INVALID' },
    });
    expect((await primary.send('POST', '/admin/forget', { headers: { 'Content-Type': 'text/plain' }, body })).status).toBe(415);
  });
});

test('a secondary at risk of a full copy appears in /status and /metrics beforehand', async () => {
  await primary.put('/data/a', 1);
  await until(async () => (await metric(primary, 'evertree_peer_full_copy_ahead{peer="second"}')) === 0);
  const status = { maxBytes: 1000, atRisk: ['second'], passed: ['third'], held: [] };
  Object.assign(primary.store.journal, { retention: { storedBytes: 900, status } });
  expect(await primary.get('/status')).toMatchObject({ retention: { maxBytes: 1000, atRisk: ['second'], passed: ['third'] } });
  expect(await metric(primary, 'evertree_journal_max_bytes')).toBe(1000);
  expect(await metric(primary, 'evertree_peer_full_copy_ahead{peer="second"}')).toBe(1);
});

test('how far back the history reaches, and who needs what is beyond its limits, appear in /status', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'evertree-history-'));
  try {
    const journal = { segmentBytes: 65_536, retentionMaxMs: 0, retentionRewindMs: 0, retentionMaxBytes: 64 * 1024 * 1024 };
    await using site = await openSite({ data: folder, journal });
    await using http = await HttpSite.start({ site });
    const { store } = site;
    const historyOf = async () => ((await http.get('/status')) as { history: object }).history;
    await store.put('/a', 0).durable;
    const { position } = store;
    store.journal.leases.hold('copy', 'rsync', position);
    for (let index = 0; index < 4; index++) {
      await store.put('/a', `${index}${'x'.repeat(65_536)}`).durable;
      await store.saveSnapshot();
    }
    const held = { kind: 'copy', name: 'rsync', position: { epoch: position.epoch, revision: position.revision } };
    expect(await historyOf()).toMatchObject({
      from: { position: { epoch: 0, revision: 0 }, time: store.epochs[0]!.time },
      maxBytes: journal.retentionMaxBytes,
      fullInMs: expect.any(Number) as number,
      held: [{ ...held, bytes: expect.any(Number) as number }],
    });
    store.journal.leases.release('copy', 'rsync');
    await store.journal.retention.apply();
    const { from } = (await historyOf()) as { from: { position: { revision: number }; time: number } };
    expect(from.position.revision).toBeGreaterThan(position.revision);
    expect(from.time).toBeGreaterThanOrEqual(store.epochs[0]!.time);
    expect(await historyOf()).toMatchObject({ held: [] });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

describe('metrics', () => {
  test('count the answers from before the client of Prometheus is loaded', async () => {
    await using site = await HttpSite.start();
    for (let asked = 0; asked < 3; asked++) await site.get('/healthz');
    const name = 'evertree_http_request_duration_seconds_count{method="GET",route="/healthz",status="200"}';
    await until(async () => (await metric(site, name)) === 3);
    expect(await metric(site, name)).toBe(3);
  });

  test('a stall of the event loop is seen by each of two scrapers', async () => {
    // Node measures from one of its timer's ticks to the next.
    await until(async () => ((await metric(primary, 'nodejs_eventloop_lag_max_seconds')) ?? 0) > 0);
    const end = performance.now() + 300;
    while (performance.now() < end);
    await until(async () => ((await metric(primary, 'nodejs_eventloop_lag_max_seconds')) ?? 0) > 0.2);
    for (const scraper of ['a second scraper', 'the first again']) {
      expect(await metric(primary, 'nodejs_eventloop_lag_max_seconds'), scraper).toBeGreaterThan(0.2);
    }
    expect(await metric(primary, 'nodejs_eventloop_lag_seconds')).toBeGreaterThanOrEqual(0);
  });

  test('a full copy is labelled by the code of its reason, at both sites', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'evertree-metrics-'));
    const port = await freePort();
    const openSecondary = () => openSite({ data: join(folder, 'b'), site: 'b', standby: { 'netty-consumer': { 'listening-port': port } } });
    try {
      await using a = await openSite({
        data: join(folder, 'a'),
        primary: {
          'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': port, 'connection-retry-interval-ms': 20 },
          journal: { 'segment-bytes': 65_536, 'snapshot-bytes': 65_536, 'retention-max-bytes': 1_048_576 },
        },
      });
      await using atA = await HttpSite.start({ site: a });
      {
        await using b = await openSecondary();
        await a.store.put('/a', 0).acknowledged(1, { timeoutMs: 20_000 });
        expect(b.store.get('/a')).toBe(0);
      }
      let written = 0;
      await until(async () => {
        await a.store.put('/a', 'x'.repeat(65_536 + written++)).durable;
        return a.store.journal.retention.status?.passed.includes('b') === true;
      });
      await using atB = await HttpSite.start({ site: await openSecondary() });
      await a.store.put('/b', 1).acknowledged(1, { timeoutMs: 20_000 });
      const name = 'evertree_resyncs_total{kind="snapshot",reason="retention-passed"}';
      expect([await metric(atA, name), await metric(atB, name)]).toEqual([1, 1]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
