import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Store } from '@evertree/core';
import type { DiskJournal } from '@evertree/journal';
import { openJournal } from '@evertree/journal';
import { describe, expect, test } from 'vitest';
import { readAll } from '../conformance/journal-suite.ts';
import { dieAtEachStep } from '../support/deaths.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemClock as clock, systemRandom as random } from '../support/host.ts';
import { expectErrors, strictReport } from '../support/reports.ts';

/** A directory that a program of a former version left, and what it holds. */
interface Golden {
  readonly version: number;
  readonly site: string;
  readonly base: number;
  readonly last: { readonly epoch: number; readonly epochId: string; readonly revision: number };
  readonly digest: string;
  readonly value: readonly [string, unknown];
  readonly fencedBy: { readonly number: number; readonly id: string; readonly begun: boolean } | undefined;
  readonly leases: readonly object[];
  readonly declined: readonly string[];
}

const berlin = { epoch: 1, epochId: '13a8582bb698c9af', revision: 41 };
const turin = { epoch: 3, epochId: '0ddba11d0ddba11d', revision: 34 };
const milan = { epoch: 1, epochId: '81455a309cf8e450', revision: 38 };

const DIRECTORIES: readonly Golden[] = [
  {
    version: 1,
    site: 'berlin',
    base: 0,
    last: berlin,
    digest: '62f3009c764b2b19',
    value: ['/devices/d29/n', 29],
    fencedBy: undefined,
    leases: [
      { kind: 'peer', name: 'rome', position: { ...berlin, revision: 12 } },
      { kind: 'peer', name: 'paris', position: { ...berlin, revision: 31 } },
    ],
    declined: [],
  },
  {
    version: 2,
    site: 'milan',
    base: 14,
    last: milan,
    digest: 'd3b671bb7b0e2b79',
    value: ['/devices/d35', { n: 35, mtu: 1535, text: 'ünïcode' }],
    fencedBy: { number: 2, id: '00c0ffee00c0ffee', begun: true },
    leases: [
      { kind: 'peer', name: 'rome', position: { ...milan, revision: 20 } },
      { kind: 'backup', name: 's3', position: { ...milan, revision: 30 }, expiresAt: 4_102_444_800_000 },
    ],
    declined: [],
  },
  {
    // Its frames and its snapshot are of version 2, with a restart entry and a handover that was withdrawn.
    version: 3,
    site: 'turin',
    base: 0,
    last: turin,
    digest: 'b9cd1f3865cce2bd',
    value: ['/devices/d29', { n: 29, mtu: 1529, text: 'ünïcode' }],
    fencedBy: { number: 4, id: '00c0ffee00c0ffee', begun: false },
    leases: [
      { kind: 'peer', name: 'rome', position: { ...turin, revision: 31 } },
      { kind: 'copy', name: 'rsync', position: { ...turin, revision: 32 }, expiresAt: 4_102_444_800_000 },
    ],
    declined: ['c-9'],
  },
];

