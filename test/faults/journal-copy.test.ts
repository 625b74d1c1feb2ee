import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { pipeline } from 'node:stream/promises';
import type { Disk, ExactPosition, Identity, Report, Role } from '@evertree/core';
import { isEvertreeError, ORIGIN } from '@evertree/core';
import type { DiskJournal } from '@evertree/journal';
import { nodeDisk, openJournal } from '@evertree/journal';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chunksOf, expectedFrames, fill, readAll, save, thrown } from '../conformance/journal-suite.ts';
import { CopyingTool, type Instant } from '../support/copying-tool.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { FrameChain } from '../support/frame-chain.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { collectReports } from '../support/reports.ts';
import { Simulation } from '../support/simulation.ts';

function open(disk: Disk, reports: Report[] = [], identity: Partial<Identity> = {}): Promise<DiskJournal> {
  const { report } = collectReports(reports);
  const options = { sync: 'dsync', segmentBytes: 3_000 } as const;
  return openJournal({ disk, clock: systemClock, random: systemRandom, report, identity, options });
}

/** The files of a directory as they were at one instant after the other, while a site worked in it. */
async function work(seed: number): Promise<{ instants: Instant[]; disk: FaultDisk; chain: FrameChain }> {
  const random = new Simulation(seed);
  const disk = new FaultDisk();
  const chain = new FrameChain();
  const journal = await open(disk);
  const instants: Instant[] = [];
  const look = () => void instants.push(new Map(disk.files.map(path => [path, disk.bytes(path)])));
  await fill(journal, chain, 3, 100);
  await save(journal, chain, [`the tree at ${chain.position.revision}`]);
  for (let round = 0; round < 40; round++) {
    for (let index = random.below(4); index >= 0; index--) journal.log.append(chain.next({ bytes: random.below(1_500) }));
    if (random.below(8) === 0) await save(journal, chain, [`the tree at ${chain.position.revision}`]);
    if (random.below(6) === 0) journal.log.flushSync();
    for (let turn = random.below(4); turn >= 0; turn--) {
      await new Promise(resolve => void setImmediate(resolve));
      look();
    }
  }
  await journal.close();
  look();
  return { instants, disk, chain };
}

async function expectPrefix(journal: DiskJournal, chain: FrameChain): Promise<void> {
  const { base, last } = journal.log;
  expect([ORIGIN, ...chain.frames.map(frame => frame.header.last)]).toContainEqual(last);
  const frames = chain.frames.filter(({ header }) => header.base.revision >= base.revision && header.last.revision <= last.revision);
  expect(await readAll(journal, base)).toEqual(expectedFrames(frames));
  const newest = await journal.snapshots.newest();
  if (newest === undefined) expect(base).toEqual(ORIGIN);
  else expect(await chunksOf(newest)).toEqual([`the tree at ${newest.header.position.revision}`]);
}

function withHole(path: string, bytes: Buffer): Buffer {
  return path.endsWith('.evj') ? Buffer.from(bytes).fill(0, 700, 1_024) : bytes;
}

