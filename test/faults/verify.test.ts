import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isEvertreeError, parseFrame, sealFrame } from '@evertree/core';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { commit, filesOf, flip, recovered, SMALL, stoppedSite, verify } from '../support/offline-site.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { openIndex } from '../support/index-oracle.ts';
import { allowErrors } from '../support/reports.ts';
import { Simulation } from '../support/simulation.ts';
import { diskStore } from '../support/stores.ts';
import { crc32 } from 'node:zlib';

const SEGMENT_HEADER_BYTES = 64;
const RECORD_HEADER_BYTES = 40;

/** Offsets of the records of a segment. */
function offsets(bytes: Buffer): number[] {
  const found: number[] = [];
  for (let at = SEGMENT_HEADER_BYTES; bytes.toString('latin1', at, at + 4) === 'EVTR';) {
    found.push(at);
    at += RECORD_HEADER_BYTES + bytes.readUInt32LE(at + 8) + bytes.readUInt32LE(at + 12);
  }
  return found;
}

/** Replaces the frame of a record by one with right checksums. */
function forge(disk: FaultDisk, path: string, offset: number, change: (frame: ReturnType<typeof parseFrame>) => Uint8Array): void {
  disk.overwrite(path, bytes => {
    const start = offset + RECORD_HEADER_BYTES;
    const length = bytes.readUInt32LE(offset + 8);
    const forged = change(parseFrame(Buffer.from(bytes.subarray(start, start + length))));
    expect(forged.length).toBe(length);
    bytes.set(forged, start);
    return bytes;
  });
}