/** @param isCopy the site's mark is not that of the directory */
function load({ version }: Golden, isCopy = false): FaultDisk {
  const directory = fileURLToPath(new URL(`../support/golden/directory-${version}/`, import.meta.url));
  const disk = new FaultDisk();
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = `${entry.parentPath}/${entry.name}`.slice(directory.length).replace(/^\//, '');
    disk.place(path, readFileSync(`${directory}${path}`));
  }
  if (!isCopy)
    disk.overwrite('site.json', bytes => Buffer.from(bytes.toString().replace(/"directory": "[^"]+"/, '"directory": "original"')));
  return disk;
}

function open(disk: FaultDisk): Promise<DiskJournal> {
  return openJournal({ disk, clock, random, report: strictReport, options: { sync: 'fdatasync' } });
}

/** The upgraded directory has to hold what the old one held. */
async function expectWhole(journal: DiskJournal, golden: Golden, where = ''): Promise<void> {
  const { log, identity, leases } = journal;
  expect([log.base.revision, log.last], where).toEqual([golden.base, golden.last]);
  expect((await readAll(journal, log.base)).length, where).toBe(golden.last.revision - golden.base);
  const { site, role, fencedBy, declined } = identity;
  expect({ site, role, fencedBy, declined }, where).toEqual({
    site: golden.site,
    role: 'primary',
    fencedBy: golden.fencedBy,
    declined: new Set(golden.declined),
  });
  const held = (['peer', 'copy', 'backup'] as const).flatMap(kind =>
    [...leases.of(kind)].map(([name, lease]) => ({ kind, name, ...lease })),
  );
  expect(held, where).toEqual(golden.leases);
  expect(journal.divergences.list(), where).toEqual([]);
}

function json(disk: FaultDisk, path: string): unknown {
  return JSON.parse(disk.bytes(path).toString());
}

describe.each(DIRECTORIES)('a directory of version $version', golden => {
  test.each([false, true])('opens with all that it holds, and is of version 3 then (a copy: %s)', async isCopy => {
    const disk = load(golden, isCopy);
    const journal = await open(disk);
    await expectWhole(journal, golden);
    const store = await Store.open({ journal, clock, random });
    expect([store.position, store.digest]).toEqual([golden.last, golden.digest]);
    expect(store.get(golden.value[0])).toEqual(golden.value[1]);
    expect(store.marks).toEqual([]);
    expect(disk.files.filter(path => path.endsWith('.json')).toSorted()).toEqual(['leases.json', 'site.json']);
    expect(json(disk, 'site.json')).toMatchObject({ format: 3, site: golden.site, role: 'primary', declined: golden.declined });
    expect(json(disk, 'leases.json')).toEqual({ format: 3, leases: golden.leases });
    await store.close();
    await journal.close();
    const again = await open(disk);
    await expectWhole(again, golden);
    await again.close();
  });

  test('holds all its content after a death at any step of the upgrade', async () => {
    let deaths = 0;
    await dieAtEachStep(
      async () => ({ disk: load(golden) }),
      ({ disk }) => open(disk),
      async ({ found, died, where }) => {
        deaths += Number(died);
        const journal = await open(found);
        await expectWhole(journal, golden, where);
        expect([json(found, 'site.json'), json(found, 'leases.json')], where).toMatchObject([{ format: 3 }, { format: 3 }]);
        const again = await open(found.powerLoss(() => 0));
        await expectWhole(again, golden, `${where}, once more`);
        await again.close();
      },
    );
    expect(deaths).toBeGreaterThan(40);
  });

  test('opens on a full disk all the same, and the next start upgrades it', async () => {
    expectErrors('storage-full');
    const disk = load(golden);
    const { totalBytes, freeBytes } = await disk.space();
    disk.capacityBytes = totalBytes - freeBytes;
    const journal = await open(disk);
    await expectWhole(journal, golden);
    await journal.close();
    expect(json(disk, 'site.json')).toMatchObject({ format: golden.version });
    disk.capacityBytes = totalBytes;
    const again = await open(disk);
    await expectWhole(again, golden);
    await again.close();
    expect(json(disk, 'site.json')).toMatchObject({ format: 3 });
    expect(disk.files).not.toContain('peers.json');
  });
});

test('a list of peers that an older program wrote after a step of the upgrade does not count as newer', async () => {
  const golden = DIRECTORIES[0]!;
  const disk = load(golden);
  await (await open(disk)).close();
  disk.place('peers.json', Buffer.from('{"format":1,"peers":[]}'));
  const journal = await open(disk);
  await expectWhole(journal, golden);
  await journal.close();
  expect(disk.files).not.toContain('peers.json');
});

test('a rewind that a program of version 2 decided is carried out before the upgrade, also after a death at any step', async () => {
  const golden = DIRECTORIES[1]!;
  const position = { ...milan, revision: 33 };
  const newest = 'journal/0000000001-0000000000000029.evj';
  await dieAtEachStep(
    async () => {
      const disk = load(golden);
      const frames = await recordEnds(disk, newest);
      const rewind = { format: 2, position, generation: 0, newest: { path: newest, end: frames.get(position.revision) } };
      disk.place('rewind.json', Buffer.from(JSON.stringify(rewind)));
      disk.overwrite('site.json', bytes => Buffer.from(bytes.toString().replace(/,\s*"closedAt": \{[^}]*\}/, '')));
      return { disk };
    },
    ({ disk }) => open(disk),
    async ({ found, where }) => {
      const journal = await open(found);
      await expectWhole(journal, { ...golden, last: position }, where);
      expect(found.files, where).not.toContain('rewind.json');
      await journal.close();
    },
  );
});

/** The offset after each record of a segment, by the last revision of its frame. */
async function recordEnds(disk: FaultDisk, path: string): Promise<Map<number, number>> {
  const bytes = disk.bytes(path);
  const ends = new Map<number, number>();
  for (let at = 64; bytes.toString('latin1', at, at + 4) === 'EVTR';) {
    const frame = at + 40;
    at = frame + bytes.readUInt32LE(at + 8) + bytes.readUInt32LE(at + 12);
    ends.set(Number(bytes.readBigUInt64LE(frame + 56)), at);
  }
  return ends;
}
