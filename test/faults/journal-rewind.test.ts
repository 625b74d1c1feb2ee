import type { Journal, Report } from '@evertree/core';
import { ORIGIN } from '@evertree/core';
import type { DiskJournal } from '@evertree/journal';
import { openJournal } from '@evertree/journal';
import { describe, expect, test } from 'vitest';
import { expectedFrames, fill, readAll, save, thrown } from '../conformance/journal-suite.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { FrameChain } from '../support/frame-chain.ts';
import { ManualClock, systemRandom } from '../support/host.ts';
import { collectReports, expectErrors } from '../support/reports.ts';

async function open(disk: FaultDisk, reports: Report[] = []): Promise<DiskJournal> {
  const options = { sync: 'fdatasync', segmentBytes: 2_000, tailBytes: 500, retentionRewindMs: 0 } as const;
  const { report } = collectReports(reports);
  return openJournal({ disk, clock: new ManualClock(), random: systemRandom, report, identity: { site: 'a' }, options });
}

async function prepare(frames = 24) {
  const disk = new FaultDisk();
  const chain = new FrameChain();
  const journal = await open(disk);
  await fill(journal, chain, frames, 300);
  return { disk, chain, journal };
}

/** Opens it on a disk that has no room for another site.json. */
async function openWithoutRoom(disk: FaultDisk): Promise<DiskJournal> {
  using _ = disk.fail({ operation: 'write', path: /site/, code: 'ENOSPC' });
  const journal = await open(disk);
  expect(JSON.parse(disk.bytes('site.json').toString())).toHaveProperty('closedAt');
  return journal;
}

const ignore = () => Promise.resolve();

function eventsOf(reports: readonly Report[]): string[] {
  return reports.map(({ event }) => event);
}

describe('after a stop, and an opening on a full disk that could not record it', () => {
  const before = { epoch: 1, epochId: 'cc'.repeat(8), revision: 7 };
  const cases: [string, (journal: Journal, chain: FrameChain) => Promise<void>][] = [
    ['a rewind', (journal, chain) => journal.log.rewind(chain.frames[9]!.header.last, ignore)],
    [
      'a snapshot in place of the history',
      async (journal, chain) => {
        const writer = await journal.snapshots.create(chain.snapshotHeader(before), { replace: true });
        await writer.commit();
      },
    ],
  ];

  test.each(cases)('%s to a position before that is no loss for the next start', async (_, shorten) => {
    const { disk, chain, journal } = await prepare();
    await journal.close();
    const full = await openWithoutRoom(disk);
    await shorten(full, chain);
    const { last } = full.log;
    const reports: Report[] = [];
    const again = await open(disk.crash(), reports);
    expect([again.log.last, eventsOf(reports)]).toEqual([last, []]);
    await again.close();
  });

  test('nothing goes while the disk is still full', async () => {
    const { disk, chain, journal } = await prepare();
    await journal.close();
    const full = await openWithoutRoom(disk);
    const site = disk.fail({ operation: 'write', path: /site/, code: 'ENOSPC' });
    const position = chain.frames[9]!.header.last;
    expect(await thrown(() => full.log.rewind(position, ignore))).toMatchObject({ code: 'STORAGE_FULL' });
    expect(full.log.last).toEqual(chain.position);
    site[Symbol.dispose]();
    await full.log.rewind(position, ignore);
    expect(full.log.last).toEqual(position);
    await full.close();
  });
});

/** A directory in which the rewind was decided and nothing of it carried out, without the segment that has the position. */
async function decided() {
  expectErrors('storage-failed');
  const { disk, chain, journal } = await prepare();
  disk.fail({ operation: 'remove', path: /journal/, code: 'EIO' });
  await expect(journal.log.rewind(chain.frames[13]!.header.last, ignore)).rejects.toThrow('EIO');
  const { newest } = JSON.parse(disk.bytes('rewind.json').toString()) as { newest: { path: string } };
  const first = Number(newest.path.slice(-20, -4));
  return { disk, chain, missing: newest.path, before: chain.frames[first - 2]!.header.last };
}

describe('a rewind that was decided, and whose segment is missing', () => {
  test('opens in a copy with the history before it, and says that the copy is incomplete', async () => {
    const { disk, chain, missing, before } = await decided();
    const reports: Report[] = [];
    const copy = await open(
      disk.copy((path, bytes) => (path === missing ? undefined : bytes)),
      reports,
    );
    expect(copy.log.last).toEqual(before);
    expect(await readAll(copy, ORIGIN)).toEqual(expectedFrames(chain.frames.slice(0, before.revision)));
    expect(eventsOf(reports)).toEqual(['directory-copied', 'copy-incomplete']);
    await copy.close();
  });

  test('opens in the directory itself with the history before it, and says that commits are lost', async () => {
    const { disk, missing, before } = await decided();
    const found = disk.crash();
    found.erase(missing);
    expectErrors('history-lost');
    const reports: Report[] = [];
    const again = await open(found, reports);
    expect([again.log.last, eventsOf(reports)]).toEqual([before, ['history-lost']]);
    expect(found.files).not.toContain('rewind.json');
    await again.close();
  });
});

