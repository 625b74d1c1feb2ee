import type { Report } from '@evertree/core';
import { isEvertreeError, ORIGIN } from '@evertree/core';
import type { DiskJournal } from '@evertree/journal';
import { openJournal } from '@evertree/journal';
import { describe, expect, test } from 'vitest';
import { expectedFrames, fill, readAll, save, thrown } from '../conformance/journal-suite.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { FrameChain } from '../support/frame-chain.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { collectReports, expectErrors } from '../support/reports.ts';

const HEADER_BYTES = 64;
/** A record with a body of 40 bytes. */
const RECORD_BYTES = 40 + 128 + 40 + 4;

async function open(
  disk: FaultDisk,
  segmentBytes = 64 * 1024,
  detachedMaxBytes?: number,
): Promise<{ journal: DiskJournal; reports: Report[] }> {
  const { reports, report } = collectReports();
  const options = { sync: 'dsync', segmentBytes, ...(detachedMaxBytes !== undefined && { detachedMaxBytes }) } as const;
  return { journal: await openJournal({ disk, clock: systemClock, random: systemRandom, report, options }), reports };
}

/** Three answered writes and a clean stop, after so many rounds of earlier segments. */
async function stopped(earlier = 0): Promise<{ disk: FaultDisk; chain: FrameChain; path: string }> {
  const disk = new FaultDisk();
  const chain = new FrameChain();
  if (earlier > 0) {
    const { journal } = await open(disk, 1_000);
    await fill(journal, chain, earlier, 500);
    await journal.close();
    disk.overwrite(newestSegment(disk), bytes => bytes);
  }
  const { journal } = await open(disk, earlier > 0 ? 1_000 : undefined);
  for (let write = 0; write < 3; write++) {
    journal.log.append(chain.next());
    await journal.log.flush();
  }
  await journal.close();
  return { disk, chain, path: newestSegment(disk) };
}

function newestSegment(disk: FaultDisk): string {
  return disk.files
    .filter(path => path.endsWith('.evj'))
    .toSorted()
    .at(-1)!;
}

function contents(disk: FaultDisk): Map<string, string> {
  return new Map(disk.files.toSorted().map(path => [path, disk.bytes(path).toString('latin1')]));
}

/** A journal that begins with a snapshot. */
async function begunWithSnapshot(): Promise<{ disk: FaultDisk; snapshot: string }> {
  const disk = new FaultDisk();
  const chain = new FrameChain();
  const { journal } = await open(disk, 2_000);
  await fill(journal, chain, 20, 300);
  await save(journal, chain, ['the tree']);
  await fill(journal, chain, 20, 300);
  await journal.retention.apply();
  expect(journal.log.base.revision).toBeGreaterThan(0);
  await journal.close();
  return { disk, snapshot: disk.files.find(path => path.endsWith('.evs'))! };
}

/** A process that died after eight answered writes; a snapshot holds all but the last one. */
async function withSnapshotNearTheEnd(): Promise<{ disk: FaultDisk; path: string; snapshotAt: number }> {
  const disk = new FaultDisk();
  const chain = new FrameChain();
  const { journal } = await open(disk);
  for (let write = 1; write <= 8; write++) {
    journal.log.append(chain.next());
    await journal.log.flush();
    if (write === 7) await save(journal, chain, ['the tree']);
  }
  return { disk: disk.crash(), path: newestSegment(disk), snapshotAt: chain.position.revision - 1 };
}

const ATTACKS: [string, (bytes: Buffer, offset: number) => Buffer][] = [
  ['cut', (bytes, offset) => bytes.subarray(0, offset)],
  ['zeroed', (bytes, offset) => bytes.fill(0, offset)],
  ['overwritten', (bytes, offset) => bytes.fill(0xa5, offset)],
];

