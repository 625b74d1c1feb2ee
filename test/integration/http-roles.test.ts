import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';
import { json } from 'node:stream/consumers';
import { stripVTControlCharacters } from 'node:util';
import type { WriteDestination } from '@evertree/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type SiteStatus, statusLines } from '../../packages/evertree/src/commands/status-report.ts';
import { HttpSite, until } from '../support/http-site.ts';

/** What HTTP says and does about roles, at one site in this process. */
let site: HttpSite;

beforeEach(async () => {
  site = await HttpSite.start();
});
afterEach(async () => {
  await site[Symbol.asyncDispose]();
});

/** Another site that took over. */
const elsewhere = (address: string | undefined): WriteDestination => ({
  kind: 'elsewhere',
  site: 'box-b',
  address,
  epoch: { number: 2, id: 'abcdef0123456789' },
  position: { epoch: 2, epochId: 'abcdef0123456789', revision: 4 },
});

async function isHeld(count: number): Promise<boolean> {
  return ((await site.get('/status')) as { heldWrites: number }).heldWrites === count;
}

describe('a write that comes while roles are switched', () => {
  beforeEach(async () => {
    await site.put('/data/a', 1);
  });

  test('is held, and committed here when the switchover is abandoned', async () => {
    const hold = site.store.hold('switch-1');
    const put = site.put('/data/a', 2);
    const batch = site.send('POST', '/batch', { body: '["put","/b",2]' });
    await until(() => isHeld(2));
    expect(site.store.get(''), 'nothing of it is committed').toEqual({ a: 1 });
    hold.release();
    expect(await put).toMatchObject({ status: 200 });
    expect(await batch).toMatchObject({ status: 200, json: { committed: 1 } });
    expect(await site.get('/data')).toEqual({ a: 2, b: 2 });
    expect(await isHeld(0)).toBe(true);
  });

  test('is sent to the new primary, whole, when the switchover is done', async () => {
    site.store.hold('switch-1');
    const put = site.put('/data?pointer=/x/..', 2);
    const batch = site.send('POST', '/batch', { body: '["put","/b",2]' });
    await until(() => isHeld(2));
    await site.store.handOver('box-b', 'switch-1');
    site.store.settle(elsewhere('https://box-b:8443'));
    const primary = { site: 'box-b', address: 'https://box-b:8443', epoch: 2, position: { epoch: 2, revision: 4 } };
    expect(await put).toMatchObject({
      status: 307,
      headers: { location: 'https://box-b:8443/data?pointer=/x/..' },
      json: { code: 'NOT_PRIMARY', status: 307, primary },
    });
    expect(await batch).toMatchObject({ status: 307, headers: { location: 'https://box-b:8443/batch' }, json: { committed: 0, primary } });
  });

  test('is told the name of the new primary, where no address is known', async () => {
    site.store.hold('switch-1');
    const put = site.put('/data/a', 2);
    await until(() => isHeld(1));
    await site.store.handOver('box-b', 'switch-1');
    site.store.settle(elsewhere(undefined));
    expect(await put).toMatchObject({ status: 409, json: { code: 'NOT_PRIMARY', primary: { site: 'box-b', epoch: 2 } } });
  });

  test('is sent to the new primary in the moment after the handover, too: fenced by its epoch, and not following yet', async () => {
    site.store.hold('switch-1');
    await site.store.handOver('box-b', 'switch-1');
    await site.store.fence({ number: 2, id: 'abcdef0123456789' }, true);
    site.store.settle(elsewhere('http://box-b:8181'));
    expect(site.store.standing).toBe('fenced');
    expect(await site.put('/data/a', 2)).toMatchObject({ status: 307, headers: { location: 'http://box-b:8181/data/a' } });
    expect(() => site.store.put('/a', 2)).toThrow(
      expect.objectContaining({ code: 'FENCED', details: expect.objectContaining({ primary: 'box-b' }) as object }),
    );
  });

  test('is refused at once as FENCED, where another site was promoted and nothing is decided here', async () => {
    await site.store.fence({ number: 2, id: 'abcdef0123456789' }, true);
    expect(await site.put('/data/a', 2)).toMatchObject({ status: 409, json: { code: 'FENCED' } });
  });

  test('keeps its condition: it is judged when the write is committed', async () => {
    const etag = site.store.digestAt('/a')!;
    const hold = site.store.hold('switch-1');
    const puts = [site.put('/data/a', 2, { 'If-Match': `"${etag}"` }), site.put('/data/a', 3, { 'If-Match': `"${etag}"` })];
    await until(() => isHeld(2));
    hold.release();
    const statuses = (await Promise.all(puts)).map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([200, 412]));
  });

  test('goes on with a batch whose first lines are committed, and does not send it elsewhere', async () => {
    const { request, answer } = begunBatch();
    request.write('["put","/b",1]\n');
    await until(() => site.store.has('/b'));
    site.store.hold('switch-1');
    request.end('["put","/c",1]\n');
    await until(() => isHeld(1));
    await site.store.handOver('box-b', 'switch-1');
    site.store.settle(elsewhere('http://box-b:8181'));
    expect(await answer).toMatchObject({ status: 409, json: { code: 'NOT_PRIMARY', committed: 1, primary: { site: 'box-b' } } });
    expect(site.store.has('/c')).toBe(false);
  });
});