describe('a rewind that can not be decided', () => {
  test.each(['ENOSPC', 'EIO'])('has cut nothing, wherever the disk refuses it, and the journal goes on (%s)', async code => {
    for (const [operation, path] of [
      ['open', /rewind/],
      ['truncate', /rewind/],
      ['write', /rewind/],
      ['sync', /rewind/],
      ['rename', /rewind/],
      ['syncDirectory', /^$/],
    ] as const) {
      const { disk, chain, journal } = await prepare();
      disk.fail({ operation, path, code, times: 1 });
      await expect(journal.log.rewind(chain.frames[9]!.header.last, ignore), operation).rejects.toThrow(code === 'EIO' ? 'EIO' : 'no room');
      expect([journal.log.state, journal.log.last], operation).toEqual(['open', chain.position]);
      expect(disk.files, operation).not.toContain('rewind.json');
      await fill(journal, chain, 3, 300);
      for (const found of [disk.powerLoss(() => 0), disk.crash()]) {
        const again = await open(found);
        expect(again.log.last, operation).toEqual(chain.position);
        expect(await readAll(again, ORIGIN)).toEqual(expectedFrames(chain.frames));
        await again.close();
      }
    }
  });

  test('ends all writing if nobody knows whether it was decided', async () => {
    expectErrors('storage-failed');
    const { disk, chain, journal } = await prepare();
    disk.fail({ operation: 'syncDirectory', path: /^$/, code: 'EIO' });
    const position = chain.frames[9]!.header.last;
    await expect(journal.log.rewind(position, ignore)).rejects.toThrow('EIO');
    expect(journal.log.state).toBe('failed');
    expect(await thrown(() => journal.log.append(chain.next()))).toMatchObject({ code: 'STORAGE_FAILED' });
    const again = await open(disk.crash());
    expect([chain.frames[23]!.header.last, position]).toContainEqual(again.log.last);
    await again.close();
  });
});

describe('a rewind among other work', () => {
  test('hands out the group in flight and those that wait behind it', async () => {
    const { disk, chain, journal } = await prepare();
    const release = disk.hold('write', /journal/);
    for (let index = 0; index < 6; index++) journal.log.append(chain.next({ bytes: 700 }));
    const position = chain.frames[20]!.header.last;
    const kept: number[] = [];
    const going = journal.log.rewind(position, async divergence => {
      for await (const { frame } of divergence.frames()) kept.push(frame.header.last.revision);
    });
    expect(await thrown(() => journal.log.append(chain.next()))).toMatchObject({ code: 'HISTORY_MISMATCH' });
    release();
    await going;
    expect([kept, journal.log.last]).toEqual([[22, 23, 24, 25, 26, 27, 28, 29, 30], position]);
    await journal.close();
  });

  test('to a frame within a group leaves the frames of the group before it', async () => {
    const { disk, chain, journal } = await prepare(4);
    for (let index = 0; index < 4; index++) journal.log.append(chain.next({ bytes: 100 }));
    await journal.log.flush();
    const position = chain.frames[5]!.header.last;
    await journal.log.rewind(position, ignore);
    const whole = chain.frames.slice(0, 6);
    const again = await open(disk.powerLoss(() => 0));
    expect([again.log.last, await readAll(again, ORIGIN)]).toEqual([position, expectedFrames(whole)]);
    await again.close();
  });

  test('makes a snapshot that was begun behind its position impossible', async () => {
    const { chain, journal } = await prepare();
    const late = await journal.snapshots.create(chain.snapshotHeader());
    const early = await journal.snapshots.create(chain.snapshotHeader(chain.frames[3]!.header.last));
    await journal.log.rewind(chain.frames[9]!.header.last, ignore);
    expect(await thrown(() => late.commit())).toMatchObject({ code: 'HISTORY_MISMATCH' });
    await early.commit();
    expect((await journal.snapshots.newest())?.header.position.revision).toBe(4);
    await journal.close();
  });

  test('finds what retention keeps for a peer: a snapshot to begin with, and the frames up to the position of the peer', async () => {
    const { disk, chain, journal } = await prepare(20);
    await save(journal, chain, ['early tree']);
    await fill(journal, chain, 20, 300);
    await save(journal, chain, ['late tree']);
    const position = chain.frames[29]!.header.last;
    journal.leases.hold('peer', 'b', position);
    const applied = journal.retention.apply();
    const going = journal.log.rewind(position, ignore);
    await Promise.all([applied, going, journal.retention.apply()]);
    expect([journal.log.base.revision > 0, journal.log.last]).toEqual([true, position]);
    const again = await open(disk.powerLoss(() => 0));
    expect([again.log.last, (await again.snapshots.newest())?.header.position.revision]).toEqual([position, 20]);
    await again.close();
  });
});
