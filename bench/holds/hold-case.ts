import type { Answered, ServedPair, ServedSite } from '../contestants/served-pair.ts';

/** Something that a user can do, and that may hold the event loop of a site. */
export interface HoldCase {
  readonly name: string;
  /** Leaves that it changes in one commit: of a large one, the longest hold is judged for each of them. */
  readonly leaves?: number | undefined;
  /** What has to be there before. Not measured. */
  prepare?(pair: ServedPair): Promise<void>;
  run(pair: ServedPair): Promise<void>;
}

/** @throws when the answer is none of those that are expected */
export function expectStatus({ status, text }: Answered, ...expected: readonly number[]): void {
  if (!expected.includes(status)) throw new Error(`the answer is ${status}, not ${expected.join(' or ')}: ${text.slice(0, 400)}`);
}

export async function put(site: ServedSite, path: string, body: Buffer): Promise<void> {
  expectStatus(await site.request('PUT', `/data${path}`, { type: 'application/json', body }), 200);
}

export async function merge(site: ServedSite, path: string, body: Buffer): Promise<void> {
  expectStatus(await site.request('PATCH', `/data${path}`, { type: 'application/merge-patch+json', body }), 200);
}

export async function patchJson(site: ServedSite, path: string, body: Buffer, status = 200): Promise<void> {
  expectStatus(await site.request('PATCH', `/data${path}`, { type: 'application/json-patch+json', body }), status);
}

export async function batch(site: ServedSite, body: Buffer): Promise<void> {
  expectStatus(await site.request('POST', '/batch', { type: 'application/x-ndjson', body }), 200);
}

export async function get(site: ServedSite, path: string, accept = '*/*'): Promise<Answered> {
  const answer = await site.request('GET', path, { headers: { accept } });
  expectStatus(answer, 200);
  return answer;
}

export async function post(site: ServedSite, path: string, body: object): Promise<Answered> {
  const answer = await site.request('POST', path, { type: 'application/json', body: Buffer.from(JSON.stringify(body)) });
  expectStatus(answer, 200);
  return answer;
}

/** Both sites, one after the other: whatever is read can be read at either. */
export async function atBoth(pair: ServedPair, read: (site: ServedSite) => Promise<unknown>): Promise<void> {
  await read(pair.primary);
  await read(pair.secondary);
}

/** The stable position of the primary, as HTTP writes it. */
export async function position({ primary }: ServedPair): Promise<string> {
  const { stable } = await primary.process.call('state');
  return `${stable.epoch}-${stable.revision}`;
}
