import type { Divergence, Journal, Keep, Report } from '@evertree/core';
import { ORIGIN } from '@evertree/core';
import type { DiskJournal, JournalOptions } from '@evertree/journal';
import { openJournal } from '@evertree/journal';
import { describe, expect, test, vi } from 'vitest';
import { expectedFrames, fill, latin1, readAll, save, thrown } from '../conformance/journal-suite.ts';
import { dieAtEachStep } from '../support/deaths.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { FrameChain } from '../support/frame-chain.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { collectReports, expectErrors } from '../support/reports.ts';

async function open(disk: FaultDisk, given: JournalOptions = {}, reports: Report[] = []): Promise<DiskJournal> {
  const options = { sync: 'fdatasync', segmentBytes: 2_000, tailBytes: 500, ...given } as const;
  const { report } = collectReports(reports);
  return openJournal({ disk, clock: systemClock, random: systemRandom, report, identity: { site: 'a' }, options });
}

async function prepare(options: JournalOptions = {}, disk = new FaultDisk()) {
  const chain = new FrameChain();
  const reports: Report[] = [];
  const journal = await open(disk, options, reports);
  await fill(journal, chain, 12, 300);
  journal.leases.hold('peer', 'b', chain.frames[0]!.header.last);
  await save(journal, chain, ['old tree']);
  await fill(journal, chain, 12, 300);
  return { disk, chain, journal, reports };
}

const FORK = 15;
const NAME = `1-${'1'.padStart(16, '7')}-${FORK}-24`;
const FRAMES = `divergences/${NAME}.evj`;
const RECORD = `divergences/${NAME}.json`;

function keeping(journal: Journal, keptAt = 5_000): Keep {
  return async divergence => void (await journal.divergences.keep(divergence, keptAt));
}

function forkOf(chain: FrameChain) {
  return chain.frames[FORK - 1]!.header.last;
}

async function goBack({ journal, chain }: { journal: Journal; chain: FrameChain }): Promise<void> {
  await journal.log.rewind(forkOf(chain), keeping(journal));
}

async function framesIn(journal: Journal, name = NAME) {
  const frames: { bytes: string; trailer: undefined }[] = [];
  for await (const { frame } of journal.divergences.read(name)) frames.push({ bytes: latin1(frame.bytes), trailer: undefined });
  return frames;
}

/** What was kept, if it is listed, has to be whole. */
async function expectKept(journal: Journal, chain: FrameChain, where: string): Promise<boolean> {
  const [kept, ...others] = journal.divergences.list();
  expect(others, where).toEqual([]);
  if (kept === undefined) return false;
  expect(kept, where).toMatchObject({ name: NAME, base: forkOf(chain), last: chain.position, commits: 9, keptAt: 5_000 });
  expect(await framesIn(journal), where).toEqual(expectedFrames(chain.frames.slice(FORK)));
  return true;
}

describe('a death at any step', () => {
  test('of going back leaves every commit in the history or in what was kept', async () => {
    const seen = new Set<string>();
    await dieAtEachStep(
      prepare,
      async prepared => goBack(prepared),
      async ({ prepared: { chain }, found, died, where }) => {
        const again = await open(found);
        const isCut = again.log.last.revision === FORK;
        const isKept = await expectKept(again, chain, where);
        if (isCut || !died) expect([isCut, isKept], where).toEqual([true, true]);
        else expect(again.log.last, where).toEqual(chain.position);
        seen.add(`cut ${isCut}, kept ${isKept}`);
        expect(await readAll(again, ORIGIN), where).toEqual(expectedFrames(chain.frames.slice(0, again.log.last.revision)));
        if (!isCut) await goBack({ journal: again, chain });
        expect(await expectKept(again, chain, `${where}, gone back again`)).toBe(true);
        await again.close();
        const expected = [FRAMES, RECORD];
        expect(found.files.filter(path => path.startsWith('divergences')).toSorted(), where).toEqual(expected);
      },
    );
    expect([...seen].toSorted()).toEqual(['cut false, kept false', 'cut false, kept true', 'cut true, kept true']);
  });

  test('of a snapshot that takes the place of a diverged history leaves that history, or the new one and what was kept', async () => {
    const position = { epoch: 2, epochId: '22'.repeat(8), revision: 16 };
    const seen = new Set<string>();
    await dieAtEachStep(
      prepare,
      async ({ journal, chain }) => {
        const diverged = { fork: forkOf(chain), keep: keeping(journal) };
        const writer = await journal.snapshots.create(chain.snapshotHeader(position), { replace: true, diverged });
        await writer.write(Buffer.from('the common tree'));
        await writer.commit();
      },
      async ({ prepared: { chain }, found, died, where }) => {
        const again = await open(found);
        const isKept = await expectKept(again, chain, where);
        const isReplaced = again.log.last.revision === position.revision;
        if (isReplaced || !died) expect([isReplaced, isKept], where).toEqual([true, true]);
        else expect(again.log.last, where).toEqual(chain.position);
        seen.add(`replaced ${isReplaced}, kept ${isKept}`);
        await again.close();
      },
    );
    expect(seen.size).toBe(3);
  });

  test('of marking commits as replayed leaves the divergence whole, marked or not', async () => {
    await dieAtEachStep(
      async () => {
        const prepared = await prepare();
        await goBack(prepared);
        return prepared;
      },
      ({ journal }) => journal.divergences.markReplayed(NAME, [20, 21]),
      async ({ prepared: { chain }, found, died, where }) => {
        const again = await open(found);
        expect(await expectKept(again, chain, where)).toBe(true);
        const marked = [{ from: 20, to: 21 }];
        expect(died ? [[], marked] : [marked], where).toContainEqual(again.divergences.list()[0]!.replayed);
        await again.close();
      },
    );
  });

  test('of forgetting leaves the divergence whole, or nothing of it', async () => {
    const seen = new Set<boolean>();
    await dieAtEachStep(
      async () => {
        const prepared = await prepare();
        await goBack(prepared);
        return prepared;
      },
      ({ journal }) => journal.divergences.forget(NAME),
      async ({ prepared: { chain }, found, died, where }) => {
        const again = await open(found);
        const isKept = await expectKept(again, chain, where);
        seen.add(isKept);
        if (!died) expect(isKept, where).toBe(false);
        if (!isKept) expect(found.files.filter(path => path.startsWith('divergences'), where)).toEqual([]);
        await again.close();
      },
    );
    expect(seen.size).toBe(2);
  });
});