describe('verify finds', () => {
  test('nothing in a directory that a site left, and says what it holds', async () => {
    const { disk, position, digest } = await stoppedSite();
    const segments = filesOf(disk, '.evj').length;
    const found = await verify(disk);
    expect(found).toMatchObject({
      damageCount: 0,
      damages: [],
      remarks: [],
      last: position,
      digest,
      segments,
      snapshots: 2,
      isCopy: false,
    });
    expect([found.commits, found.rebuiltCommits]).toEqual([position.revision, position.revision]);
    expect(segments).toBeGreaterThan(3);
    const quick = await verify(disk, { checksumsOnly: true });
    expect(quick).toMatchObject({ damageCount: 0, last: position, digest, segments, snapshots: 2, rebuiltCommits: 0 });
  });

  test('every flipped byte of a segment or a snapshot, in its file', async () => {
    const { disk } = await stoppedSite({ commits: 24, openings: 1, snapshots: 1 });
    for (const path of [...filesOf(disk, '.evj'), ...filesOf(disk, '.evs')]) {
      const { length } = disk.bytes(path);
      for (let at = 0; at < length; at += 13) {
        flip(disk, path, at);
        for (const checksumsOnly of [false, true]) {
          const found = await verify(disk, { checksumsOnly });
          // The last write may never have ended; that it did is known from where the site was stopped.
          const files = found.damages.map(({ file }) => file);
          expect(files.includes(path) || files.includes('site.json'), `byte ${at} of ${path}`).toBe(true);
          // A finding names its place apart from its problem.
          for (const { problem } of found.damages) expect(problem).not.toMatch(/is damaged at offset/);
          for (const { file, offset } of found.damages) expect(file !== path || offset <= at + 8, `byte ${at} of ${path}`).toBe(true);
        }
        flip(disk, path, at);
      }
    }
    expect((await verify(disk)).damageCount).toBe(0);
  });

  test('each segment that is missing, and the snapshot that a history needs to begin with', async () => {
    const { disk } = await stoppedSite({ commits: 120, openings: 1, snapshots: 1, retain: true });
    expect(await verify(disk)).toMatchObject({ damageCount: 0 });
    const segments = filesOf(disk, '.evj');
    const snapshots = filesOf(disk, '.evs');
    expect([segments.length > 2, snapshots.length]).toEqual([true, 1]);
    for (const path of [...segments, ...snapshots]) {
      const copy = disk.image();
      copy.erase(path);
      const { damageCount, damages } = await verify(copy);
      expect(damageCount, `without ${path}`).toBeGreaterThan(0);
      expect(JSON.stringify(damages)).toMatch(/missing|no snapshot|ends at|end at/);
    }
    const unknown = disk.image();
    unknown.erase('site.json');
    expect((await verify(unknown)).damages).toMatchObject([{ file: 'site.json' }]);
  });

  test('a segment of another stream, and one of another history', async () => {
    const ours = await stoppedSite({ openings: 1 });
    const theirs = await stoppedSite({ openings: 1 });
    const [, path] = filesOf(ours.disk, '.evj');
    const foreign = filesOf(theirs.disk, '.evj')[1]!;
    ours.disk.overwrite(path!, () => theirs.disk.bytes(foreign));
    const { damages } = await verify(ours.disk);
    expect(damages.some(({ file, problem }) => file === path && problem.includes('stream'))).toBe(true);
  });

  test('a digest that differs, and a chain that is broken, behind right checksums', async () => {
    const { disk } = await stoppedSite({ openings: 1 });
    const path = filesOf(disk, '.evj')[1]!;
    const offset = offsets(disk.bytes(path))[1]!;
    const wrong = disk.image();
    forge(
      wrong,
      path,
      offset,
      frame => sealFrame({ ...frame.header, digest: 'ab'.repeat(8) }, Buffer.from(frame.bytes.subarray(128, -4))).bytes,
    );
    const found = await verify(wrong);
    expect(found.damages.find(({ problem }) => problem.includes('digest'))).toMatchObject({ file: path, offset });
    expect(found.damages.some(({ problem }) => problem.includes('does not name the frame before it'))).toBe(true);
    // The content changes, and the digest stays.
    const forged = disk.image();
    forge(forged, path, offset, ({ bytes }) => {
      const changed = Buffer.from(bytes);
      const at = changed.lastIndexOf(Buffer.from('commit '));
      changed.write('COMMIT', at, 'latin1');
      changed.writeUInt32LE(crc32(changed.subarray(0, -4)), changed.length - 4);
      return changed;
    });
    const quick = await verify(forged, { checksumsOnly: true });
    expect(quick.damages).toMatchObject([{ problem: expect.stringContaining('does not name the frame before it') as string }]);
  });

  test('every flipped byte of an index, and no fault with one that is missing', async () => {
    const disk = new FaultDisk();
    const { store } = await diskStore(disk, { journalOptions: SMALL });
    const { index } = openIndex(disk, store);
    for (let round = 0; round < 3; round++) {
      await commit(store, round * 10, round * 10 + 10);
      await index.caughtUp();
    }
    await index.close();
    await store.close();
    const runs = filesOf(disk, '.evi');
    expect(runs.length).toBeGreaterThan(1);
    expect(await verify(disk)).toMatchObject({ damageCount: 0, indexes: runs.length, last: store.position });
    for (const path of runs) {
      for (let at = 0; at < disk.bytes(path).length; at += 11) {
        flip(disk, path, at);
        for (const checksumsOnly of [false, true]) {
          const { damages } = await verify(disk, { checksumsOnly });
          expect(
            damages.map(({ file }) => file),
            `byte ${at} of ${path}`,
          ).toEqual([path]);
          expect(damages[0]?.problem.startsWith(path)).toBe(false);
        }
        flip(disk, path, at);
      }
    }
    expect(await verify(disk, { checksumsOnly: true })).toMatchObject({ damageCount: 0, indexes: runs.length });
    disk.erase(runs[0]!);
    expect(await verify(disk)).toMatchObject({ damageCount: 0, indexes: runs.length - 1 });
  });

  test('a time that goes back within an epoch', async () => {
    const { disk } = await stoppedSite({ openings: 1 });
    const path = filesOf(disk, '.evj')[1]!;
    const offset = offsets(disk.bytes(path))[1]!;
    forge(
      disk,
      path,
      offset,
      ({ header, bytes }) => sealFrame({ ...header, firstTime: 1_000, lastTime: 1_000 }, Buffer.from(bytes.subarray(128, -4))).bytes,
    );
    expect(
      (await verify(disk)).damages.some(({ file, offset: at, problem }) => file === path && at === offset && problem.includes('time')),
    ).toBe(true);
  });

  test('what is wrong with leases, divergences and names, by file', async () => {
    const { disk } = await stoppedSite();
    disk.place('leases.json', Buffer.from('{"format":3,"leases":[{"kind":"peer"}]}'));
    disk.place('divergences/2-00000000000000aa-5-7.json', Buffer.from('{}'));
    disk.place('divergences/2-00000000000000ab-5-7.evj', Buffer.from('left over'));
    disk.place('journal/note.txt', Buffer.from('hello'));
    const { damages, remarks } = await verify(disk);
    expect(damages.map(({ file }) => file)).toEqual(['leases.json', 'divergences/2-00000000000000aa-5-7.json']);
    expect(remarks.map(({ file }) => file).toSorted()).toEqual(['divergences/2-00000000000000ab-5-7.evj', 'journal/note.txt']);
  });
});

