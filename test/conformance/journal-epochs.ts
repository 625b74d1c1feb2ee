import type { ExactPosition, Journal } from '@evertree/core';
import { ORIGIN } from '@evertree/core';
import { describe, expect, test } from 'vitest';
import type { FrameChain } from '../support/frame-chain.ts';
import type { JournalSuite } from './journal-suite.ts';
import { expectedFrames, fill, latin1, readAll, thrown } from './journal-suite.ts';

const ignore = () => Promise.resolve();

/** Reigns of several openings, one of which is handed over: the numbers are 1, 1, 1, 2, 2. */
async function reign(journal: Journal, chain: FrameChain): Promise<void> {
  await fill(journal, chain, 14, 300);
  for (const begins of [{ restart: true }, { restart: true }]) {
    journal.log.append(chain.next(begins));
    await fill(journal, chain, 14, 300);
  }
  journal.log.append(chain.next({ endsEpoch: true }));
  journal.log.append(chain.next({ beginsEpoch: true }));
  await fill(journal, chain, 14, 300);
  journal.log.append(chain.next({ restart: true }));
  await fill(journal, chain, 6, 300);
}

async function expectWhole(journal: Journal, chain: FrameChain): Promise<void> {
  expect([journal.log.last, journal.log.stable]).toEqual([chain.position, chain.position]);
  expect(await readAll(journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
  for (const { header } of chain.frames) {
    expect(await journal.log.find(header.last)).toEqual(header);
    expect(await journal.log.findByTime(header.lastTime)).toEqual(header);
  }
}

/** Cases of restart entries and handovers: one number with several ids, and a frame that ends an epoch. */
export function testEpochs({ supports, prepare }: JournalSuite): void {
  describe('epochs of one number', () => {
    test('follow each other, and a position is found by its id only', async () => {
      const { journal, chain } = await prepare();
      await reign(journal, chain);
      await expectWhole(journal, chain);
      for (const { last } of chain.frames.map(({ header }) => header)) {
        for (const { number, id } of chain.epochs) {
          const found = await journal.log.find({ epoch: number, epochId: id, revision: last.revision });
          expect(found?.last).toEqual(number === last.epoch && id === last.epochId ? last : undefined);
        }
      }
    });

    test('end where the next begins: a frame that follows the end of an earlier one is refused', async () => {
      const { journal, chain } = await prepare();
      await fill(journal, chain, 4, 100);
      const before = chain.position;
      journal.log.append(chain.next({ restart: true }));
      const after = chain.position;
      chain.rewind(before);
      expect(await thrown(() => journal.log.append(chain.next()))).toMatchObject({
        code: 'HISTORY_MISMATCH',
        details: { expected: after, found: before },
      });
    });

    test('are cut off by a rewind to any of their frames, and another one of the same number may follow', async () => {
      const reigned = await prepare();
      await reign(reigned.journal, reigned.chain);
      const ends = [13, 14, 15, 29, 30, 44, 45, 46, 60, 61, 62].filter(revision => revision < reigned.chain.position.revision);
      for (const revision of ends) {
        const { journal, chain } = await prepare();
        await reign(journal, chain);
        const position = chain.frames[revision - 1]!.header.last;
        const gone: string[] = [];
        await journal.log.rewind(position, async divergence => {
          for await (const { frame } of divergence.frames()) gone.push(latin1(frame.bytes));
        });
        expect(gone, `to ${revision}`).toEqual(expectedFrames(chain.frames.slice(revision)).map(({ bytes }) => bytes));
        chain.rewind(position);
        journal.log.append(chain.next({ restart: true }));
        await fill(journal, chain, 20, 300);
        await expectWhole(journal, chain);
      }
    });

    test('with other positions of the same number and revision: these are of another history', async () => {
      const { journal, chain } = await prepare();
      await reign(journal, chain);
      const { number, id } = chain.epochs[1]!;
      const strangers: ExactPosition[] = [
        { epoch: number, epochId: id, revision: chain.epochs[2]!.base.revision + 1 },
        { epoch: number, epochId: id, revision: chain.epochs[1]!.base.revision },
        { epoch: number, epochId: 'ee'.repeat(8), revision: chain.epochs[1]!.base.revision + 2 },
      ];
      for (const position of strangers) {
        expect(await thrown(() => journal.log.rewind(position, ignore))).toMatchObject({ code: 'HISTORY_MISMATCH' });
        expect(await thrown(() => journal.log.read(position).next())).toMatchObject({ code: 'HISTORY_MISMATCH' });
      }
    });

    test('are kept in a divergence, whose commits are those between the frames that begin and end epochs', async () => {
      const { journal, chain } = await prepare();
      await reign(journal, chain);
      const base = chain.frames[9]!.header.last;
      await journal.log.rewind(base, async divergence => void (await journal.divergences.keep(divergence, 1_000)));
      const begunAndEnded = 2 + 2 + 1;
      expect(journal.divergences.list()).toMatchObject([{ base, last: chain.position, commits: chain.frames.length - 10 - begunAndEnded }]);
    });

    test.runIf(supports.snapshots)('are told by a snapshot, and with them how each ended', async () => {
      const { journal, chain } = await prepare();
      await reign(journal, chain);
      const header = chain.snapshotHeader();
      expect(header.epochs.map(({ end }) => end)).toEqual([undefined, undefined, { to: 'b', command: 'c1' }, undefined, undefined]);
      await (await journal.snapshots.create(header)).commit();
      expect((await journal.snapshots.newest())?.header).toEqual(header);
    });

    test.runIf(supports.durable)('are there after a crash, also with segments and snapshots between them', async () => {
      const { journal, chain, open, crash } = await prepare();
      await reign(journal, chain);
      await (await journal.snapshots.create(chain.snapshotHeader())).commit();
      journal.log.append(chain.next({ restart: true }));
      await fill(journal, chain, 3, 300);
      await crash();
      const again = await open();
      await expectWhole(again, chain);
      again.log.append(chain.next({ restart: true }));
      await again.log.flush();
      await again.close();
      await expectWhole(await open(), chain);
    });
  });
}
