import { crc32 } from 'node:zlib';
import type { Frame, Report } from '@evertree/core';
import { ORIGIN, sealFrame } from '@evertree/core';
import type { DiskJournal, JournalOptions } from '@evertree/journal';
import { openJournal } from '@evertree/journal';
import { describe, expect, test } from 'vitest';
import { chunksOf, expectedFrames, fill, readAll, save, thrown } from '../conformance/journal-suite.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { FrameChain } from '../support/frame-chain.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { collectReports, expectErrors } from '../support/reports.ts';

/** A record with an empty body and no trailer. */
const RECORD_BYTES = 40 + 128 + 4;
const NOTE = Buffer.from('a note');
const HEADER_BYTES = 64;

async function open(disk: FaultDisk, options: JournalOptions = {}): Promise<{ journal: DiskJournal; reports: Report[] }> {
  const { reports, report } = collectReports();
  const journal = await openJournal({
    disk,
    clock: systemClock,
    random: systemRandom,
    report,
    options: { sync: 'dsync', segmentBytes: 64 * 1024, ...options },
  });
  return { journal, reports };
}

/**
 * A disk whose process died after these writes, by the bytes of the frames' bodies. What is listed together is of one
 * group.
 */
async function diskWith(groups: readonly (readonly number[])[]): Promise<{ disk: FaultDisk; chain: FrameChain }> {
  const disk = new FaultDisk();
  const chain = new FrameChain();
  const { journal } = await open(disk);
  journal.log.append(chain.next());
  await journal.log.flush();
  for (const group of groups) {
    // The first append of a turn goes out alone: the others wait behind it for one group.
    const release = disk.hold('write', /evj/);
    for (const bytes of [0, ...group]) journal.log.append(chain.next({ bytes }), NOTE);
    release();
    await journal.log.flush();
  }
  return { disk: disk.crash(), chain };
}

function newestSegment(disk: FaultDisk): string {
  return disk.files
    .filter(path => path.endsWith('.evj'))
    .toSorted()
    .at(-1)!;
}

function flip(disk: FaultDisk, path: string, offset: number): void {
  disk.overwrite(path, bytes => {
    bytes[offset]! ^= 0x40;
    return bytes;
  });
}

function contents(disk: FaultDisk): Map<string, string> {
  return new Map(disk.files.toSorted().map(path => [path, disk.bytes(path).toString('latin1')]));
}

/** Offsets of the records in the only segment. All but the first have a trailer. */
function offsets(chain: FrameChain): number[] {
  let at = HEADER_BYTES;
  return chain.frames.map(frame => {
    const offset = at;
    at += 40 + frame.bytes.length + (offset === HEADER_BYTES ? 0 : NOTE.length);
    return offset;
  });
}

/** A journal of several segments, closed, and the path of its second one. */
async function severalSegments() {
  const disk = new FaultDisk();
  const chain = new FrameChain();
  const { journal } = await open(disk, { segmentBytes: 4096 });
  await fill(journal, chain, 60, 300);
  await journal.close();
  return { disk, chain, path: disk.files.filter(name => name.endsWith('.evj')).toSorted()[1]! };
}

/** A journal of several segments without its third one, and a snapshot after so many rounds of ten frames. */
async function holed(snapshotAt: number | undefined) {
  const disk = new FaultDisk();
  const chain = new FrameChain();
  const { journal } = await open(disk, { segmentBytes: 4096 });
  for (let round = 0; round < 6; round++) {
    if (round === 1) journal.leases.hold('peer', 'b', chain.frames[0]!.header.last);
    await fill(journal, chain, 10, 400);
    if (round === snapshotAt) await save(journal, chain, ['the tree']);
  }
  await journal.close();
  const segments = disk.files.filter(name => name.endsWith('.evj')).toSorted();
  const missing = segments[2]!;
  disk.erase(missing);
  return { disk, chain, missing, first: Number(missing.slice(-20, -4)) };
}

/** A journal with two snapshots. */
async function withSnapshots() {
  const disk = new FaultDisk();
  const chain = new FrameChain();
  const { journal } = await open(disk);
  for (const name of ['old', 'new']) {
    await fill(journal, chain, 5, 100);
    await save(journal, chain, [name, 'x'.repeat(500)]);
  }
  await journal.close();
  const [older, newer] = disk.files.filter(path => path.endsWith('.evs')).toSorted() as [string, string];
  return { disk, chain, older, newer };
}

async function framesOf(journal: DiskJournal): Promise<string[]> {
  return (await readAll(journal, ORIGIN)).map(frame => frame.bytes);
}

function bytesOf(frames: readonly Frame[]): string[] {
  return expectedFrames(frames).map(frame => frame.bytes);
}

