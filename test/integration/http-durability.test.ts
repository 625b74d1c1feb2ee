import { once } from 'node:events';
import { connect } from 'node:net';
import type { Clock } from '@evertree/core';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { HttpOptions } from '../../packages/evertree/src/http/server.ts';
import { HttpSite, until } from '../support/http-site.ts';
import { ManualClock, systemClock } from '../support/host.ts';
import { VirtualJournal } from '../support/virtual-journal.ts';
import { VirtualStorage } from '../support/virtual-log.ts';

/** A site with a disk that makes nothing stable until `disk` allows it. */
let site: HttpSite;
let journal: VirtualJournal;
let disk: ManualClock;

async function start(clock: Clock = systemClock, limits: HttpOptions['limits'] = {}): Promise<void> {
  disk = new ManualClock();
  journal = new VirtualJournal('here', new VirtualStorage(), disk);
  site = await HttpSite.start({ journal, clock, limits });
}

/** Lets the disk finish whatever is handed to it, until `done`. */
async function letDiskWork<T>(done: Promise<T>): Promise<T> {
  let over = false;
  const finished = done.finally(() => (over = true));
  finished.catch(() => undefined);
  await until(() => {
    disk.advance(1);
    return over;
  });
  return finished;
}

/** Whether an answer has come, after all that could have been on its way to it. */
async function isAnswered(answer: Promise<unknown>): Promise<boolean> {
  let answered = false;
  void answer.then(() => (answered = true));
  // A round trip over another connection: what is answered without waiting for the disk is answered by then.
  for (let round = 0; round < 3; round++) await site.send('GET', '/healthz');
  return answered;
}

afterEach(async () => {
  // Make stable what a test left pending, so that nothing waits for it.
  journal.setFull(false);
  await letDiskWork(site[Symbol.asyncDispose]());
});

describe('nothing leaves before it is stable', () => {
  test('not the answer to a write', async () => {
    await start();
    const answer = site.put('/data/a', 1);
    await until(() => site.store.has('/a'));
    expect(await isAnswered(answer)).toBe(false);
    expect(await letDiskWork(answer)).toMatchObject({
      status: 200,
      json: { position: { epoch: 1, revision: 2 } },
    });
    expect((await answer).json).not.toHaveProperty('durable');
  });

  test('nor the success of a write that became stable while another site fenced this one', async () => {
    await start();
    await letDiskWork(site.put('/data/a', 1));
    const answer = site.put('/data/a', 2);
    await until(() => site.store.get('/a') === 2);
    const { position } = site.store;
    const fenced = site.store.fence({ number: 2, id: 'f'.repeat(16) }, true);
    const { status, json } = await letDiskWork(answer);
    expect([status, json]).toMatchObject([409, { code: 'FENCED' }]);
    expect(site.store.stable.position).toEqual(position);
    await letDiskWork(fenced);
    expect(await letDiskWork(site.put('/data/a', 3))).toMatchObject({ status: 409, json: { code: 'FENCED' } });
  });

  test('not the answer to a batch', async () => {
    await start();
    const answer = site.send('POST', '/batch', { body: '["put","/a",1]\n["bad"]' });
    await until(() => site.store.has('/a'));
    expect(await isAnswered(answer)).toBe(false);
    expect(await letDiskWork(answer)).toMatchObject({ status: 400, json: { committed: 1, position: { revision: 2 } } });
  });

  test('not a read, an ETag, or that something is absent', async () => {
    await start();
    await letDiskWork(site.put('/data/a', 1));
    const write = site.put('/data/a', 2);
    await until(() => site.store.get('/a') === 2);
    const reads = [
      site.send('GET', '/data/a'),
      site.send('HEAD', '/data/a'),
      site.send('GET', '/data/absent'),
      site.put('/data/a', 3, { 'Evertree-If-Position': '1-1' }),
      site.put('/data/a', 3, { 'If-None-Match': '*' }),
    ];
    for (const read of reads) expect(await isAnswered(read)).toBe(false);
    await letDiskWork(write);
    expect((await Promise.all(reads)).map(({ status }) => status)).toEqual([200, 200, 404, 412, 412]);
    expect((await reads[0])?.text).toBe('2');
  });

  test('not an event of a watch, nor its first state', async () => {
    await start();
    await letDiskWork(site.put('/data/a', 1));
    using first = await site.watch('/watch/a');
    await first.next();
    const write = site.put('/data/a', 2);
    await until(() => site.store.get('/a') === 2);
    using second = await site.watch('/watch/a');
    const events = [first.next(), second.next()];
    for (const event of events) expect(await isAnswered(event)).toBe(false);
    await letDiskWork(write);
    expect(await Promise.all(events)).toMatchObject([
      { event: 'change', id: '1-3' },
      { event: 'state', id: '1-3', data: { value: 2 } },
    ]);
  });

  test('not a position in status or metrics', async () => {
    await start();
    await letDiskWork(site.put('/data/a', 1));
    const { digest } = site.store;
    const write = site.put('/data/a', 2);
    await until(() => site.store.get('/a') === 2);
    const status = { position: { epoch: 1, revision: 2 }, durable: { epoch: 1, revision: 2 }, digest };
    expect(await site.get('/status')).toMatchObject(status);
    expect((await site.send('GET', '/metrics')).text).toMatch(/^evertree_revision 2$/m);
    await letDiskWork(write);
    expect(await site.get('/status')).toMatchObject({ position: { epoch: 1, revision: 3 } });
  });
});

