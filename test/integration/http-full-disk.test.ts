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

test('a disk that fails for another reason remains a fault that the log tells of', async () => {
  expectErrors('http-request-failed');
  const disk = new FaultDisk();
  const { store } = await diskStore(disk, { site: 'berlin', journalOptions: SMALL });
  await using site = await HttpSite.start({ store });
  await store.put('/a', 1).durable;
  using _ = disk.fail({ operation: 'write', path: /evs/, code: 'EIO' });
  expect(await site.send('POST', '/admin/snapshot')).toMatchObject({ status: 500, json: { code: 'INTERNAL' } });
  expect(site.reports).toContainEqual(expect.objectContaining({ event: 'http-request-failed' }));
});
