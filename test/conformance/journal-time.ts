import { ORIGIN } from '@evertree/core';
import { describe, expect, test } from 'vitest';
import { type JournalSuite, fill, save } from './journal-suite.ts';

/** Cases of finding by time, of finding a snapshot, and of telling which segments are sealed. */
export function testTime({ supports, prepare, filled }: JournalSuite): void {
  describe('findByTime', () => {
    test('gives the last frame whose first change set is not after the time', async () => {
      const { journal, chain } = await prepare();
      for (let index = 0; index < 60; index++) {
        journal.log.append(chain.next({ count: 1 + (index % 3), bytes: 300 }));
        chain.time += index % 4;
      }
      await journal.log.flush();
      for (let time = 990; time <= chain.time + 2; time++) {
        const expected = chain.frames.findLast(frame => frame.header.firstTime <= time)?.header;
        expect(await journal.log.findByTime(time), `at ${time}`).toEqual(expected);
      }
    });

    test('gives the last such frame of the present history if an epoch begins at an earlier time', async () => {
      const { journal, chain } = await prepare();
      for (let index = 0; index < 90; index++) {
        // The clock of each new writer is behind.
        if (index % 20 === 0) chain.time -= 13;
        journal.log.append(chain.next({ bytes: 200, beginsEpoch: index % 20 === 0 }));
      }
      await journal.log.flush();
      for (let time = 980; time <= 1_100; time++) {
        const expected = chain.frames.findLast(frame => frame.header.firstTime <= time)?.header;
        expect(await journal.log.findByTime(time), `at ${time}`).toEqual(expected);
      }
    });

    test('finds nothing in a journal without frames, and nothing before the first frame', async () => {
      const { journal, chain } = await prepare();
      expect(await journal.log.findByTime(Infinity)).toBe(undefined);
      await fill(journal, chain, 3, 10);
      expect(await journal.log.findByTime(999)).toBe(undefined);
    });

    test.runIf(supports.durable)('finds the same after it was opened again', async () => {
      const { journal, chain, open } = await filled(60);
      await journal.close();
      const again = await open();
      for (const frame of chain.frames) expect(await again.log.findByTime(frame.header.firstTime)).toEqual(frame.header);
    });
  });

  describe.runIf(supports.snapshots)('the newest snapshot at or before a position', () => {
    test('is the one that a reader of that moment begins with', async () => {
      const { journal, chain, open } = await prepare();
      const saved: number[] = [];
      for (let round = 0; round < 4; round++) {
        await fill(journal, chain, 5, 300);
        await save(journal, chain, [`at ${chain.position.revision}`]);
        saved.push(chain.position.revision);
      }
      await journal.log.flush();
      if (supports.settlesAtClose) await journal.close();
      const again = supports.settlesAtClose ? await open() : journal;
      for (const { header } of chain.frames) {
        const found = await again.snapshots.newest(header.last);
        expect(found?.header.position.revision).toBe(saved.findLast(revision => revision <= header.last.revision));
      }
      for (const { position, digest, time, bytes } of again.snapshots.list) {
        expect(await again.snapshots.newest(position)).toMatchObject({ header: { position, digest, time }, bytes });
      }
      expect(again.snapshots.list.map(({ position }) => position.revision)).toEqual(saved);
      expect(await again.snapshots.newest(ORIGIN)).toBe(undefined);
      expect((await again.snapshots.newest())?.header.position).toEqual(chain.position);
    });
  });
}
