import type { ExactPosition, Disk } from '@evertree/core';
import { DirectorySource, stoppedSource } from '../../packages/archive/src/writing/directory-source.ts';
import { openJournal } from '@evertree/journal';
import { expect, test } from 'vitest';
import { chunksOf, fill, save } from '../conformance/journal-suite.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { FrameChain } from '../support/frame-chain.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { collectReports } from '../support/reports.ts';

/** The snapshots of a site's directory, as the archive asks for them. */

function openAt(disk: FaultDisk) {
  return openJournal({ disk, clock: systemClock, random: systemRandom, report: collectReports().report, options: { sync: 'dsync' } });
}

/** A disk on which a history of ten frames with a snapshot after each second one was made. */
async function filledDisk(): Promise<{ readonly disk: FaultDisk; readonly chain: FrameChain; readonly saved: readonly ExactPosition[] }> {
  const disk = new FaultDisk();
  const chain = new FrameChain();
  const saved: ExactPosition[] = [];
  await using journal = await openAt(disk);
  for (let round = 0; round < 5; round++) {
    await fill(journal, chain, 2, 100);
    await save(journal, chain, [`at ${chain.position.revision}`]);
    saved.push(chain.position);
  }
  return { disk, chain, saved };
}

test('no snapshot is opened but the one that was asked for', async () => {
  const { disk, chain, saved } = await filledDisk();
  const opened = new Set<string>();
  const counted: Pick<Disk, 'open' | 'list'> = {
    list: path => disk.list(path),
    open: (path, options) => {
      if (path.endsWith('.evs')) opened.add(path);
      return disk.open(path, options);
    },
  };
  const told = { base: { epoch: 0, epochId: '0'.repeat(16), revision: 0 }, stable: chain.position };
  const source = new DirectorySource({ disk: counted, site: 'a', told: () => told, makeSnapshot: async () => false });
  for (const [asked, at] of [
    [() => source.newestSnapshot(chain.position), saved[4]],
    [() => source.newestSnapshot({ ...saved[2]!, revision: saved[2]!.revision + 1 }), saved[2]],
    [() => source.oldestSnapshot(), saved[0]],
  ] as const) {
    opened.clear();
    expect((await asked())?.header.position).toEqual(at);
    expect(opened.size).toBe(1);
  }
});

test('a snapshot that is damaged or has gone gives way to the next one', async () => {
  const { disk, saved } = await filledDisk();
  const newest = disk.files
    .filter(path => path.endsWith('.evs'))
    .toSorted()
    .at(-1)!;
  disk.overwrite(newest, bytes => bytes.subarray(0, 50));
  const source = await stoppedSource(disk);
  expect((await source.newestSnapshot(saved[4]!))?.header.position).toEqual(saved[3]);
});

test.each(['with frames behind its snapshot', 'with a snapshot alone'])(
  'a snapshot of a history that was replaced counts for nothing: %s',
  async kind => {
    const { disk, chain, saved } = await filledDisk();
    const former = new Map<string, Buffer>();
    for (const path of disk.files.filter(each => each.endsWith('.evs')))
      disk.overwrite(path, bytes => (former.set(path, Buffer.from(bytes)), bytes));
    const other = new FrameChain(chain.stream, { epoch: 7, epochId: '07'.repeat(8), revision: 4 });
    {
      await using journal = await openAt(disk);
      const writer = await journal.snapshots.create(other.snapshotHeader(), { replace: true });
      await writer.write(Buffer.from('at 4, of the other'));
      await writer.commit();
      other.epochs.push({ number: 7, id: '07'.repeat(8), site: 'b', base: other.position, reason: 'start', time: 0 });
      if (kind === 'with frames behind its snapshot') await fill(journal, other, 7, 100);
    }
    for (const [path, bytes] of former) disk.place(path, bytes);
    const source = await stoppedSource(disk);
    for (const snapshot of [
      await source.oldestSnapshot(),
      await source.newestSnapshot(other.position),
      await source.newestSnapshot(saved[3]!),
    ]) {
      expect(await chunksOf(snapshot)).toEqual(['at 4, of the other']);
    }
  },
);