describe('verify tells from damage', () => {
  test('a write that never ended', async () => {
    let torn = 0;
    for (let seed = 0; seed < 30; seed++) {
      const disk = new FaultDisk();
      const { store } = await diskStore(disk, { journalOptions: { ...SMALL, sync: 'fdatasync' } });
      await commit(store, 0, 20);
      for (let index = 0; index < 4; index++) {
        // Longer than what is written within one turn of the event loop: the power fails in the middle of it.
        store.put(['big', String(index)], 'x'.repeat(20_000));
        store.cut();
      }
      for (let turn = 0; turn < 1 + (seed % 4); turn++) await new Promise(resolve => setImmediate(resolve));
      const simulation = new Simulation(seed);
      const found = disk.powerLoss(() => simulation.fraction());
      const { damages, remarks, last } = await verify(found);
      expect(damages, `seed ${seed}`).toEqual([]);
      torn += Number(remarks.some(({ text }) => text.includes('never ended')));
      const opened = await recovered(found);
      expect(opened.position, `seed ${seed}`).toEqual(last);
      await opened.close();
    }
    expect(torn).toBeGreaterThan(0);
  });

  test('a history that is cut back, before the next start finishes that', async () => {
    const { disk } = await stoppedSite({ openings: 1, snapshots: 0 });
    const { store } = await diskStore(disk, { journalOptions: SMALL });
    const back = store.journal;
    const reader = back.log.read(back.log.base);
    let position = back.log.base;
    for (let count = 0; count < 20; count++) position = (await reader.next())!.frame.header.last;
    await reader.close();
    await store.fence({ number: 2, id: 'bb'.repeat(8) }, true);
    await store.follow();
    using _ = disk.fail({ operation: 'remove', code: 'EIO' });
    allowErrors('journal-failed', 'storage-failed');
    await store.rewind(position).catch(() => undefined);
    const died = disk.crash();
    const { damages, remarks, last } = await verify(died);
    expect(damages).toEqual([]);
    expect(remarks.map(({ file }) => file)).toContain('rewind.json');
    expect(last).toEqual(position);
  });

  test('files that a site writes, seals and drops meanwhile', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1_000_000 }), async seed => {
        const disk = new FaultDisk();
        const { store } = await diskStore(disk, { journalOptions: { ...SMALL, retentionRewindMs: 0, retentionMaxMs: 0 } });
        const built = openIndex(disk, store).index;
        await commit(store, 0, 20);
        const progress = { verifying: true };
        const writing = (async () => {
          for (let index = 20; progress.verifying; index += 2) {
            await commit(store, index, index + 2);
            // A disk in memory takes no time for small writes: a real one leaves others some turns.
            for (let turn = 0; turn < 8; turn++) await new Promise(resolve => setImmediate(resolve));
            if ((index * seed) % 7 === 0) await store.saveSnapshot();
          }
        })();
        try {
          for (let round = 0; round < 4; round++) {
            const from = store.stable.position;
            const found = await verify(disk, { checksumsOnly: round % 2 === 1 });
            expect(found.damages).toEqual([]);
            expect(found.last.revision).toBeGreaterThanOrEqual(from.revision);
            expect(found.last.revision).toBeLessThanOrEqual(store.position.revision);
          }
        } finally {
          progress.verifying = false;
          await writing;
          await built.close();
          await store.close();
        }
        expect(await verify(disk)).toMatchObject({ damageCount: 0, last: store.position, digest: store.digest });
      }),
      { numRuns: 8 },
    );
  });

  test('what a full copy of another site left behind', async () => {
    const { disk, position } = await stoppedSite();
    const { store: winner } = await diskStore(disk.copy(), { site: 'b' });
    const late = new FaultDisk();
    const { store } = await diskStore(late, { site: 'c', role: 'secondary' });
    using snapshot = winner.snapshot();
    const receiver = await store.receiveSnapshot(snapshot.header);
    for (const chunk of snapshot.chunks()) await receiver.add(chunk);
    await receiver.finish();
    await store.close();
    await winner.close();
    expect(await verify(late)).toMatchObject({ damageCount: 0, commits: 0, snapshots: 1, last: position });
  });
});