describe('a disk without room', () => {
  test.each(['makeDirectory', 'open', 'write', 'sync', 'rename', 'syncDirectory'] as const)(
    'at %s of what is to be kept: nothing is cut, nothing is left, and it goes once there is room',
    async operation => {
      const { disk, journal, chain } = await prepare();
      const full = disk.fail({ operation, path: /divergences/, code: 'ENOSPC' });
      expect(await thrown(() => goBack({ journal, chain }))).toMatchObject({ code: 'STORAGE_FULL', details: { name: NAME } });
      full[Symbol.dispose]();
      expect([journal.log.state, journal.log.last, journal.divergences.list()]).toEqual(['open', chain.position, []]);
      expect(disk.files.filter(path => path.startsWith('divergences'))).toEqual([]);
      await fill(journal, chain, 2, 300);
      const again = await open(disk.crash());
      expect(again.log.last).toEqual(chain.position);
      await again.log.rewind(forkOf(chain), keeping(again));
      expect(await framesIn(again, NAME.replace('-24', '-26'))).toEqual(expectedFrames(chain.frames.slice(FORK)));
      await again.close();
    },
  );

  test('for the record of what is to be kept: nothing is cut', async () => {
    const { disk, journal, chain } = await prepare();
    const full = disk.fail({ operation: 'write', path: /divergences.*json/, code: 'ENOSPC' });
    expect(await thrown(() => goBack({ journal, chain }))).toMatchObject({ code: 'STORAGE_FULL' });
    full[Symbol.dispose]();
    expect([journal.log.last, journal.divergences.list()]).toEqual([chain.position, []]);
    await goBack({ journal, chain });
    expect(await expectKept(journal, chain, 'with room')).toBe(true);
    await journal.close();
  });

  test('for frames that a snapshot is to replace: they are neither lost nor replaced', async () => {
    expectErrors('storage-full');
    const { disk, journal, chain } = await prepare();
    const diverged = { fork: forkOf(chain), keep: keeping(journal) };
    const header = chain.snapshotHeader({ epoch: 2, epochId: '22'.repeat(8), revision: 16 });
    const writer = await journal.snapshots.create(header, { replace: true, diverged });
    const full = disk.fail({ operation: 'write', path: /journal/, code: 'ENOSPC' });
    journal.log.append(chain.next());
    journal.log.flushSync();
    expect(journal.log.state).toBe('full');
    expect(await thrown(() => writer.commit())).toMatchObject({ code: 'STORAGE_FULL' });
    full[Symbol.dispose]();
    await journal.log.flush();
    expect(journal.log.stable).toEqual(chain.position);
    await journal.close();
  });
});