describe('a full disk', () => {
  test('refuses writes, and reads go on with the last stable state', async () => {
    await start();
    await letDiskWork(site.put('/data/a', 1));
    const caught = site.put('/data/a', 2);
    await until(() => site.store.get('/a') === 2);
    journal.setFull(true);
    expect(await caught).toMatchObject({ status: 507, json: { code: 'STORAGE_FULL' } });
    expect(await site.put('/data/b', 1)).toMatchObject({ status: 507, json: { code: 'STORAGE_FULL' } });
    expect(await site.send('GET', '/data')).toMatchObject({ status: 200, json: { a: 1 }, headers: { 'evertree-position': '1-2' } });
    expect(await site.send('GET', '/data')).toMatchObject({ status: 200, json: { a: 1 } });
    expect(await site.get('/status')).toMatchObject({ state: 'full', position: { revision: 2 }, reason: expect.any(String) });
    expect((await site.send('GET', '/readyz')).status).toBe(503);
    expect((await site.send('GET', '/healthz')).status).toBe(200);
    using watching = await site.watch('/watch/a');
    expect(await watching.next()).toMatchObject({ event: 'state', id: '1-2', data: { value: 1 } });
    journal.setFull(false);
    expect(await letDiskWork(site.put('/data/b', 1))).toMatchObject({ status: 200, json: { position: { revision: 4 } } });
    expect(await site.get('/data')).toEqual({ a: 2, b: 1 });
    expect(await watching.next()).toMatchObject({ event: 'change', id: '1-3', data: { operations: [['put', '/a', 2]] } });
  });

  test('in the middle of a batch tells how many lines were taken', async () => {
    await start();
    const answer = site.send('POST', '/batch', { body: '["put","/a",1]\n["put","/b",1]' });
    await until(() => site.store.has('/b'));
    journal.setFull(true);
    expect(await answer).toMatchObject({ status: 507, json: { code: 'STORAGE_FULL', committed: 2 } });
  });

  test('has a recent stable state to read, even under constant writes', async () => {
    let now = 0;
    await start({ ...systemClock, monotonic: () => now });
    const pending: Promise<unknown>[] = [];
    // A group is being written at every moment, so the tree is never at a stable position.
    for (let index = 0; index < 20; index++) {
      pending.push(site.put('/data/n', index));
      await until(() => site.store.get('/n') === index);
      now += 500;
      disk.advance(1);
    }
    journal.setFull(true);
    await Promise.all(pending);
    const { status, text, headers } = await site.send('GET', '/data/n');
    expect(status).toBe(200);
    const revision = Number(String(headers['evertree-position']).split('-')[1]);
    expect(Number(text), 'the state of its position').toBe(revision - 2);
    expect(revision).toBeLessThanOrEqual(site.store.stable.position.revision);
    expect(revision).toBeGreaterThan(site.store.stable.position.revision - 6);
    expect(site.store.stable.position.revision).toBeLessThan(site.store.position.revision);
  });
});

describe('a site that stops', () => {
  test('answers what waits with 503', async () => {
    await start();
    const answer = site.put('/data/a', 1);
    await until(() => site.store.has('/a'));
    void journal.close();
    expect(await answer).toMatchObject({ status: 503, json: { code: 'CLOSED' } });
    expect(await site.send('GET', '/healthz')).toMatchObject({ status: 503 });
  });
});

test('a client that goes away before its answer leaves no timer, which would keep a site that stops from ending', async () => {
  const stallMs = 98_765;
  await start(systemClock, { stallMs });
  const spy = vi.spyOn(globalThis, 'setTimeout');
  onTestFinished(() => spy.mockRestore());
  const timers = () => spy.mock.calls.filter(([, delay]) => delay === stallMs).length;
  const socket = connect({ port: Number(site.url.port), host: site.url.hostname });
  socket.write('PUT /data/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1');
  await until(() => site.store.has('/a'));
  socket.destroy();
  await once(socket, 'close');
  // The server has seen that when it answers what came later.
  expect(await isAnswered(site.send('GET', '/healthz'))).toBe(true);
  const before = timers();
  await letDiskWork(site.put('/data/b', 2));
  expect(timers() - before, 'of the answer that was read').toBe(1);
});
