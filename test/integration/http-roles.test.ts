import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HttpSite } from '../support/http-site.ts';

/** What HTTP says and does about roles, at one site in this process. */
let site: HttpSite;

beforeEach(async () => {
  site = await HttpSite.start();
});
afterEach(async () => {
  await site[Symbol.asyncDispose]();
});

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
