import type { Timestamp } from '@evertree/history';
import { describe, expect, test } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { HttpSite } from '../support/http-site.ts';
import { SMALL } from '../support/offline-site.ts';
import { diskStore } from '../support/stores.ts';

const JSON_BODY = { 'Content-Type': 'application/json' };

async function started(): Promise<HttpSite> {
  const { store } = await diskStore(new FaultDisk(), { site: 'berlin', journalOptions: SMALL });
  return HttpSite.start({ store });
}

function post(site: HttpSite, body: object) {
  return site.send('POST', '/admin/timestamp', { headers: JSON_BODY, body: JSON.stringify(body) });
}

describe('timestamps over HTTP', () => {
  test('begin a copy, list it, end it, and may be asked for again', async () => {
    await using site = await started();
    site.store.put('/a', 1);
    const begun = await site.send('POST', '/admin/timestamp');
    const first = begun.json as Timestamp;
    expect(begun).toMatchObject({ status: 200, headers: { 'evertree-position': '1-2' } });
    expect(first).toMatchObject({
      site: 'berlin',
      stream: site.store.stream,
      digest: site.store.digest,
      first: null,
      epoch: { number: 1 },
    });
    const listed = (await site.send('GET', '/admin/timestamp')).json;
    expect(listed).toMatchObject({ copies: [{ lease: first.lease, position: { epoch: 1, revision: 2 } }] });
    site.store.put('/a', 2);
    for (let again = 0; again < 2; again++) {
      const ended = await post(site, { first });
      expect(ended).toMatchObject({ status: 200, json: { first: first.position, lease: first.lease, position: { revision: 3 } } });
    }
  });

  test('refuse a copy whose lease is lost, another stream, and a body that says nothing', async () => {
    await using site = await started();
    expect(await site.send('POST', '/admin/timestamp')).toMatchObject({ status: 404, json: { code: 'NOT_FOUND' } });
    site.store.put('/a', 1);
    const first = (await site.send('POST', '/admin/timestamp')).json as Timestamp;
    expect(await post(site, { first: { stream: 'ab'.repeat(16), lease: first.lease, position: first.position } })).toMatchObject({
      status: 409,
      json: { code: 'STREAM_MISMATCH' },
    });
    expect(await post(site, { release: first.lease })).toMatchObject({ status: 200, json: { released: true } });
    expect(await post(site, { release: first.lease })).toMatchObject({ status: 404 });
    expect(await post(site, { first })).toMatchObject({ status: 410, json: { code: 'COMPACTED' } });
    expect(await post(site, { frist: first })).toMatchObject({ status: 400, json: { code: 'VALUE_INVALID' } });
    expect(await post(site, { first: { stream: 'no', lease: '', position: 1 } })).toMatchObject({ status: 400 });
  });

  test('are refused by a site in memory', async () => {
    await using site = await HttpSite.start();
    site.store.put('/a', 1);
    expect(await site.send('POST', '/admin/timestamp')).toMatchObject({ status: 503, json: { code: 'NOT_DURABLE' } });
  });
});