describe('torn or damaged', () => {
  test('any damaged byte in the last group cuts the history at its frame, and that is reported', async () => {
    const spoiled = await diskWith([[30], [20, 50, 10]]);
    const length = offsets(spoiled.chain).at(-1)! + RECORD_BYTES + 10 + NOTE.length;
    for (let at = offsets(spoiled.chain).at(-3)!; at < length; at += 7) {
      const { disk, chain } = await diskWith([[30], [20, 50, 10]]);
      const starts = offsets(chain);
      const path = newestSegment(disk);
      flip(disk, path, at);
      const { journal, reports } = await open(disk);
      const kept = starts.filter((_, index) => (starts[index + 1] ?? length) <= at).length;
      expect(journal.log.last, `byte ${at}`).toEqual(chain.frames[kept - 1]!.header.last);
      expect(await framesOf(journal)).toEqual(bytesOf(chain.frames.slice(0, kept)));
      const cut = reports.find(report => report.event === 'tail-cut');
      expect(cut?.details).toMatchObject({ file: path, offset: starts[kept], bytes: expect.any(Number) });
      await journal.close();
      expect(disk.bytes(path).length).toBe(starts[kept]);
    }
  });

  test('any damaged byte before the last group is refused with file and offset, and nothing is changed', async () => {
    const sound = await diskWith([[30, 40], [20], [10]]);
    const starts = offsets(sound.chain);
    const lastGroupStart = Number(sound.disk.bytes(newestSegment(sound.disk)).readBigUInt64LE(starts.at(-1)! + 24));
    expect(lastGroupStart).toBeGreaterThan(starts[2]!);
    for (let at = HEADER_BYTES; at < lastGroupStart; at += 7) {
      const { disk } = await diskWith([[30, 40], [20], [10]]);
      const path = newestSegment(disk);
      flip(disk, path, at);
      const before = contents(disk);
      const offset = starts.findLast(start => start <= at);
      expect(await thrown(() => open(disk)), `byte ${at}`).toMatchObject({ code: 'DAMAGED', details: { file: path, offset } });
      expect(contents(disk)).toEqual(before);
    }
  });

  test('the header of a segment with records is damage, too', async () => {
    for (let at = 0; at < HEADER_BYTES; at += 3) {
      if (at === 4) continue;
      const { disk } = await diskWith([[30]]);
      const path = newestSegment(disk);
      flip(disk, path, at);
      expect(await thrown(() => open(disk)), `byte ${at}`).toMatchObject({ code: 'DAMAGED', details: { file: path, offset: 0 } });
    }
  });

  test('a torn group may lack its first blocks and have later ones', async () => {
    const { disk, chain } = await diskWith([[30], [600, 600, 600]]);
    const start = offsets(chain).at(-3)!;
    disk.overwrite(newestSegment(disk), bytes => bytes.fill(0, start, start + 700));
    const { journal, reports } = await open(disk);
    expect(journal.log.last).toEqual(chain.frames.at(-4)!.header.last);
    expect(reports.map(report => report.event)).toContain('tail-cut');
    chain.rewind(journal.log.last);
    journal.log.append(chain.next());
    await journal.log.flush();
    expect(await framesOf(journal)).toEqual(bytesOf(chain.frames));
    // Nothing but what was synced survives: the cut was.
    const again = await open(disk.powerLoss(() => 0));
    expect([again.journal.log.last, again.reports]).toEqual([chain.position, []]);
    await again.journal.close();
  });

  test('missing blocks before a later group are damage, even if they are zeros', async () => {
    const { disk, chain } = await diskWith([[600, 600], [10]]);
    const start = offsets(chain)[2]!;
    disk.overwrite(newestSegment(disk), bytes => bytes.fill(0, start, start + 512));
    expect(await thrown(() => open(disk))).toMatchObject({ code: 'DAMAGED', details: { offset: start } });
  });

  const forgeries: [string, (record: Buffer, offset: number) => void][] = [
    ['copied from another place', () => undefined],
    [
      'of another file',
      (record, offset) => {
        record.writeUInt32LE(~record.readUInt32LE(4) >>> 0, 4);
        record.writeBigUInt64LE(BigInt(offset), 16);
      },
    ],
  ];
  test.each(forgeries)('a value of the tree that looks like a later record is not taken for one: %s', async (_, forge) => {
    const { disk, chain } = await diskWith([[30]]);
    const { journal } = await open(disk);
    const { last } = journal.log;
    const start = offsets(chain).at(-1)! + RECORD_BYTES + 30 + NOTE.length;
    const bodyStart = start + 40 + 128;
    const record = disk.bytes(newestSegment(disk)).subarray(HEADER_BYTES, HEADER_BYTES + 40);
    record.writeBigUInt64LE(BigInt(bodyStart), 24);
    forge(record, bodyStart);
    record.writeUInt32LE(crc32(record.subarray(0, 36)), 36);
    const position = { ...last, revision: last.revision + 1 };
    journal.log.append(sealFrame({ ...chain.frames.at(-1)!.header, base: last, last: position, count: 1, bodyLength: 40 }, record));
    await journal.log.flush();
    const crashed = disk.crash();
    flip(crashed, newestSegment(crashed), start);
    const again = await open(crashed);
    expect(again.journal.log.last).toEqual(last);
    await again.journal.close();
  });

  test('a segment that lost its only frame in a power loss is not written to again', async () => {
    const disk = new FaultDisk();
    const chain = new FrameChain();
    const { journal } = await open(disk, { segmentBytes: 300 });
    await fill(journal, chain, 5, 300);
    journal.log.append(chain.next({ beginsEpoch: true }));
    await journal.log.flush();
    const lost = disk.crash();
    lost.overwrite('journal/0000000002-0000000000000006.evj', bytes => bytes.fill(0, HEADER_BYTES));
    const again = await open(lost, { segmentBytes: 300 });
    chain.rewind(again.journal.log.last);
    await fill(again.journal, chain, 5, 300);
    await again.journal.close();
    expect(lost.files).not.toContain('journal/0000000002-0000000000000006.evj');
    expect(lost.files).toContain('journal/0000000001-0000000000000006.evj');
    const third = await open(lost);
    expect(third.journal.log.last).toEqual(chain.position);
    expect(await framesOf(third.journal)).toEqual(bytesOf(chain.frames));
    await third.journal.close();
  });

  test('damage in a sealed segment is found when it is read', async () => {
    const { disk, path } = await severalSegments();
    flip(disk, path, 1000);
    const again = await open(disk, { segmentBytes: 4096 });
    const error = await thrown(() => readAll(again.journal, ORIGIN));
    expect(error).toMatchObject({ code: 'DAMAGED', details: { file: path, offset: expect.any(Number) } });
    await again.journal.close();
  });

  test('a damaged seal only costs a scan', async () => {
    const { disk, chain, path } = await severalSegments();
    flip(disk, path, disk.bytes(path).length - 20);
    const again = await open(disk, { segmentBytes: 4096 });
    expect(await readAll(again.journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
    await again.journal.close();
  });

  test('a segment that is shorter than the next one says is damage', async () => {
    const { disk, path } = await severalSegments();
    disk.overwrite(path, bytes => bytes.subarray(0, 2000));
    expect(await thrown(() => open(disk))).toMatchObject({ code: 'DAMAGED', details: { file: path } });
  });
});

describe('holes', () => {
  test('a missing segment leaves the history before it; later segments are moved to detached/, and reported', async () => {
    expectErrors('history-lost');
    const { disk, chain, first } = await holed(undefined);
    const { journal, reports } = await open(disk);
    expect(journal.log.last.revision).toBe(first - 1);
    expect(await readAll(journal, ORIGIN)).toEqual(expectedFrames(chain.frames.slice(0, first - 1)));
    const gap = reports.find(report => report.event === 'history-gap');
    expect(gap).toMatchObject({ level: 'warn', details: { last: journal.log.last } });
    expect(disk.files.filter(path => path.startsWith('detached/')).length).toBeGreaterThan(2);
    await journal.close();
    const again = await open(disk);
    expect([again.journal.log.last.revision, again.reports]).toEqual([first - 1, []]);
    await again.journal.close();
  });

  test('the history begins with a snapshot after the hole, if there is one; earlier segments are moved to detached/, and reported', async () => {
    const { disk, chain } = await holed(4);
    const before = disk.files.filter(path => path.endsWith('.evj'));
    const { journal, reports } = await open(disk);
    const after = disk.files.filter(path => path.endsWith('.evj'));
    const moved = before.filter(path => !after.includes(path)).map(path => path.replace('journal/', 'detached/'));
    expect(moved.length).toBeGreaterThan(0);
    expect(after).toEqual(expect.arrayContaining(moved));
    expect(reports).toEqual([
      expect.objectContaining({ level: 'warn', event: 'history-gap', message: expect.stringContaining(moved.join(', ')) }),
    ]);
    expect(journal.log.last).toEqual(chain.position);
    expect(journal.log.base.revision).toBeGreaterThan(20);
    expect(journal.log.base.revision).toBeLessThanOrEqual(50);
    expect(await readAll(journal, journal.log.base)).toEqual(expectedFrames(chain.frames.slice(journal.log.base.revision)));
    expect((await journal.snapshots.newest())?.header.position.revision).toBe(50);
    await journal.close();
  });

  test('without a beginning there is nothing to open', async () => {
    const { disk } = await holed(undefined);
    const oldest = disk.files
      .filter(name => name.endsWith('.evj'))
      .toSorted()
      .slice(0, 2);
    for (const path of oldest) disk.erase(path);
    const before = contents(disk);
    expect(await thrown(() => open(disk))).toMatchObject({ code: 'DAMAGED' });
    expect(contents(disk)).toEqual(before);
  });

  test('a directory with segments and without site.json is refused', async () => {
    const { disk } = await holed(undefined);
    disk.erase('site.json');
    expect(await thrown(() => open(disk))).toMatchObject({ code: 'DAMAGED', details: { file: 'site.json' } });
  });
});

describe('snapshots', () => {
  test('one with a damaged head or end is moved to detached/, and the one before it begins the history', async () => {
    for (const spoil of [0, 20, -3]) {
      const { disk, chain, newer } = await withSnapshots();
      flip(disk, newer, spoil < 0 ? disk.bytes(newer).length + spoil : spoil);
      const { journal, reports } = await open(disk);
      expect(await chunksOf(await journal.snapshots.newest())).toEqual(['old', 'x'.repeat(500)]);
      expect(journal.log.last).toEqual(chain.position);
      expect(reports).toMatchObject([{ event: 'snapshot-unsound', details: { file: newer } }]);
      await journal.close();
    }
  });

  test('a damaged chunk is reported as damage, with file and offset', async () => {
    const { disk, newer } = await withSnapshots();
    const bytes = disk.bytes(newer);
    const chunk = bytes.indexOf('xxxx') - 8;
    flip(disk, newer, chunk + 100);
    const { journal } = await open(disk);
    const error = await thrown(async () => chunksOf(await journal.snapshots.newest()));
    expect(error).toMatchObject({ code: 'DAMAGED', details: { file: newer, offset: chunk } });
    await journal.close();
  });
});

describe('other versions', () => {
  /** Of frames and snapshots: no version that there is yet. */
  const LATER = 200;
  const cases: [string, (disk: FaultDisk) => void][] = [
    ['a segment', disk => disk.overwrite(newestSegment(disk), bytes => bytes.fill(2, 4, 5))],
    [
      'a frame',
      disk =>
        disk.overwrite(newestSegment(disk), bytes => {
          const frame = bytes.subarray(HEADER_BYTES + 40);
          const end = 128 + frame.readUInt32LE(92);
          frame[4] = LATER;
          frame.writeUInt32LE(crc32(frame.subarray(0, end)), end);
          return bytes;
        }),
    ],
    [
      'a snapshot',
      disk =>
        disk.overwrite(
          disk.files.find(path => path.endsWith('.evs'))!,
          bytes => bytes.fill(LATER, 4, 5),
        ),
    ],
    ['site.json', disk => disk.overwrite('site.json', () => Buffer.from('{"format":4}'))],
    ['leases.json', disk => disk.overwrite('leases.json', () => Buffer.from('{"format":4,"leases":[]}'))],
    ['rewind.json', disk => disk.place('rewind.json', Buffer.from('{"format":4}'))],
    ['a divergence', disk => disk.place(`divergences/1-${'7'.repeat(16)}-0-1.json`, Buffer.from('{"format":4}'))],
  ];
  test.each(cases)('%s of a later version is refused, and nothing changed', async (_, spoil) => {
    const disk = new FaultDisk();
    const chain = new FrameChain();
    const { journal } = await open(disk);
    await fill(journal, chain, 3, 100);
    await save(journal, chain, ['tree']);
    journal.leases.hold('peer', 'b', chain.position);
    await journal.close();
    spoil(disk);
    const before = contents(disk);
    expect(await thrown(() => open(disk))).toMatchObject({ code: 'FORMAT_UNSUPPORTED' });
    expect(contents(disk)).toEqual(before);
  });

  test('an unreadable site.json is damage; an unreadable leases.json is reported, and the list starts empty', async () => {
    const { disk } = await diskWith([[10]]);
    const site = disk.bytes('site.json');
    for (const text of [
      '',
      '{',
      '[]',
      '{"format":1}',
      '{"format":1,"site":"a","role":"king","directory":"x"}',
      '{"format":2,"site":"a","role":"primary","directory":"x","fencedBy":7}',
      '{"format":3,"site":"a","role":"primary","directory":"x","declined":"all"}',
    ]) {
      disk.overwrite('site.json', () => Buffer.from(text));
      expect(await thrown(() => open(disk)), text).toMatchObject({ code: 'DAMAGED', details: { file: 'site.json' } });
    }
    disk.overwrite('site.json', () => site);
    const { journal } = await open(disk);
    journal.leases.hold('peer', 'b', ORIGIN);
    await journal.close();
    disk.overwrite('leases.json', () => Buffer.from('{'));
    const again = await open(disk);
    expect([again.journal.leases.of('peer').size, again.reports.map(report => report.event)]).toEqual([0, ['peers-unreadable']]);
    await again.journal.close();
  });
});
