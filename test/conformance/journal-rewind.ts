import type { Divergence, ExactPosition, Journal } from '@evertree/core';
import { ORIGIN } from '@evertree/core';
import { describe, expect, test } from 'vitest';
import type { FrameChain } from '../support/frame-chain.ts';
import type { JournalSuite } from './journal-suite.ts';
import { chunksOf, closing, expectedFrames, fill, latin1, readAll, save, thrown, until } from './journal-suite.ts';

/** What was handed out before it went. */
interface Kept {
  readonly base: ExactPosition;
  readonly last: ExactPosition;
  readonly frames: readonly string[];
}

function keeper(): { readonly kept: Kept[]; readonly keep: (divergence: Divergence) => Promise<void> } {
  const kept: Kept[] = [];
  return {
    kept,
    keep: async divergence => {
      const frames: string[] = [];
      for await (const { frame } of divergence.frames()) frames.push(latin1(frame.bytes));
      kept.push({ base: divergence.base, last: divergence.last, frames });
    },
  };
}

const ignore = () => Promise.resolve();

/** Appends what another writer made of it: an epoch of its own from `chain`'s position on. */
async function goOn(journal: Journal, chain: FrameChain): Promise<void> {
  journal.log.append(chain.next({ beginsEpoch: true }));
  for (let index = 0; index < 12; index++) journal.log.append(chain.next({ bytes: 350 }));
  await journal.log.flush();
}