describe('the newest segment', () => {
  test.each(ATTACKS)('%s from anywhere up to its first record on is refused, or kept in detached/ and reported', async (_, attack) => {
    expectErrors('history-lost');
    for (const earlier of [0, 12]) {
      const { path } = await stopped(earlier);
      const firstBytes = earlier > 0 ? 200 : RECORD_BYTES;
      for (let offset = 0; offset <= HEADER_BYTES + firstBytes - 1; offset += offset < HEADER_BYTES ? 3 : 11) {
        const { disk, chain } = await stopped(earlier);
        disk.overwrite(path, bytes => attack(bytes, offset));
        const before = contents(disk);
        const spoiled = before.get(path);
        const where = `${offset} of ${path}`;
        const { journal, reports } = await open(disk).catch((error: unknown) => {
          if (!isEvertreeError(error)) throw error;
          expect(error, where).toMatchObject({ code: 'DAMAGED', details: { file: path, offset: expect.any(Number) } });
          expect(contents(disk), where).toEqual(before);
          return { journal: undefined, reports: [] };
        });
        if (journal === undefined) continue;
        expect(offset, 'without its header it is refused').toBeGreaterThanOrEqual(HEADER_BYTES);
        const kept = contents(disk).get(path.replace('journal/', 'detached/'));
        expect(kept === spoiled, `the bytes are kept: ${where}`).toBe(true);
        expect(reports, where).toContainEqual(expect.objectContaining({ level: 'warn', event: 'segment-without-records' }));
        const { last } = journal.log;
        const frames = chain.frames.filter(({ header }) => header.last.revision <= last.revision);
        expect(await readAll(journal, ORIGIN), where).toEqual(expectedFrames(frames));
        await journal.close();
      }
    }
  });

  test.each(ATTACKS)('%s anywhere after a clean stop never is a silent loss', async (_, attack) => {
    expectErrors('history-lost');
    const { path, disk: whole } = await stopped();
    for (let offset = 1; offset < whole.bytes(path).length; offset += 5) {
      const { disk, chain } = await stopped();
      disk.overwrite(path, bytes => attack(bytes, offset));
      const { journal, reports } = await open(disk).catch((error: unknown) => {
        if (isEvertreeError(error, 'DAMAGED')) return { journal: undefined, reports: [] };
        throw error;
      });
      if (journal === undefined) continue;
      expect(
        reports.map(({ event }) => event),
        `${offset}`,
      ).toContain('history-lost');
      expect(journal.log.last.revision).toBeLessThan(chain.position.revision);
      await journal.close();
    }
  });

  test.each(ATTACKS)('%s behind a sound record is cut, and what is cut is kept in detached/', async (_, attack) => {
    expectErrors('history-lost');
    const { path, disk: whole } = await stopped();
    const start = HEADER_BYTES + whole.bytes(path).subarray(HEADER_BYTES).indexOf('EVTR', 1);
    for (let offset = start; offset < whole.bytes(path).length; offset += 7) {
      const { disk } = await stopped();
      disk.overwrite(path, bytes => attack(bytes, offset));
      const spoiled = disk.bytes(path);
      const { journal, reports } = await open(disk);
      const cut = reports.find(({ event }) => event === 'tail-cut');
      await journal.close();
      if (cut === undefined) continue;
      const { offset: at, kept } = cut.details as { offset: number; kept: string };
      expect(cut.message).toContain(kept);
      expect(disk.bytes(kept).equals(spoiled.subarray(at)), `${offset}`).toBe(true);
    }
    expect.hasAssertions();
  });

  test.each(ATTACKS)('%s before a snapshot that reaches further is kept in detached/ and reported', async (_, attack) => {
    for (let offset = HEADER_BYTES; offset < HEADER_BYTES + 2 * RECORD_BYTES; offset += 31) {
      const { disk, path, snapshotAt } = await withSnapshotNearTheEnd();
      disk.overwrite(path, bytes => attack(bytes, offset));
      const spoiled = disk.bytes(path);
      const { journal, reports } = await open(disk);
      expect(journal.log.last.revision, `${offset}`).toBe(snapshotAt);
      const kept = path.replace('journal/', 'detached/');
      expect(disk.files).toContain(kept);
      expect(disk.bytes(kept).equals(spoiled)).toBe(true);
      expect(reports).toContainEqual(
        expect.objectContaining({ level: 'warn', event: 'history-gap', message: expect.stringContaining(kept) }),
      );
      await journal.close();
    }
  });

  test('with a torn end starts on a full disk, and says that the end could not be kept', async () => {
    expectErrors('history-lost');
    const { disk, path } = await stopped();
    disk.overwrite(path, bytes => bytes.subarray(0, bytes.length - 60));
    disk.fail({ operation: 'write', path: /detached/, code: 'ENOSPC' });
    const { journal, reports } = await open(disk);
    expect(reports.find(({ event }) => event === 'tail-cut')?.message).toMatch(/no room to keep/);
    expect(disk.files.filter(name => name.startsWith('detached/'))).toEqual([]);
    await journal.close();
  });

  test('with a torn end starts although detached/ is at its limit, and says what to do', async () => {
    expectErrors('history-lost');
    const { disk, path } = await stopped();
    disk.overwrite(path, bytes => bytes.subarray(0, bytes.length - 60));
    const end = disk.bytes(path).length - (HEADER_BYTES + 2 * RECORD_BYTES);
    disk.place('detached/from-before', Buffer.alloc(900));
    const atLimit = await open(disk.crash(), undefined, 900 + end - 1);
    expect(atLimit.reports.find(({ event }) => event === 'tail-cut')?.message).toMatch(/takes 900 of at most \d+ bytes: look at it/);
    expect(atLimit.journal.log.last.revision).toBe(2);
    await atLimit.journal.close();
    const other = await stopped();
    other.disk.overwrite(other.path, bytes => bytes.subarray(0, bytes.length - 60));
    other.disk.place('detached/from-before', Buffer.alloc(900));
    const within = await open(other.disk, undefined, 900 + end);
    expect(other.disk.files.filter(name => name.startsWith('detached/'))).toHaveLength(2);
    await within.journal.close();
  });

  test('without a sound header is refused with file, offset and what to do', async () => {
    const { disk, path } = await stopped();
    disk.overwrite(path, () => Buffer.alloc(0));
    const error = await thrown(() => open(disk));
    expect(error).toMatchObject({ code: 'DAMAGED', details: { file: path, offset: 0 } });
    expect(String(error)).toMatch(/restore this directory from a backup.*or move the file elsewhere/);
  });

  test('without a sound header in a copy is kept in detached/ and reported', async () => {
    const { disk, path } = await stopped();
    const copy = disk.copy((name, bytes) => (name === path ? bytes.subarray(0, 20) : bytes));
    const { journal, reports } = await open(copy);
    expect(copy.files).toContain(path.replace('journal/', 'detached/'));
    expect(reports.map(({ event }) => event)).toContain('history-gap');
    await journal.close();
  });

  test('moved to detached/ twice does not overwrite the first file there', async () => {
    expectErrors('history-lost');
    const { disk, path } = await stopped();
    const header = disk.bytes(path).subarray(0, HEADER_BYTES);
    for (const byte of [1, 2]) {
      disk.place(path, Buffer.concat([header, Buffer.alloc(50, byte)]));
      await (await open(disk)).journal.close();
    }
    const aside = path.replace('journal/', 'detached/');
    expect([disk.bytes(aside).at(-1), disk.bytes(`${aside}.1`).at(-1)]).toEqual([1, 2]);
  });
});

describe('the only snapshot, damaged,', () => {
  test('is named, and not the segment that needs it', async () => {
    for (const offset of [0, 30, -5]) {
      const { disk, snapshot } = await begunWithSnapshot();
      disk.overwrite(snapshot, bytes => {
        bytes[offset < 0 ? bytes.length + offset : offset]! ^= 0x40;
        return bytes;
      });
      const before = contents(disk);
      const error = await thrown(() => open(disk));
      const end = before.get(snapshot)!.length - 20;
      expect(error).toMatchObject({ code: 'DAMAGED', details: { file: snapshot, offset: offset < 0 ? end : 0 } });
      expect(contents(disk)).toEqual(before);
    }
  });

  test('is not ignored when there is nothing else', async () => {
    const { disk, snapshot } = await begunWithSnapshot();
    for (const path of disk.files) if (path.endsWith('.evj')) disk.erase(path);
    disk.overwrite(snapshot, bytes => bytes.subarray(0, 40));
    expect(await thrown(() => open(disk))).toMatchObject({ code: 'DAMAGED', details: { file: snapshot } });
  });
});
