import type { JournalState } from '@evertree/core';
import { ORIGIN } from '@evertree/core';
import { openJournal } from '@evertree/journal';
import { describe, expect, test } from 'vitest';
import { chunksOf, expectedFrames, fill, readAll, save, thrown } from '../conformance/journal-suite.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { FrameChain } from '../support/frame-chain.ts';
import { ManualClock, systemRandom } from '../support/host.ts';
import { collectReports, expectErrors } from '../support/reports.ts';

async function prepare(disk = new FaultDisk(), sync: 'auto' | 'dsync' | 'fdatasync' = 'dsync') {
  const clock = new ManualClock();
  const { reports, report } = collectReports();
  const states: JournalState[] = [];
  const options = { sync, segmentBytes: 16 * 1024 };
  const journal = await openJournal({ disk, clock, random: systemRandom, report, options });
  journal.log.onProgress(() => {
    if (states.at(-1) !== journal.log.state) states.push(journal.log.state);
  });
  return { disk, clock, reports, states, journal, chain: new FrameChain() };
}

/** Turns of the event loop: enough for all pending work. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise(resolve => void setImmediate(resolve));
}

describe('a full disk', () => {
  test.each(['dsync', 'fdatasync'] as const)('keeps what was appended, says so, and goes on when there is room (%s)', async sync => {
    expectErrors('storage-full');
    const { disk, clock, reports, states, journal, chain } = await prepare(new FaultDisk(), sync);
    await fill(journal, chain, 5, 100);
    const { stable } = journal.log;
    const full = disk.fail({ operation: sync === 'dsync' ? 'write' : 'sync', path: /evj/, code: 'ENOSPC' });
    journal.log.append(chain.next());
    await turns();
    journal.log.append(chain.next());
    await turns();
    expect([journal.log.state, journal.log.failure?.message, journal.log.stable]).toEqual([
      'full',
      expect.stringContaining('ENOSPC'),
      stable,
    ]);
    expect(journal.log.pendingBytes).toBeGreaterThan(0);
    clock.advance(5_000);
    await turns();
    expect([journal.log.state, journal.log.stable]).toEqual(['full', stable]);
    full[Symbol.dispose]();
    clock.advance(1_000);
    await turns();
    expect([journal.log.state, journal.log.failure, journal.log.pendingBytes]).toEqual(['open', undefined, 0]);
    expect(journal.log.stable).toEqual(chain.position);
    expect(states).toEqual(['open', 'full', 'open']);
    expect(reports.map(report => report.event)).toEqual(['storage-full', 'storage-has-room']);
    expect(await readAll(journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
    await journal.close();
  });

  test('a flush tries again at once, and waits until there is room', async () => {
    expectErrors('storage-full');
    const { disk, journal, chain } = await prepare();
    await fill(journal, chain, 3, 100);
    const full = disk.fail({ operation: 'write', code: 'ENOSPC' });
    journal.log.append(chain.next());
    await turns();
    journal.log.flushSync();
    expect(journal.log.state).toBe('full');
    full[Symbol.dispose]();
    await journal.log.flush();
    expect([journal.log.state, journal.log.stable]).toEqual(['open', chain.position]);
    disk.fail({ operation: 'write', code: 'ENOSPC', times: 1 });
    journal.log.append(chain.next());
    await turns();
    journal.log.flushSync();
    expect([journal.log.state, journal.log.stable]).toEqual(['open', chain.position]);
    expect(await readAll(journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
    await journal.close();
  });

  test('what half a write left is overwritten, even in another segment, and never comes back', async () => {
    expectErrors('storage-full');
    const disk = new FaultDisk();
    const { journal, chain } = await prepare(disk);
    await fill(journal, chain, 10, 100);
    for (let round = 0; round < 40; round++) {
      disk.capacityBytes = (await disk.space()).totalBytes - (await disk.space()).freeBytes + 333 + round;
      for (let index = 0; index < 5; index++) journal.log.append(chain.next({ bytes: 250 }));
      await turns();
      disk.capacityBytes = 1e9;
      if (round % 2 === 0) journal.log.flushSync();
      else await journal.log.flush();
      expect([journal.log.state, journal.log.stable]).toEqual(['open', chain.position]);
    }
    expect(await readAll(journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
    const again = await prepare(disk.crash());
    expect(again.journal.log.last).toEqual(chain.position);
    expect(await readAll(again.journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
    expect(again.reports).toEqual([]);
    await again.journal.close();
  });

  test('without room for the first segment, or for the next one, frames wait', async () => {
    expectErrors('storage-full');
    const { disk, clock, journal, chain } = await prepare();
    for (let round = 0; round < 3; round++) {
      const full = disk.fail({ operation: 'write', code: 'ENOSPC' });
      for (let index = 0; index < 30; index++) journal.log.append(chain.next({ bytes: 1_000 }));
      await turns();
      expect(journal.log.state).toBe('full');
      full[Symbol.dispose]();
      clock.advance(1_000);
      await turns();
      expect([journal.log.state, journal.log.stable]).toEqual(['open', chain.position]);
    }
    await journal.close();
  });

  test('a full disk can be opened and read', async () => {
    const { disk, journal, chain } = await prepare();
    await fill(journal, chain, 10, 100);
    await journal.close();
    disk.capacityBytes = 0;
    expectErrors('storage-full');
    const again = await prepare(disk);
    expect(await readAll(again.journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
    await again.journal.close();
  });

  test('closing while it is full reports what is lost', async () => {
    expectErrors('storage-full', 'closed-with-pending');
    const { disk, journal, chain, reports } = await prepare();
    await fill(journal, chain, 2, 100);
    disk.fail({ operation: 'write', code: 'ENOSPC' });
    journal.log.append(chain.next());
    await turns();
    const flushed = journal.log.flush().catch((error: unknown) => error);
    await journal.close();
    expect(await flushed).toMatchObject({ code: 'CLOSED' });
    expect(reports.at(-1)).toMatchObject({ level: 'error', event: 'closed-with-pending', details: { last: chain.position } });
  });

  test('nothing is written to a segment any more once the last write at closing has failed', async () => {
    expectErrors('storage-full', 'storage-failed', 'closed-with-pending');
    const { disk, journal, chain } = await prepare();
    await fill(journal, chain, 3, 100);
    const full = disk.fail({ operation: 'write', path: /evj/, code: 'ENOSPC' });
    journal.log.append(chain.next());
    journal.log.flushSync();
    expect(journal.log.state).toBe('full');
    full[Symbol.dispose]();
    const path = disk.files.find(each => each.endsWith('.evj'))!;
    disk.fail({ operation: 'write', path: /evj/, code: 'EIO', times: 1 });
    const before = disk.bytes(path);
    await journal.close();
    expect(disk.bytes(path).equals(before)).toBe(true);
    expect(JSON.parse(disk.bytes('site.json').toString())).not.toHaveProperty('closedAt');
    const again = await prepare(disk);
    expect(again.journal.log.last).toEqual(chain.frames[2]!.header.last);
    await again.journal.close();
  });

  test('a snapshot that finds no room leaves nothing', async () => {
    const { disk, journal, chain } = await prepare();
    await fill(journal, chain, 2, 100);
    const full = disk.fail({ operation: 'write', path: /evs/, code: 'ENOSPC' });
    await expect(save(journal, chain, ['tree'])).rejects.toThrow('ENOSPC');
    full[Symbol.dispose]();
    expect(disk.files.filter(path => path.startsWith('snapshots'))).toEqual([]);
    expect(journal.log.state).toBe('open');
    await save(journal, chain, ['tree']);
    await journal.close();
  });
});

describe('a disk that fails', () => {
  test.each([
    ['write', 'dsync'],
    ['sync', 'fdatasync'],
  ] as const)('ends all writing at the first failed %s (%s)', async (operation, sync) => {
    expectErrors('storage-failed', 'closed-with-pending');
    const { disk, journal, chain, reports, states } = await prepare(new FaultDisk(), sync);
    await fill(journal, chain, 3, 100);
    const { stable } = journal.log;
    disk.fail({ operation, path: /evj/, code: 'EIO', times: 1 });
    journal.log.append(chain.next());
    await expect(journal.log.flush()).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    const steps = disk.steps;
    expect([journal.log.state, journal.log.stable]).toEqual(['failed', stable]);
    expect(states.at(-1)).toBe('failed');
    expect(reports.at(-1)).toMatchObject({ level: 'error', event: 'storage-failed' });
    for (const attempt of [() => journal.log.append(chain.next()), () => journal.log.flush(), () => journal.log.flushSync()]) {
      expect(await thrown(attempt)).toMatchObject({ code: 'STORAGE_FAILED' });
    }
    await journal.close();
    expect(disk.steps).toBe(steps);
    const again = await prepare(disk.crash(), sync);
    expect(again.journal.log.last.revision).toBeGreaterThanOrEqual(stable.revision);
    await again.journal.close();
  });

  test('fails a synchronous flush, too', async () => {
    expectErrors('storage-failed', 'closed-with-pending');
    const { disk, journal, chain } = await prepare();
    await fill(journal, chain, 3, 100);
    const release = disk.hold('write');
    journal.log.append(chain.next());
    disk.fail({ operation: 'write', code: 'EIO', times: 1 });
    expect(await thrown(() => journal.log.flushSync())).toMatchObject({ code: 'STORAGE_FAILED' });
    release();
    await turns();
    expect(journal.log.state).toBe('failed');
    await journal.close();
  });

  test("fails when zeros can't be written ahead; missing room for them does not matter", async () => {
    expectErrors('storage-failed', 'closed-with-pending');
    for (const [code, state] of [
      ['EIO', 'failed'],
      ['ENOSPC', 'open'],
    ] as const) {
      const { disk, journal, chain } = await prepare();
      disk.fail({ operation: 'write', code, data: bytes => bytes.every(byte => byte === 0) });
      journal.log.append(chain.next());
      const flushed = await thrown(() => journal.log.flush());
      await turns();
      expect(journal.log.state).toBe(state);
      if (state === 'failed') expect(flushed).toMatchObject({ code: 'STORAGE_FAILED' });
      await journal.close();
    }
  });

  test.each(['open', 'makeDirectory', 'syncDirectory', 'rename', 'write'] as const)(
    'a new directory that can not be written to is refused (%s)',
    async operation => {
      const disk = new FaultDisk();
      disk.fail({ operation, code: 'EROFS' });
      await expect(prepare(disk)).rejects.toMatchObject({ code: 'STORAGE_FAILED', message: expect.stringContaining('EROFS') });
      const again = await prepare(disk.crash());
      expect(again.journal.log.last).toEqual(ORIGIN);
      await again.journal.close();
    },
  );

  test("peers that can't be written are reported, and tried again", async () => {
    const { disk, clock, journal, reports } = await prepare();
    const failing = disk.fail({ operation: 'write', path: /leases/, code: 'EIO' });
    journal.leases.hold('peer', 'b', ORIGIN);
    clock.advance(1_000);
    await turns();
    expect(reports.map(report => report.event)).toEqual(['peers-not-written']);
    failing[Symbol.dispose]();
    clock.advance(1_000);
    await turns();
    expect(disk.bytes('leases.json').toString()).toContain('"b"');
    await journal.close();
  });
});

describe('a commit in a synchronous loop', () => {
  test.each(['dsync', 'fdatasync'] as const)('writes again what is in flight, and the late completion changes nothing (%s)', async sync => {
    const { disk, journal, chain } = await prepare(new FaultDisk(), sync);
    await fill(journal, chain, 3, 100);
    const release = disk.hold('write', /evj/);
    for (let index = 0; index < 40; index++) {
      journal.log.append(chain.next({ bytes: 900 }));
      if (index % 10 !== 9) continue;
      journal.log.flushSync();
      expect([journal.log.stable, journal.log.pendingBytes]).toEqual([chain.position, 0]);
    }
    const durable = disk.powerLoss(() => 0.3);
    const before = contents(disk);
    release();
    await turns();
    expect(contents(disk)).toEqual(before);
    const again = await prepare(durable, sync);
    expect(again.journal.log.last).toEqual(chain.position);
    expect(await readAll(again.journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
    await again.journal.close();
  });

  test('begins segments without a turn of the event loop, also while one is being made', async () => {
    const { disk, journal, chain } = await prepare();
    for (let index = 0; index < 100; index++) {
      journal.log.append(chain.next({ bytes: 1_000 }));
      journal.log.flushSync();
    }
    await turns();
    expect(disk.files.filter(path => path.endsWith('.evj')).length).toBeGreaterThan(4);
    for (let round = 0; round < 30; round++) {
      const release = disk.hold('rename');
      for (let index = 0; index < 8; index++) journal.log.append(chain.next({ bytes: 900 }));
      await turns();
      for (let index = 0; index < 8; index++) journal.log.append(chain.next({ bytes: 900 }));
      journal.log.flushSync();
      release();
      await journal.log.flush();
    }
    expect(await readAll(journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
    const again = await prepare(disk.powerLoss(() => 0.5));
    expect(again.journal.log.last).toEqual(chain.position);
    expect(await readAll(again.journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
    await again.journal.close();
  });
});

test('a disk that can not be read is told to whoever reads, with what to do, and hurts nobody else', async () => {
  const { disk, journal, chain } = await prepare();
  await fill(journal, chain, 40, 2_000);
  await save(journal, chain, ['tree']);
  await journal.log.rewind(chain.frames[34]!.header.last, async divergence => void (await journal.divergences.keep(divergence, 1)));
  chain.rewind(chain.frames[34]!.header.last);
  await save(journal, chain, ['tree']);
  await journal.close();
  const again = await prepare(disk);
  const snapshot = await again.journal.snapshots.newest();
  const [{ name } = { name: '' }] = again.journal.divergences.list();
  const reads: (() => Promise<unknown>)[] = [
    () => again.journal.log.read(ORIGIN).next(),
    () => again.journal.log.find(chain.frames[2]!.header.last),
    () => again.journal.log.findByTime(1_002),
    () => chunksOf(snapshot),
    async () => again.journal.divergences.read(name)[Symbol.asyncIterator]().next(),
  ];
  using _ = disk.fail({ operation: 'read', code: 'EIO' });
  for (const read of reads) {
    const error = await thrown(read);
    expect(error).toMatchObject({ code: 'STORAGE_FAILED' });
    expect(String(error)).toMatch(/reading the journal failed \(EIO: .*backup/);
  }
  expect(again.journal.log.state).toBe('open');
  await fill(again.journal, chain, 2, 100);
  await again.journal.close();
});

test('closing waits for the snapshot that is being published, and then releases the directory', async () => {
  const { disk, journal, chain } = await prepare();
  await fill(journal, chain, 3, 100);
  const release = disk.hold('rename', /evs/);
  const saved = save(journal, chain, ['tree']);
  await turns();
  const closed = journal.close();
  await turns();
  expect(await thrown(() => disk.lock())).toMatchObject({ code: 'DIRECTORY_IN_USE' });
  release();
  await Promise.all([saved, closed]);
  const again = await prepare(disk);
  expect((await again.journal.snapshots.newest())?.header.position).toEqual(chain.position);
  await again.journal.close();
});

function contents(disk: FaultDisk): Map<string, string> {
  return new Map(disk.files.toSorted().map(path => [path, disk.bytes(path).toString('latin1')]));
}

describe('a start on a full disk', () => {
  test.each(['auto', 'dsync', 'fdatasync'] as const)('succeeds, serves reads and says full until there is room (%s)', async sync => {
    const { disk, journal, chain } = await prepare();
    await fill(journal, chain, 10, 100);
    await save(journal, chain, ['tree']);
    await journal.close();
    const { totalBytes, freeBytes } = await disk.space();
    disk.capacityBytes = totalBytes - freeBytes;
    expectErrors('storage-full');
    const again = await prepare(disk, sync);
    expect([again.journal.log.state, again.journal.log.failure]).toMatchObject(['full', { code: 'ENOSPC' }]);
    expect(again.reports.map(({ event }) => event)).toEqual(['site-not-written', 'storage-full']);
    expect(await readAll(again.journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
    again.clock.advance(5_000);
    await turns();
    expect(again.journal.log.state).toBe('full');
    disk.capacityBytes = totalBytes;
    again.clock.advance(1_000);
    await turns();
    expect(again.journal.log.state).toBe('open');
    again.journal.log.append(chain.next());
    await again.journal.log.flush();
    expect(disk.files.filter(path => path.startsWith('journal/') && path.endsWith('.tmp'))).toEqual([]);
    await again.journal.close();
  });

  test('keeps what is appended while it is full, and makes it stable when there is room', async () => {
    const { disk, journal, chain } = await prepare();
    await fill(journal, chain, 3, 100);
    await journal.close();
    const { totalBytes, freeBytes } = await disk.space();
    disk.capacityBytes = totalBytes - freeBytes;
    expectErrors('storage-full');
    const again = await prepare(disk);
    again.journal.log.append(chain.next());
    await turns();
    expect(again.journal.log.pendingBytes).toBeGreaterThan(0);
    disk.capacityBytes = totalBytes;
    again.clock.advance(1_000);
    await turns();
    expect([again.journal.log.state, again.journal.log.stable]).toEqual(['open', chain.position]);
    await again.journal.close();
  });
});