/** A disk with something done to it that no site does. */
function harmed(disk: FaultDisk, chance: Simulation): FaultDisk {
  const found = disk.image();
  const files = [...filesOf(found, '.evj'), ...filesOf(found, '.evs')];
  for (let times = chance.below(3); times > 0; times--) {
    const path = files[chance.below(files.length)]!;
    if (!found.files.includes(path)) continue;
    const { length } = found.bytes(path);
    const at = length === 0 ? 0 : chance.below(length);
    const kind = chance.below(5);
    if (kind === 0) found.erase(path);
    else if (length === 0) continue;
    else if (kind === 1) flip(found, path, at);
    else if (kind === 2) found.overwrite(path, bytes => bytes.subarray(0, at));
    else if (kind === 3) found.overwrite(path, bytes => bytes.fill(0, at, Math.min(bytes.length, at + 512)));
    else found.overwrite(path, bytes => Buffer.concat([bytes, bytes.subarray(at)]));
  }
  return found;
}

describe('what verify finds sound', () => {
  test('opens at the position and with the digest that it names, whatever was done to the directory', async () => {
    // The opening says so, too.
    allowErrors('history-lost');
    const counts = { sound: 0, damaged: 0 };
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.boolean(), fc.boolean(), async (seed, isStopped, isCopied) => {
        const chance = new Simulation(seed);
        const disk = new FaultDisk();
        const { store } = await diskStore(disk, { journalOptions: { ...SMALL, sync: 'fdatasync' } });
        await commit(store, 0, 12);
        if (chance.below(2) === 0) await store.saveSnapshot();
        await commit(store, 12, 24);
        if (isStopped) await store.close();
        const left = isStopped ? disk : disk.powerLoss(() => chance.fraction());
        const found = harmed(isCopied ? left.copy() : left, chance);
        const { damageCount, last, digest } = await verify(found);
        counts[damageCount === 0 ? 'sound' : 'damaged']++;
        try {
          const opened = await recovered(found);
          if (damageCount === 0) expect([opened.position, opened.digest]).toEqual([last, digest]);
          await opened.close();
        } catch (error) {
          if (!isEvertreeError(error)) throw error;
          expect(damageCount, error.message).toBeGreaterThan(0);
        }
      }),
      { numRuns: 300 },
    );
    expect([counts.sound > 50, counts.damaged > 50]).toEqual([true, true]);
  });
});

describe('verify of a copy', () => {
  test('that is whole finds nothing, and says that it is one', async () => {
    const { disk, position } = await stoppedSite();
    const found = await verify(disk.copy());
    expect(found).toMatchObject({ damageCount: 0, isCopy: true, last: position });
    expect(found.remarks).toMatchObject([{ file: 'site.json' }]);
  });

  test('with a hole finds it, and says where a site would go on', async () => {
    const { disk } = await stoppedSite({ openings: 1, snapshots: 0 });
    const path = filesOf(disk, '.evj').at(-1)!;
    const [, second] = offsets(disk.bytes(path));
    const copy = disk.copy((file, bytes) => (file === path ? Buffer.from(bytes).fill(0, second, second! + 50) : bytes));
    const { damages, last } = await verify(copy);
    expect(damages[0]).toMatchObject({ file: path, offset: second });
    expect(damages[0]!.problem).toContain(`go on from ${last.epoch}-${last.revision}`);
  });
});

describe('verify of a directory of a former version', () => {
  test.each(['directory-1', 'directory-2'])('%s finds nothing wrong with its checksums', async name => {
    const disk = new FaultDisk();
    const root = fileURLToPath(new URL(`../support/golden/${name}`, import.meta.url));
    for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      disk.place(relative(root, path), await readFile(path));
    }
    const found = await verify(disk, { checksumsOnly: true });
    expect(found).toMatchObject({ damageCount: 0, snapshots: 1 });
    expect(found.segments).toBeGreaterThan(2);
  });
});