/** Cases of cutting the history back. */
export function testRewind({ supports, prepare, filled }: JournalSuite): void {
  describe('a rewind', () => {
    test('keeps the history up to a position, in whatever segment it is, and another rewind may follow', async () => {
      for (const revision of [0, 1, 7, 24, 25, 39, 40]) {
        const { journal, chain } = await filled(40);
        const position = chain.frames[revision - 1]?.header.last ?? ORIGIN;
        const all = expectedFrames(chain.frames);
        const { kept, keep } = keeper();
        await journal.log.rewind(position, keep);
        expect([journal.log.last, journal.log.stable, journal.log.pendingBytes], `to ${revision}`).toEqual([position, position, 0]);
        const gone = all.slice(revision).map(({ bytes }) => bytes);
        expect(kept).toEqual(revision === 40 ? [] : [{ base: position, last: chain.position, frames: gone }]);
        expect(await readAll(journal, ORIGIN)).toEqual(all.slice(0, revision));
        chain.rewind(position);
        await goOn(journal, chain);
        expect(await readAll(journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
        for (const frame of chain.frames) expect(await journal.log.find(frame.header.last)).toEqual(frame.header);
      }
    });

    test('changes nothing if what it removes could not be kept elsewhere', async () => {
      const { journal, chain } = await filled(20);
      await expect(journal.log.rewind(chain.frames[4]!.header.last, () => Promise.reject(new Error('no room')))).rejects.toThrow('no room');
      expect(journal.log.last).toEqual(chain.position);
      await fill(journal, chain, 3, 100);
      expect(await readAll(journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
    });

    test('accepts no frame while it runs, not even one that follows', async () => {
      const { journal, chain } = await filled(20);
      let refused: unknown;
      await journal.log.rewind(chain.frames[4]!.header.last, async () => {
        refused = await thrown(() => journal.log.append(chain.next()));
      });
      expect(refused).toMatchObject({ code: 'HISTORY_MISMATCH' });
    });

    test('calls its caller in the step in which the positions move, before any listener', async () => {
      const { journal, chain } = await filled(20);
      const position = chain.frames[11]!.header.last;
      const told: string[] = [];
      using _ = journal.log.onProgress(() => void told.push('progress'));
      await journal.log.rewind(position, ignore, () => {
        expect([journal.log.last, journal.log.stable]).toEqual([position, position]);
        told.push('moved');
      });
      await until(journal, () => told.includes('progress'));
      expect(told[0]).toBe('moved');
      await journal.log.rewind(position, ignore, () => told.push('moved for nothing'));
      expect(told).not.toContain('moved for nothing');
    });

    test('hands out frames that were appended and not yet stable, too', async () => {
      const { journal, chain } = await filled(5);
      const position = chain.position;
      for (let index = 0; index < 4; index++) journal.log.append(chain.next({ bytes: 2_000 }));
      const { kept, keep } = keeper();
      await journal.log.rewind(position, keep);
      expect(kept[0]?.frames).toEqual(expectedFrames(chain.frames.slice(5)).map(({ bytes }) => bytes));
    });

    test('ends readers that are beyond its position, and readers before it go on', async () => {
      const { journal, chain } = await filled(40);
      const position = chain.frames[19]!.header.last;
      await using before = closing(journal.log.read(ORIGIN));
      await using beyond = closing(journal.log.read(chain.frames[29]!.header.last));
      await before.next();
      await beyond.next();
      await journal.log.rewind(position, ignore);
      expect(await thrown(() => beyond.next())).toMatchObject({ code: 'HISTORY_MISMATCH' });
      chain.rewind(position);
      await goOn(journal, chain);
      expect(await thrown(() => beyond.next())).toMatchObject({ code: 'HISTORY_MISMATCH' });
      const read: number[] = [];
      for (let next = await before.next(); next !== undefined; next = await before.next()) read.push(next.frame.header.last.revision);
      expect(read).toEqual(chain.frames.slice(1).map(frame => frame.header.last.revision));
      expect((await journal.log.find(chain.position))?.epoch).toBe(2);
    });

    test('refuses a position that is not in this history', async () => {
      const { journal, chain } = await prepare();
      for (let index = 0; index < 10; index++) journal.log.append(chain.next({ count: 3 }));
      await journal.log.flush();
      const { epoch, epochId, revision } = chain.position;
      for (const position of [
        { epoch, epochId, revision: revision + 1 },
        { epoch, epochId, revision: 6 },
        { epoch, epochId: 'ee'.repeat(8), revision: 4 },
      ]) {
        expect(await thrown(() => journal.log.rewind(position, ignore))).toMatchObject({ code: 'HISTORY_MISMATCH' });
      }
      expect(journal.log.last).toEqual(chain.position);
      await fill(journal, chain, 2, 10);
    });

    test('calls the listeners of progress', async () => {
      const { journal, chain } = await filled(10);
      const { promise, resolve } = Promise.withResolvers<ExactPosition>();
      const position = chain.frames[3]!.header.last;
      using _ = journal.log.onProgress(() => resolve(journal.log.stable));
      await journal.log.rewind(position, ignore);
      expect(await promise).toEqual(position);
    });

    test.runIf(supports.snapshots)('drops the snapshots beyond it', async () => {
      const { journal, chain } = await prepare();
      for (const tree of ['one', 'two', 'three']) {
        await fill(journal, chain, 8, 300);
        await save(journal, chain, [tree]);
      }
      await journal.log.rewind(chain.frames[9]!.header.last, ignore);
      expect(journal.snapshots.list).toHaveLength(1);
      expect(await chunksOf(await journal.snapshots.newest())).toEqual(['one']);
    });

    test.runIf(supports.snapshots)('does not go behind the snapshot that the history begins with', async () => {
      const { journal, chain } = await filled(10);
      const base = chain.frames[4]!.header.last;
      const writer = await journal.snapshots.create(chain.snapshotHeader(base), { replace: true });
      await writer.commit();
      expect(await thrown(() => journal.log.rewind(chain.frames[2]!.header.last, ignore))).toMatchObject({ code: 'COMPACTED' });
      await journal.log.rewind(base, ignore);
      expect(journal.log.last).toEqual(base);
    });

    test.runIf(supports.durable)('stays after a crash, and so does what came behind it', async () => {
      for (const more of [false, true]) {
        const { journal, chain, open, crash } = await filled(40);
        const position = chain.frames[17]!.header.last;
        await journal.log.rewind(position, ignore);
        chain.rewind(position);
        if (more) await goOn(journal, chain);
        await crash();
        const again = await open();
        expect(again.log.last).toEqual(chain.position);
        expect(await readAll(again, ORIGIN)).toEqual(expectedFrames(chain.frames));
        await goOn(again, chain);
        await again.close();
        expect(await readAll(await open(), ORIGIN)).toEqual(expectedFrames(chain.frames));
      }
    });

    test.runIf(supports.tearing)('to a frame, then a torn write behind it, leaves the frames before that write', async () => {
      const { journal, chain, open, crash, tear } = await filled(40);
      const position = chain.frames[17]!.header.last;
      await journal.log.rewind(position, ignore);
      chain.rewind(position);
      journal.log.append(chain.next({ beginsEpoch: true, bytes: 500 }));
      await journal.log.flush();
      await crash();
      await tear(100);
      expect((await open()).log.last).toEqual(position);
    });
  });
}