describe('a copy that any tool made of a live directory, file by file', () => {
  test('opens with a prefix of the history, and takes more frames', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.array(fc.integer(), { minLength: 12, maxLength: 12 }), async (seed, tools) => {
        const { instants, disk, chain } = await work(seed);
        for (const tool of tools) {
          const copy = new CopyingTool(instants, new Simulation(tool)).copy(disk);
          const journal = await open(copy);
          await expectPrefix(journal, chain);
          const other = new FrameChain(chain.stream, journal.log.last);
          other.epochs.push(chain.epochs[0]!);
          if (journal.log.last.revision > 0) await fill(journal, other, 10, 300);
          await journal.close();
          const again = await open(copy);
          expect([again.log.base, again.log.last]).toEqual([journal.log.base, journal.log.last]);
          await again.close();
        }
      }),
      { numRuns: 25 },
    );
  });

  test('what would be damage in the original is a hole in the copy, until it is a site of its own', async () => {
    const disk = new FaultDisk();
    const chain = new FrameChain();
    const journal = await open(disk);
    await fill(journal, chain, 4, 100);
    await fill(journal, chain, 5, 200);
    const reports: Report[] = [];
    const copy = disk.copy(withHole);
    const copied = await open(copy, reports);
    expect(copied.log.last.revision).toBe(2);
    expect(reports).toMatchObject([{ event: 'tail-cut', level: 'warn' }, { event: 'directory-copied' }]);
    chain.rewind(copied.log.last);
    await fill(copied, chain, 9, 300);
    const damaged = copy.crash();
    damaged.overwrite(
      damaged.files.find(path => path.endsWith('.evj'))!,
      bytes => bytes.fill(0, 700, 1_024),
    );
    const refused = await open(damaged).catch((error: unknown) => error);
    expect(isEvertreeError(refused, 'DAMAGED')).toBe(true);
  });

  test('made during a rewind, holds the old history or the new one up to some position, and never a mixture', async () => {
    const disk = new FaultDisk();
    const chain = new FrameChain();
    const journal = await open(disk);
    const instants: Instant[] = [];
    const look = () => void instants.push(new Map(disk.files.map(path => [path, disk.bytes(path)])));
    await fill(journal, chain, 4, 700);
    await save(journal, chain, ['the tree at 4']);
    await fill(journal, chain, 20, 700);
    const old = [...chain.frames];
    const cutting = cutAndGoOn(journal, chain, chain.frames[9]!.header.last);
    for (const progress = { done: false }; !progress.done; look()) {
      await new Promise(resolve => void setImmediate(resolve));
      void cutting.then(() => (progress.done = true));
    }
    look();
    const histories = [old, chain.frames].map(frames => expectedFrames(frames).map(({ bytes }) => bytes));
    const found = [0, 0];
    for (let tool = 1; tool <= 300; tool++) {
      const copied = await open(new CopyingTool(instants, new Simulation(tool)).copy(disk));
      const frames = (await readAll(copied, copied.log.base)).map(({ bytes }) => bytes);
      const from = copied.log.base.revision;
      const matches = histories.map(history => isDeepStrictEqual(history.slice(from, from + frames.length), frames));
      expect(matches, `tool ${tool}`).toContain(true);
      for (const [index, isMatch] of matches.entries()) found[index]! += Number(isMatch && !matches[1 - index]);
      await copied.close();
    }
    expect(Math.min(...found), 'copies of either history').toBeGreaterThan(0);
    await journal.close();
  });

  test('a seal that was copied last proves nothing of what was copied before', async () => {
    const disk = new FaultDisk();
    const chain = new FrameChain();
    const journal = await open(disk);
    await fill(journal, chain, 40, 200);
    const [, sealed] = disk.files.filter(path => path.endsWith('.evj')).toSorted();
    const copied = await open(disk.copy((path, bytes) => (path === sealed ? withHole(path, bytes) : bytes)));
    expect(copied.log.last.revision).toBe(Number(sealed!.slice(-20, -4)));
    await expectPrefix(copied, chain);
    await copied.close();
    await journal.close();
  });

  test('on a real file system, while frames are written as fast as possible', async () => {
    const root = await mkdtemp(join(tmpdir(), 'evertree-copy-'));
    const chain = new FrameChain();
    const journal = await open(nodeDisk(join(root, 'live')));
    const progress = { copying: true };
    const writing = writeOn(journal, chain, progress);
    try {
      for (let copy = 0; copy < 8; copy++) {
        const directory = join(root, String(copy));
        await copyFileByFile(join(root, 'live'), directory);
        const opened = await open(nodeDisk(directory));
        await expectPrefix(opened, chain);
        await opened.close();
      }
    } finally {
      progress.copying = false;
      await writing;
      await journal.close();
      await rm(root, { recursive: true });
    }
  });
});

async function directoryOf(role: Role): Promise<FaultDisk> {
  const disk = new FaultDisk();
  const journal = await open(disk, [], { site: 'berlin', role });
  await journal.close();
  return disk;
}

