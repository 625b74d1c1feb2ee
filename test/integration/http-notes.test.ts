import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeChangeSets } from '@evertree/core';
import { HttpSite } from '../support/http-site.ts';
import { framesOf } from '../support/stores.ts';

let site: HttpSite;
beforeAll(async () => {
  site = await HttpSite.start();
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
});

/** Author and message of the last commits, the newest last. */
async function notes(count: number): Promise<{ author: string | undefined; message: string | undefined }[]> {
  const frames = await framesOf(site.store.journal);
  const sets = frames.flatMap(frame => decodeChangeSets(frame)).filter(({ operations }) => operations.length > 0);
  return sets.slice(-count).map(({ author, message }) => ({ author, message }));
}

const NOTE = { 'Evertree-Author': 'Zo%C3%AB%20%F0%9F%8C%B2', 'Evertree-Message': '100%25%20sure%0Asecond line' };
const MEANT = { author: 'Zoë 🌲', message: '100% sure\nsecond line' };

describe('author and message of a commit', () => {
  test.each([
    ['PUT', '/data/a', '1', {}],
    ['PATCH', '/data', '{"a":2}', { 'Content-Type': 'application/merge-patch+json' }],
    ['PATCH', '/data', '[{"op":"replace","path":"/a","value":3}]', { 'Content-Type': 'application/json-patch+json' }],
    ['DELETE', '/data/a', undefined, {}],
  ])('%s takes them from its headers: %s %s', async (method, target, body, headers) => {
    const answer = await site.send(method, target, { headers: { ...headers, ...NOTE }, ...(body === undefined ? {} : { body }) });
    expect(answer.status).toBe(200);
    expect(await notes(1)).toEqual([MEANT]);
  });

  test('every line of a batch gets those of its request', async () => {
    const body = '["put","/b",1]\n["merge","/c",{"d":1}]\n[["put","/e",1],["put","/f",2]]';
    const { epoch, revision } = site.store.position;
    const answer = await site.send('POST', '/batch', { body, headers: { ...NOTE, 'Evertree-If-Position': `${epoch}-${revision}` } });
    expect(answer.status).toBe(200);
    expect(await notes(3)).toEqual([MEANT, MEANT, MEANT]);
  });

  test('one may be there without the other, and an empty one is as none', async () => {
    await site.put('/data/g', 1, { 'Evertree-Author': 'ada', 'Evertree-Message': '' });
    await site.put('/data/g', 2, { 'Evertree-Message': 'why' });
    await site.put('/data/g', 3);
    const [author, message] = [undefined, undefined];
    expect(await notes(3)).toEqual([
      { author: 'ada', message },
      { author, message: 'why' },
      { author, message },
    ]);
  });

  test.each([
    ['100%', 'REQUEST_INVALID', '"%" itself is "%25"'],
    ['%ff', 'REQUEST_INVALID', 'not percent-encoded UTF-8'],
    ['%ED%A0%80', 'REQUEST_INVALID', 'not percent-encoded UTF-8'],
    ['Zo\xeb', 'REQUEST_INVALID', 'has characters beyond ASCII'],
    ['x'.repeat(65_537), 'TOO_LARGE', 'the limit is 65536'],
  ])('%.20s is refused, and nothing is committed', async (author, code, detail) => {
    const before = site.store.position;
    const answer = await site.put('/data/refused', 1, { 'Evertree-Author': author });
    expect(answer.json).toMatchObject({ code, detail: expect.stringContaining(detail) });
    expect(site.store.position).toEqual(before);
  });
});
