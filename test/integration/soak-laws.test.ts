import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSite } from 'evertree';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Laws } from '../../scripts/soak/laws.ts';
import { type HistoryLine, Past } from '../../scripts/soak/past.ts';
import { SoakSite } from '../../scripts/soak/sites.ts';
import { Writes } from '../../scripts/soak/writes.ts';
import { HttpSite } from '../support/http-site.ts';
import { Chance } from '../simulation/chance.ts';

/** The soak finds what it looks for: each test breaks a law. */

let folder: string;
let http: HttpSite;
let writes: Writes;
let laws: Laws;
let faults: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evertree-soak-laws-'));
  http = await HttpSite.start({ site: await openSite({ data: folder, site: 'north' }) });
  writes = new Writes();
  faults = [];
  laws = new Laws(writes, false, what => faults.push(what));
});
afterEach(async () => {
  await http[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

function check(): Promise<void> {
  const site = new SoakSite({
    role: 'primary',
    site: 'north',
    config: [],
    data: folder,
    httpPort: Number(http.url.port),
    wirePort: 0,
  });
  return laws.check([site], new Chance(1));
}

async function write(id: string, outcome: 'done' | 'refused'): Promise<void> {
  const { json } = await http.put('/data/k/a', { id, padding: '' });
  const { position } = json as { position: { epoch: number; revision: number } };
  Object.assign(writes.begin(id, 'north'), { outcome, position: `${position.epoch}-${position.revision}` });
}

function line(revision: number, before: string | undefined, after: string): HistoryLine {
  const operation = { path: '/k/a', ...(before !== undefined && { before: { id: before } }), after: { id: after } };
  return { position: { epoch: 1, revision }, operations: [operation] };
}

test('writes that stand where they were answered break no law', async () => {
  await write('first', 'done');
  await check();
  await write('second', 'done');
  await check();
  expect(faults).toEqual([]);
  expect(laws.past?.commits.map(({ values }) => values)).toEqual([[['a', 'first']], [['a', 'second']]]);
});

test('a write that was answered for and is nowhere is found', async () => {
  await write('first', 'done');
  Object.assign(writes.begin('lost', 'north'), { outcome: 'done', answer: '200', position: '1-4' });
  await check();
  expect(faults).toEqual(['1 writes that were answered for are nowhere: lost at north, 200, 1-4']);
});

test('a write that was refused and stands, one of nobody, and one at another position are found', async () => {
  await write('refused', 'refused');
  await http.put('/data/k/b', { id: 'foreign', padding: '' });
  await write('moved', 'done');
  Object.assign(writes.byId.get('moved')!, { position: '1-99' });
  await check();
  expect(faults).toEqual([
    expect.stringMatching(/^refused at 1-\d+ was refused/),
    expect.stringMatching(/^foreign at 1-\d+ was written by nobody/),
    expect.stringMatching(/^moved is at 1-\d+, and the answer was 1-99/),
  ]);
});

test('a history that does not lead to the tree, or not from its beginning, is found', () => {
  const now = new Map([['a', 'second']]);
  const whole = new Past(now, [line(2, 'first', 'second'), line(1, undefined, 'first')], true);
  expect(whole.at('1-1')).toEqual(new Map([['a', 'first']]));
  expect(() => new Past(now, [line(2, 'first', 'other'), line(1, undefined, 'first')], true)).toThrow(/1-2 wrote other at/);
  expect(() => new Past(now, [line(2, 'first', 'second')], true)).toThrow(/whole history/);
  expect(whole.differenceTo(new Past(now, [line(2, 'first', 'second'), line(1, undefined, 'first')], true))).toBeUndefined();
  expect(whole.differenceTo(new Past(now, [line(3, 'first', 'second'), line(1, undefined, 'first')], true))).toMatch(/1-2.* and .*1-3/);
});
