import { expect, test } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { HttpSite } from '../support/http-site.ts';
import { SMALL } from '../support/offline-site.ts';
import { expectErrors } from '../support/reports.ts';
import { diskStore } from '../support/stores.ts';

/** What these write stands beside the journal, which has room or tells by itself that it has none. */
test.each(['ENOSPC', 'EDQUOT'])('what finds no room beside the journal is refused, and works when there is room again (%s)', async code => {
  const disk = new FaultDisk();
  const { store } = await diskStore(disk, { site: 'berlin', journalOptions: SMALL });
  await using site = await HttpSite.start({ store });
  await store.put('/a', 1).durable;
  const full = disk.fail({ operation: 'write', path: /evs|leases/, code });
  for (const target of ['/admin/snapshot', '/admin/timestamp']) {
    const answer = await site.send('POST', target);
    expect(answer).toMatchObject({ status: 507, json: { code: 'STORAGE_FULL', detail: expect.stringContaining(code) } });
  }
  full[Symbol.dispose]();
  for (const target of ['/admin/snapshot', '/admin/timestamp']) expect(await site.send('POST', target)).toMatchObject({ status: 200 });
  expect(site.reports.filter(({ level }) => level === 'error')).toEqual([]);
});

test.each([
  ['EIO', 'the disk reports a fault'],
  ['EROFS', 'the file system is mounted read-only'],
  ['EACCES', 'the user of this process lacks the right'],
  ['EMFILE', 'too many files open'],
])('what fails beside the journal is told with the file, what still works, and the remedy (%s)', async (code, remedy) => {
  expectErrors('http-request-failed');
  const disk = new FaultDisk();
  const { store } = await diskStore(disk, { site: 'berlin', journalOptions: SMALL });
  await using site = await HttpSite.start({ store });
  await store.put('/a', 1).durable;
  const failing = disk.fail({ operation: 'write', path: /evs|leases/, code });
  for (const [target, file] of [
    ['/admin/snapshot', /^snapshots\/.*evs/],
    ['/admin/timestamp', /^leases\.json/],
  ] as const) {
    const { status, json } = await site.send('POST', target);
    expect({ status, json }).toMatchObject({ status: 503, json: { code: 'STORAGE_FAILED', file: expect.stringMatching(file) } });
    const { detail } = json as { readonly detail: string };
    expect(detail).toMatch(file);
    expect(detail).toContain(remedy);
    expect(detail).toContain('Reads go on, and writes as long as the status of this site says open');
    expect(site.reports).toContainEqual(
      expect.objectContaining({ event: 'http-request-failed', message: expect.stringContaining(remedy) }),
    );
  }
  expect(await site.send('PUT', '/data/b', { headers: { 'Content-Type': 'application/json' }, body: '2' })).toMatchObject({ status: 200 });
  failing[Symbol.dispose]();
  for (const target of ['/admin/snapshot', '/admin/timestamp']) expect(await site.send('POST', target)).toMatchObject({ status: 200 });
});

test('an error of the system for which no remedy is known remains a fault that the log tells of', async () => {
  expectErrors('http-request-failed');
  const disk = new FaultDisk();
  const { store } = await diskStore(disk, { site: 'berlin', journalOptions: SMALL });
  await using site = await HttpSite.start({ store });
  await store.put('/a', 1).durable;
  using _ = disk.fail({ operation: 'write', path: /evs/, code: 'EINVAL' });
  expect(await site.send('POST', '/admin/snapshot')).toMatchObject({ status: 500, json: { code: 'INTERNAL' } });
  expect(site.reports).toContainEqual(expect.objectContaining({ event: 'http-request-failed' }));
});