describe('writes that are held', () => {
  test.each([
    ['in number', { heldWrites: 1 }],
    ['in bytes', { heldBytes: 1 }],
  ])('are bounded %s: those beyond get 503 with Retry-After', async (_name, limits) => {
    await using bounded = await HttpSite.start({ limits });
    await bounded.put('/data/a', 1);
    const hold = bounded.store.hold('switch-1');
    const first = bounded.put('/data/a', 2);
    await until(async () => ((await bounded.get('/status')) as { heldWrites: number }).heldWrites === 1);
    expect(await bounded.put('/data/a', 3)).toMatchObject({ status: 503, headers: { 'retry-after': '1' }, json: { code: 'SWITCHING' } });
    hold.release();
    expect((await first).status).toBe(200);
  });

  test('are bounded in time', async () => {
    await using bounded = await HttpSite.start({ limits: { heldMs: 20 } });
    await bounded.put('/data/a', 1);
    const hold = bounded.store.hold('switch-1');
    expect(await bounded.put('/data/a', 2)).toMatchObject({ status: 503, headers: { 'retry-after': '1' }, json: { code: 'SWITCHING' } });
    hold.release();
    expect(await bounded.get('/data')).toEqual({ a: 1 });
  });

  test('end with their client', async () => {
    await site.put('/data/a', 1);
    const hold = site.store.hold('switch-1');
    const { request } = begunBatch();
    request.end('["put","/b",1]\n');
    await until(() => isHeld(1));
    request.destroy();
    await until(() => isHeld(0));
    hold.release();
    expect(site.store.has('/b')).toBe(false);
  });
});

/** A batch whose body is not sent yet. */
function begunBatch(): {
  readonly request: ClientRequest;
  readonly answer: Promise<{ readonly status: number | undefined; readonly json: unknown }>;
} {
  const request = httpRequest(new URL('/batch', site.url), { method: 'POST', agent: false });
  const answer = (async () => {
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return { status: response.statusCode, json: await json(response) };
  })();
  answer.catch(() => undefined);
  return { request, answer };
}

describe('Evertree-Seen-Epoch', () => {
  test('keeps a site from committing for a client that has met a higher epoch', async () => {
    await site.put('/data/a', 1);
    const seen = { 'Evertree-Seen-Epoch': '2' };
    const refusal = { status: 409, json: { code: 'FENCED', position: { epoch: 1, revision: 2 }, seenEpoch: 2 } };
    expect(await site.put('/data/a', 2, seen)).toMatchObject(refusal);
    expect(await site.send('POST', '/batch', { headers: seen, body: '["put","/a",2]' })).toMatchObject(refusal);
    expect(await site.get('/data')).toEqual({ a: 1 });
    expect((await site.put('/data/a', 3, { 'Evertree-Seen-Epoch': '1' })).status).toBe(200);
  });

  test.each(['', 'two', '-1'])('%j is refused', async epoch => {
    expect(await site.put('/data/a', 1, { 'Evertree-Seen-Epoch': epoch })).toMatchObject({
      status: 400,
      json: { code: 'REQUEST_INVALID' },
    });
  });
});

describe('a promise whose promoter died', () => {
  test('is told by status, with the command that helps, as long as no site has begun its epoch', async () => {
    await site.put('/data/a', 1);
    const told = async () => stripVTControlCharacters(statusLines((await site.get('/status')) as SiteStatus, site.url.origin).join('\n'));
    expect(await told()).not.toMatch(/promised|fenced/);
    await site.store.fence({ number: 2, id: 'abcdef0123456789' }, false);
    expect(await told()).toContain(
      '  promised  epoch 2 (abcdef0123456789) to a site that was being promoted, and has not heard that it began: until then this site takes no writes\n' +
        `    if no site leads, promote one, this one for example: evertree promote --dry-run --url ${site.url.origin}`,
    );
    // The command that was named.
    const { json: forecast } = await site.send('POST', '/admin/promote', {
      body: '{"dryRun":true}',
      headers: { 'Content-Type': 'application/json' },
    });
    expect(forecast).toMatchObject({ possible: true, obstacles: [] });
    const body = JSON.stringify({ confirm: (forecast as { confirm: string }).confirm });
    const promoted = await site.send('POST', '/admin/promote', { body, headers: { 'Content-Type': 'application/json' } });
    expect(promoted).toMatchObject({ status: 200, json: { epoch: { number: 3 } } });
    expect((await site.put('/data/a', 2)).status).toBe(200);
    expect(await told()).not.toMatch(/promised|fenced/);
  });

  test('is told at a secondary, too, that acknowledges nothing meanwhile', async () => {
    await site.put('/data/a', 1);
    await site.store.follow();
    await site.store.fence({ number: 2, id: 'abcdef0123456789' }, false);
    const lines = statusLines((await site.get('/status')) as SiteStatus, site.url.origin).map(line => stripVTControlCharacters(line));
    expect(lines.find(line => line.startsWith('  promised'))).toMatch(/until then this site acknowledges nothing to an older primary$/);
  });
});
