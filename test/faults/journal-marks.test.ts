import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Mark } from '@evertree/core';
import { openJournal } from '@evertree/journal';
import { expect, test } from 'vitest';
import { chunksOf, fill, save } from '../conformance/journal-suite.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { FrameChain } from '../support/frame-chain.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { collectReports } from '../support/reports.ts';

const SNAPSHOTS = 60;
const MARKS = 4_000;

/** After a full collection. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

function open(disk: FaultDisk) {
  return openJournal({ disk, clock: systemClock, random: systemRandom, report: collectReports().report, options: { sync: 'dsync' } });
}

test('a journal keeps the marks of none of its snapshots in memory, and gives them to whoever reads one', async () => {
  const disk = new FaultDisk();
  const chain = new FrameChain();
  {
    await using journal = await open(disk);
    await fill(journal, chain, 1, 100);
    const mark = (n: number): Mark => ({
      name: `mark ${n}`,
      position: chain.position,
      markedAt: chain.position,
      time: n,
      author: 'a,"marks":[',
    });
    chain.marks.push(...Array.from({ length: MARKS }, (_, n) => mark(n)));
    for (let n = 0; n < SNAPSHOTS; n++) {
      await fill(journal, chain, 1, 100);
      await save(journal, chain, [`tree ${n}`]);
    }
  }
  const before = heapBytes();
  await using journal = await open(disk);
  // The marks of all of them take some 50 MiB.
  expect(heapBytes() - before).toBeLessThan(10e6);
  expect(journal.snapshots.list).toHaveLength(SNAPSHOTS);
  const newest = await journal.snapshots.newest();
  expect(newest!.header).toEqual(chain.snapshotHeader());
  expect(await chunksOf(newest)).toEqual([`tree ${SNAPSHOTS - 1}`]);
});

test('a snapshot that is dropped while its header is read is not the newest any more', async () => {
  const disk = new FaultDisk();
  const chain = new FrameChain();
  await using journal = await open(disk);
  await fill(journal, chain, 2, 100);
  await save(journal, chain, ['earlier']);
  const earlier = chain.position;
  await fill(journal, chain, 2, 100);
  await save(journal, chain, ['later']);
  const release = disk.hold('read', /evs/);
  const asked = journal.snapshots.newest();
  await journal.log.rewind(earlier, async () => undefined, release);
  expect((await asked)?.header.position).toEqual(earlier);
});