describe('the limit of divergences', () => {
  test('refuses another one and says what to do; with those forgotten that nobody needs it goes', async () => {
    const { disk, journal, chain, reports } = await prepare({ divergencesMaxBytes: 4_400 });
    const first = chain.frames[19]!.header.last;
    await journal.log.rewind(first, keeping(journal));
    const [{ name, bytes } = { name: '', bytes: 0 }] = journal.divergences.list();
    chain.rewind(first);
    const error = await thrown(() => goBack({ journal, chain }));
    expect(error).toMatchObject({ code: 'STORAGE_FULL', details: { otherBytes: bytes, maxBytes: 4_400 } });
    expect(String(error)).toContain('forget');
    expect([journal.log.last, journal.divergences.list().length]).toEqual([first, 1]);
    expect(disk.files.filter(path => path.startsWith('divergences'))).toHaveLength(2);
    await journal.divergences.forget(name);
    await goBack({ journal, chain });
    expect(journal.divergences.list().map(kept => kept.base)).toEqual([forkOf(chain)]);
    expect(reports.map(({ event }) => event)).toEqual([]);
    await journal.close();
  });

  test('is a part of the disk as it is then, not as it was at the start', async () => {
    const disk = new FaultDisk();
    const space = vi.spyOn(disk, 'space').mockResolvedValue({ totalBytes: 5_000, freeBytes: 5_000 });
    const { journal, chain } = await prepare({ retentionMaxBytes: 1_000_000 }, disk);
    expect(await thrown(() => goBack({ journal, chain }))).toMatchObject({ code: 'STORAGE_FULL', details: { maxBytes: 1_000 } });
    space.mockResolvedValue({ totalBytes: 500_000, freeBytes: 500_000 });
    await goBack({ journal, chain });
    expect(journal.divergences.list().map(kept => kept.base)).toEqual([forkOf(chain)]);
    await journal.close();
  });

  test('is near: this is reported, with the bytes', async () => {
    const { journal, chain, reports } = await prepare({ divergencesMaxBytes: 5_200 });
    await goBack({ journal, chain });
    const [{ bytes } = { bytes: 0 }] = journal.divergences.list();
    expect(reports).toEqual([expect.objectContaining({ level: 'warn', event: 'divergences-near', details: { bytes, maxBytes: 5_200 } })]);
    await journal.close();
  });
});

describe('damage', () => {
  test('of what was kept is told with file and offset, and the frames before it are read', async () => {
    const { disk, journal, chain } = await prepare();
    await goBack({ journal, chain });
    const read: number[] = [];
    const reading = async () => {
      for await (const { frame } of journal.divergences.read(NAME)) read.push(frame.header.last.revision);
    };
    const whole = disk.bytes(FRAMES);
    for (const [offset, expected, at] of [
      [10, [], 0],
      [64 + 472 * 3 + 200, [16, 17, 18], 64 + 472 * 3],
      [whole.length - 20, [], whole.length],
    ] as const) {
      read.length = 0;
      disk.overwrite(FRAMES, () => Buffer.from(whole).fill('?', offset, offset + 1));
      expect(await thrown(reading), `byte ${offset}`).toMatchObject({ code: 'DAMAGED', details: { file: FRAMES, offset: at } });
      expect(read).toEqual(expected);
    }
    disk.erase(FRAMES);
    expect(await thrown(reading)).toMatchObject({ code: 'DAMAGED', details: { file: FRAMES } });
    await journal.close();
  });

  test('of a record is reported, its frames stay where they are, and the site opens', async () => {
    expectErrors('divergence-unreadable');
    const { disk, journal, chain } = await prepare();
    await goBack({ journal, chain });
    await journal.close();
    const record = disk.bytes(RECORD).toString();
    for (const text of [
      '',
      '[]',
      record.replace('"revision": 15', '"revision": 14'),
      record.replace('"keptAt"', '"kept"'),
      record.replace(/"replayed": \[\]/, '"replayed": [7]'),
      record.replace(/"authors": \[\]/, '"authors": [7]'),
      record.replace('"format"', '"missing": 7, "format"'),
    ]) {
      expect(text).not.toBe(record);
      disk.overwrite(RECORD, () => Buffer.from(text));
      const reports: Report[] = [];
      const again = await open(disk, {}, reports);
      expect([again.log.last, again.divergences.list()]).toEqual([forkOf(chain), []]);
      expect(reports.map(({ event, details }) => [event, details])).toEqual([['divergence-unreadable', { file: RECORD }]]);
      await again.close();
      expect(disk.files).toContain(FRAMES);
    }
  });

  test('nothing is kept of a divergence whose frames end early', async () => {
    const { journal, chain } = await prepare();
    const short: Divergence = {
      stream: chain.stream,
      base: forkOf(chain),
      last: chain.position,
      missing: undefined,
      async *frames() {
        for (const frame of chain.frames.slice(FORK, 20)) yield { frame, trailer: undefined };
      },
    };
    expect(await thrown(() => journal.divergences.keep(short, 1))).toMatchObject({ code: 'HISTORY_MISMATCH' });
    expect(journal.divergences.list()).toEqual([]);
    await journal.close();
  });
});

test('a copy of the directory has the divergences', async () => {
  const { disk, journal, chain } = await prepare();
  await goBack({ journal, chain });
  const copy = await open(disk.copy());
  expect(await expectKept(copy, chain, 'in the copy')).toBe(true);
  await copy.close();
  await journal.close();
});
