import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSite } from 'evertree';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { collectReports, expectErrors } from '../support/reports.ts';
import { freePort } from '../support/site-process.ts';

/** `site.reload()` in the library; test/e2e/reload.test.ts has the program. */

const SOON = { timeout: 20_000, interval: 20 };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evertree-reload-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('a site takes the tokens over that its files have now, and refuses bad ones as a whole', async () => {
  const file = join(folder, 'site.token');
  const [auth, port] = [{ 'token-file': file }, await freePort()];
  expectErrors('reload-refused');
  const { reports, report } = collectReports();
  await writeFile(file, 'the-first-token', { mode: 0o600 });
  const connection = { 'consumer-address': '127.0.0.1', 'consumer-port': port, 'connection-retry-interval-ms': 20 };
  await using north = await openSite({ data: join(folder, 'north'), log: report, primary: { 'netty-connection': connection, auth } });
  const standby = { 'netty-consumer': { 'listening-port': port }, auth };
  const openSouth = () => openSite({ data: join(folder, 'south'), site: 'south', log: report, standby });
  const followed = () => vi.waitFor(() => expect(north.producer?.peers).toMatchObject([{ site: 'south', state: 'replicate' }]), SOON);
  {
    await using south = await openSouth();
    await followed();
    await writeFile(file, 'the-second-token');
    expect(south.reload().renewed).toEqual([{ source: 'configuration', key: 'auth' }]);
    expect(south.reload().renewed).toEqual([]);
    await north.store.put('/on-the-same-link', true).acknowledged(1);
  }
  // It starts with the second token, and the primary still shows the first one.
  await using south = await openSouth();
  await vi.waitFor(() => expect(reports.map(({ event }) => event)).toContain('connection-refused'), SOON);
  expect(south.consumer?.state.primary).toBeNull();
  await writeFile(file, 'short');
  expect(() => north.reload()).toThrow(expect.objectContaining({ code: 'CONFIGURATION_INVALID' }));
  expect(reports.filter(({ event }) => event === 'reload-refused')).toMatchObject([{ level: 'error' }]);
  await writeFile(file, 'the-second-token');
  expect(north.reload().renewed).toEqual([{ source: 'configuration', key: 'auth' }]);
  await followed();
  await north.store.put('/on-a-new-link', true).acknowledged(1);
  expect(JSON.stringify(reports)).not.toMatch(/the-(first|second)-token/);
});