describe('a copy of a directory that a site has used,', () => {
  test('of a primary, keeps the name, and is warned not to run beside the original', async () => {
    const reports: Report[] = [];
    const journal = await open((await directoryOf('primary')).copy(), reports);
    expect(journal.identity.site).toBe('berlin');
    const message = expect.stringContaining('never run it beside the original, for both are named berlin') as string;
    expect(reports).toMatchObject([{ level: 'warn', event: 'directory-copied', message }]);
    await journal.close();
  });

  test('of a secondary, gets a name of its own, reports it, and keeps it', async () => {
    const disk = await directoryOf('secondary');
    const reports: Report[] = [];
    const copy = disk.copy();
    const journal = await open(copy, reports);
    const { site } = journal.identity;
    expect(site).toMatch(/^berlin-copy-[0-9a-f]{8}$/);
    const details = { original: 'berlin', site };
    expect(reports).toMatchObject([{ level: 'warn', event: 'directory-copied', message: expect.stringContaining(site), details }]);
    await journal.close();
    const again = await open(copy);
    expect(again.identity.site).toBe(site);
    await again.close();
    const second = await open(copy.copy());
    expect(second.identity.site).toMatch(/^berlin-copy-[0-9a-f]{8}$/);
    expect(second.identity.site).not.toBe(site);
    await second.close();
    const original = await open(disk);
    expect(original.identity.site).toBe('berlin');
    await original.close();
  });

  test.each(['berlin', 'paris'])("a secondary's, may be given a name: %s", async site => {
    const disk = await directoryOf('secondary');
    const copy = disk.copy();
    const journal = await open(copy, [], { site });
    expect([journal.identity.site, journal.identity.role]).toEqual([site, 'secondary']);
    await journal.close();
    const again = await open(copy);
    expect(again.identity.site).toBe(site);
    await again.close();
  });

  test('of a primary, keeps the name, and may be given another one', async () => {
    const disk = await directoryOf('primary');
    const kept = await open(disk.copy());
    expect(kept.identity.site).toBe('berlin');
    await kept.close();
    const renamed = await open(disk.copy(), [], { site: 'paris' });
    expect(renamed.identity.site).toBe('paris');
    await renamed.close();
  });

  test('can not be made another role', async () => {
    const disk = await directoryOf('secondary');
    expect(await thrown(() => open(disk.copy(), [], { role: 'primary' }))).toMatchObject({ code: 'WRONG_ROLE' });
  });
});

/** Rewinds the history, and continues it with other frames. */
async function cutAndGoOn(journal: DiskJournal, chain: FrameChain, position: ExactPosition): Promise<void> {
  await journal.log.rewind(position, () => Promise.resolve());
  chain.rewind(position);
  journal.log.append(chain.next({ beginsEpoch: true }));
  await fill(journal, chain, 15, 600);
}

async function writeOn(journal: DiskJournal, chain: FrameChain, progress: { readonly copying: boolean }): Promise<void> {
  for (let round = 0; progress.copying; round++) {
    for (let index = 0; index < 20; index++) journal.log.append(chain.next({ bytes: 100 + ((round * 31 + index * 7) % 900) }));
    await journal.log.flush();
    if (round % 25 === 24) await save(journal, chain, [`the tree at ${chain.position.revision}`]);
  }
}

/** As `cp -r` does it; small reads give time to change what is not read yet. */
async function copyFileByFile(from: string, to: string): Promise<void> {
  await mkdir(to);
  for (const entry of await readdir(from, { withFileTypes: true })) {
    // Opening and closing the lock in its own process would free it: POSIX locks belong to the process.
    if (entry.name === 'lock') continue;
    if (entry.isDirectory()) await copyFileByFile(join(from, entry.name), join(to, entry.name));
    else await copyFile(join(from, entry.name), join(to, entry.name));
  }
}

async function copyFile(from: string, to: string): Promise<void> {
  try {
    await pipeline(createReadStream(from, { highWaterMark: 1_024 }), createWriteStream(to));
  } catch (error) {
    // Removed between the listing and the opening.
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'ENOENT') throw error;
  }
}
