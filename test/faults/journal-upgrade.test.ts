import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ORIGIN, Store } from '@evertree/core';
import type { DiskJournal } from '@evertree/journal';
import { openJournal } from '@evertree/journal';
import { expect, test } from 'vitest';
import { readAll } from '../conformance/journal-suite.ts';
import { dieAtEachStep } from '../support/deaths.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemClock as clock, systemRandom as random } from '../support/host.ts';
import { expectErrors, strictReport } from '../support/reports.ts';

/** What a program of directory version 1 left: a primary with three segments, a snapshot and two peers. */
const GOLDEN = fileURLToPath(new URL('../support/golden/directory-1/', import.meta.url));
const END = { epoch: 1, epochId: '13a8582bb698c9af', revision: 41 };
const DIGEST = '62f3009c764b2b19';
const PEERS = [
  { kind: 'peer', name: 'rome', position: { ...END, revision: 12 } },
  { kind: 'peer', name: 'paris', position: { ...END, revision: 31 } },
];

/** @param isCopy the site's mark is not that of the directory */
function golden(isCopy = false): FaultDisk {
  const disk = new FaultDisk();
  for (const entry of readdirSync(GOLDEN, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = `${entry.parentPath}/${entry.name}`.slice(GOLDEN.length).replace(/^\//, '');
    disk.place(path, readFileSync(`${GOLDEN}${path}`));
  }
  if (!isCopy)
    disk.overwrite('site.json', bytes => Buffer.from(bytes.toString().replace(/"directory": "[^"]+"/, '"directory": "original"')));
  return disk;
}

function open(disk: FaultDisk): Promise<DiskJournal> {
  return openJournal({ disk, clock, random, report: strictReport, options: { sync: 'fdatasync' } });
}

/** The upgraded directory has to hold what the old one held. */
async function expectWhole(journal: DiskJournal, where = ''): Promise<void> {
  expect([journal.log.base, journal.log.last], where).toEqual([ORIGIN, END]);
  expect((await readAll(journal, ORIGIN)).length, where).toBe(41);
  expect([journal.identity.site, journal.identity.role, journal.identity.fencedBy], where).toEqual(['berlin', 'primary', undefined]);
  expect([...journal.leases.of('peer').keys()], where).toEqual(['rome', 'paris']);
}

test.each([false, true])('a directory of version 1 opens with all that it holds, and is of version 3 then (a copy: %s)', async isCopy => {
  const disk = golden(isCopy);
  const journal = await open(disk);
  await expectWhole(journal);
  const store = await Store.open({ journal, clock, random });
  expect([store.position, store.digest]).toEqual([END, DIGEST]);
  expect(store.get('/devices/d29/n')).toBe(29);
  expect(disk.files.filter(path => path.endsWith('.json')).toSorted()).toEqual(['leases.json', 'site.json']);
  expect(JSON.parse(disk.bytes('site.json').toString())).toMatchObject({ format: 3, site: 'berlin', role: 'primary' });
  expect(JSON.parse(disk.bytes('leases.json').toString())).toEqual({ format: 3, leases: PEERS });
  await store.close();
  await journal.close();
  const again = await open(disk);
  await expectWhole(again);
  await again.close();
});

test('a death at any step of the upgrade leaves a directory that opens with all its content', async () => {
  let deaths = 0;
  await dieAtEachStep(
    async () => ({ disk: golden() }),
    ({ disk }) => open(disk),
    async ({ found, died, where }) => {
      deaths += Number(died);
      const journal = await open(found);
      await expectWhole(journal, where);
      const again = await open(found.powerLoss(() => 0));
      await expectWhole(again, `${where}, once more`);
      await again.close();
    },
  );
  expect(deaths).toBeGreaterThan(40);
});

test('on a full disk the directory opens all the same, and the next start upgrades it', async () => {
  expectErrors('storage-full');
  const disk = golden();
  const { totalBytes, freeBytes } = await disk.space();
  disk.capacityBytes = totalBytes - freeBytes;
  const journal = await open(disk);
  await expectWhole(journal);
  await journal.close();
  expect(disk.files).toContain('peers.json');
  disk.capacityBytes = totalBytes;
  const again = await open(disk);
  await expectWhole(again);
  await again.close();
  expect(disk.files).not.toContain('peers.json');
});

test('a list of peers that an older program wrote after a step of the upgrade does not count as newer', async () => {
  const disk = golden();
  await (await open(disk)).close();
  disk.place('peers.json', Buffer.from('{"format":1,"peers":[]}'));
  const journal = await open(disk);
  await expectWhole(journal);
  await journal.close();
  expect(disk.files).not.toContain('peers.json');
});
