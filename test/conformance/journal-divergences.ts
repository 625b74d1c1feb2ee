import type { Divergence, ExactPosition, Journal, Keep } from '@evertree/core';
import { ORIGIN } from '@evertree/core';
import { describe, expect, test } from 'vitest';
import { FrameChain } from '../support/frame-chain.ts';
import type { JournalSuite } from './journal-suite.ts';
import { chunksOf, expectedFrames, fill, latin1, readAll, thrown } from './journal-suite.ts';

/** Keeps what goes, as a site that goes back does. */
function keeping(journal: Journal, keptAt: number): Keep {
  return async divergence => void (await journal.divergences.keep(divergence, keptAt));
}

/** A divergence as another site would hand it out: the frames of a chain after `base`. */
function divergenceOf(chain: FrameChain, base: ExactPosition, missing?: ExactPosition): Divergence {
  const from = (missing ?? base).revision;
  return {
    stream: chain.stream,
    base,
    last: chain.position,
    missing: missing && { base, last: missing },
    async *frames() {
      for (const frame of chain.frames) if (frame.header.base.revision >= from) yield { frame, trailer: undefined };
    },
  };
}

async function framesIn(journal: Journal, name: string) {
  const frames: { bytes: string; trailer: string | undefined }[] = [];
  for await (const { frame, trailer } of journal.divergences.read(name)) {
    frames.push({ bytes: latin1(frame.bytes), trailer: trailer && latin1(trailer) });
  }
  return frames;
}

function nameOf(chain: FrameChain, base: number): string {
  const { epoch, epochId, revision } = chain.position;
  return `${epoch}-${epochId}-${base}-${revision}`;
}

/** A snapshot of the history that goes on: it left ours at `fork`. */
async function replace(journal: Journal, chain: FrameChain, diverged: { readonly fork: ExactPosition; readonly keep: Keep }) {
  const position = { epoch: 9, epochId: '99'.repeat(8), revision: 500 };
  const writer = await journal.snapshots.create(chain.snapshotHeader(position), { replace: true, diverged });
  await writer.write(Buffer.from('the common tree'));
  return { position, commit: () => writer.commit() };
}

/** Cases of keeping what the common history does not hold. */
export function testDivergences({ supports, prepare, filled }: JournalSuite): void {
  describe('divergences', () => {
    test('keep what a rewind removes, and say what it is', async () => {
      const { journal, chain } = await filled(20);
      expect(journal.divergences.list()).toEqual([]);
      chain.next({ beginsEpoch: true, bytes: 300 });
      chain.next({ count: 3, bytes: 700 });
      for (const [index, frame] of chain.frames.slice(20).entries())
        journal.log.append(frame, index === 1 ? Buffer.from('note') : undefined);
      const base = chain.frames[17]!.header.last;
      await journal.log.rewind(base, keeping(journal, 7_000));
      const frames = expectedFrames(chain.frames.slice(18));
      frames.at(-1)!.trailer = 'note';
      expect(journal.log.last).toEqual(base);
      const [kept] = journal.divergences.list();
      expect(kept).toMatchObject({
        name: nameOf(chain, 18),
        base,
        last: chain.position,
        missing: undefined,
        commits: 5,
        firstTime: chain.frames[18]!.header.firstTime,
        lastTime: chain.frames.at(-1)!.header.lastTime,
        keptAt: 7_000,
        replayed: [],
      });
      expect(kept!.bytes).toBeGreaterThan(1_600);
      expect(await framesIn(journal, kept!.name)).toEqual(frames);
    });

    test('are listed in the order in which they were kept', async () => {
      const { journal, chain } = await filled(20);
      const names: string[] = [];
      for (const [revision, keptAt] of [
        [15, 1_000],
        [10, 2_000],
        [5, 3_000],
      ] as const) {
        names.push(nameOf(chain, revision));
        const position = chain.frames[revision - 1]!.header.last;
        await journal.log.rewind(position, keeping(journal, keptAt));
        chain.rewind(position);
      }
      expect(journal.divergences.list().map(({ name }) => name)).toEqual(names);
    });

    test('with the same content are one', async () => {
      const { journal, chain } = await filled(20);
      const base = chain.frames[9]!.header.last;
      await journal.log.rewind(base, keeping(journal, 1_000));
      const before = journal.divergences.list();
      expect(await journal.divergences.keep(divergenceOf(chain, base), 2_000)).toEqual(before[0]);
      expect(journal.divergences.list()).toEqual(before);
      expect(await framesIn(journal, before[0]!.name)).toEqual(expectedFrames(chain.frames.slice(10)));
    });

    test('that miss less of the same content take the place of one that misses more, and never the other way', async () => {
      const { journal } = await prepare();
      const chain = new FrameChain();
      for (let index = 0; index < 30; index++) chain.next({ bytes: 200 });
      const at = (revision: number) => chain.frames[revision - 1]!.header.last;
      const name = nameOf(chain, 5);
      for (const [missing, known] of [
        [20, 20],
        [25, 20],
        [10, 10],
        [undefined, undefined],
        [20, undefined],
      ] as const) {
        await journal.divergences.keep(divergenceOf(chain, at(5), missing && at(missing)), 1_000);
        await journal.divergences.markReplayed(name, [28]);
        const expected = {
          name,
          missing: known && { base: at(5), last: at(known) },
          commits: 30 - (known ?? 5),
          replayed: [{ from: 28, to: 28 }],
        };
        expect(journal.divergences.list()).toEqual([expect.objectContaining(expected)]);
        expect(await framesIn(journal, name)).toEqual(expectedFrames(chain.frames.slice(known ?? 5)));
      }
    });

    test('of which retention had dropped everything say so', async () => {
      const { journal } = await prepare();
      const chain = new FrameChain();
      for (let index = 0; index < 30; index++) chain.next();
      const base = chain.frames[4]!.header.last;
      const kept = await journal.divergences.keep(divergenceOf(chain, base, chain.position), 1_000);
      expect(kept).toMatchObject({ commits: 0, firstTime: undefined, lastTime: undefined, missing: { base, last: chain.position } });
      expect(await framesIn(journal, kept.name)).toEqual([]);
    });

    test('remember which of their commits were applied again', async () => {
      const { journal, chain } = await filled(20);
      await journal.log.rewind(chain.frames[9]!.header.last, keeping(journal, 1_000));
      const [{ name } = { name: '' }] = journal.divergences.list();
      const replayed = () => journal.divergences.list()[0]?.replayed;
      await journal.divergences.markReplayed(name, [13, 11]);
      expect(replayed()).toEqual([
        { from: 11, to: 11 },
        { from: 13, to: 13 },
      ]);
      await journal.divergences.markReplayed(name, [12, 13, 20]);
      expect(replayed()).toEqual([
        { from: 11, to: 13 },
        { from: 20, to: 20 },
      ]);
    });

    test('stay until they are forgotten', async () => {
      const { journal, chain } = await filled(20);
      const names: string[] = [];
      for (const revision of [15, 10]) {
        names.push(nameOf(chain, revision));
        const position = chain.frames[revision - 1]!.header.last;
        await journal.log.rewind(position, keeping(journal, 1_000));
        chain.rewind(position);
      }
      expect(await journal.divergences.forget(names[0]!)).toBe(true);
      expect(await journal.divergences.forget(names[0]!)).toBe(false);
      expect(journal.divergences.list().map(({ name }) => name)).toEqual([names[1]]);
      expect(await thrown(() => framesIn(journal, names[0]!))).toMatchObject({ code: 'NOT_FOUND', details: { name: names[0] } });
      expect(await thrown(() => journal.divergences.markReplayed(names[0]!, [12]))).toMatchObject({ code: 'NOT_FOUND' });
    });

    test('are refused once the journal is closed', async () => {
      const { journal, chain } = await filled(5);
      await journal.log.rewind(chain.frames[2]!.header.last, keeping(journal, 1_000));
      const [{ name } = { name: '' }] = journal.divergences.list();
      await journal.close();
      for (const use of [
        () => journal.divergences.keep(divergenceOf(chain, chain.frames[1]!.header.last), 1_000),
        () => journal.divergences.read(name),
        () => journal.divergences.markReplayed(name, [4]),
        () => journal.divergences.forget(name),
      ]) {
        expect(await thrown(use)).toMatchObject({ code: 'CLOSED' });
      }
    });

    test('of a rewind that cut nothing may be kept, and the rewind is repeated', async () => {
      const { journal, chain } = await filled(20);
      const base = chain.frames[9]!.header.last;
      const half: Keep = async divergence => {
        await journal.divergences.keep(divergence, 1_000);
        throw new Error('and then it stopped');
      };
      await expect(journal.log.rewind(base, half)).rejects.toThrow('and then it stopped');
      expect([journal.log.last, journal.divergences.list().length]).toEqual([chain.position, 1]);
      await journal.log.rewind(base, keeping(journal, 2_000));
      expect([journal.log.last, journal.divergences.list()]).toEqual([base, [expect.objectContaining({ keptAt: 1_000 })]]);
    });

    test.runIf(supports.durable)('survive the process, with what is recorded of them', async () => {
      const { journal, chain, open, crash } = await filled(20);
      const [first, second] = [15, 10].map(revision => nameOf(chain, revision).replace(/-\d+$/, `-${revision === 15 ? 20 : 15}`));
      await journal.log.rewind(chain.frames[14]!.header.last, keeping(journal, 1_000));
      await journal.log.rewind(chain.frames[9]!.header.last, keeping(journal, 2_000));
      await journal.divergences.markReplayed(second!, [12]);
      const before = journal.divergences.list();
      expect(before.map(({ name }) => name)).toEqual([first, second]);
      await crash();
      const again = await open();
      expect(again.divergences.list()).toEqual(before);
      expect(await framesIn(again, first!)).toEqual(expectedFrames(chain.frames.slice(15)));
      expect(await framesIn(again, second!)).toEqual(expectedFrames(chain.frames.slice(10, 15)));
      await again.divergences.forget(first!);
      await again.close();
      expect((await open()).divergences.list()).toEqual(before.slice(1));
    });
  });

  describe('a snapshot that takes the place of a diverged history', () => {
    test.each([12, 0])('hands out what it does not hold before it does so: the fork is %i', async revision => {
      const { journal, chain } = await filled(20);
      const fork = chain.frames[revision - 1]?.header.last ?? ORIGIN;
      const { position, commit } = await replace(journal, chain, {
        fork,
        keep: async divergence => {
          expect(journal.log.last).toEqual(chain.position);
          expect(await thrown(() => journal.log.append(chain.next()))).toMatchObject({ code: 'HISTORY_MISMATCH' });
          chain.rewind(chain.frames[19]!.header.last);
          await journal.divergences.keep(divergence, 1_000);
        },
      });
      await commit();
      expect([journal.log.base, journal.log.last]).toEqual([position, position]);
      const [kept] = journal.divergences.list();
      expect(kept).toMatchObject({ base: fork, last: chain.position, missing: undefined, commits: revision === 0 ? 19 : 8 });
      expect(await framesIn(journal, kept!.name)).toEqual(expectedFrames(chain.frames.slice(revision)));
    });

    test('says what the history lacked: the fork is before its base', async () => {
      const { journal, chain } = await filled(10);
      const base = chain.frames[7]!.header.last;
      const writer = await journal.snapshots.create(chain.snapshotHeader(base), { replace: true });
      await writer.commit();
      chain.rewind(base);
      await fill(journal, chain, 6, 200);
      const fork = chain.frames[3]!.header.last;
      const { position, commit } = await replace(journal, chain, { fork, keep: keeping(journal, 1_000) });
      await commit();
      expect(journal.log.last).toEqual(position);
      const [kept] = journal.divergences.list();
      expect(kept).toMatchObject({ base: fork, last: chain.position, missing: { base: fork, last: base }, commits: 6 });
      expect(await framesIn(journal, kept!.name)).toEqual(expectedFrames(chain.frames.slice(8)));
    });

    test('keeps nothing of a history that it holds all of', async () => {
      const { journal, chain } = await filled(20);
      const { position, commit } = await replace(journal, chain, { fork: chain.position, keep: keeping(journal, 1_000) });
      await commit();
      expect([journal.log.last, journal.divergences.list()]).toEqual([position, []]);
    });

    test('changes nothing if what it does not hold could not be kept', async () => {
      const { journal, chain } = await filled(20);
      const fork = chain.frames[9]!.header.last;
      const { commit } = await replace(journal, chain, { fork, keep: () => Promise.reject(new Error('no room')) });
      await expect(commit()).rejects.toThrow('no room');
      expect(journal.log.last).toEqual(chain.position);
      await fill(journal, chain, 3, 100);
      expect(await readAll(journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
    });

    test('hands out all that is here if no frame of the history ends at the fork', async () => {
      for (const stranger of [
        { epochId: undefined, revision: 91 },
        { epochId: undefined, revision: 29 },
        { epochId: 'ee'.repeat(8), revision: 30 },
      ]) {
        const { journal, chain } = await prepare();
        for (let index = 0; index < 30; index++) journal.log.append(chain.next({ count: 3 }));
        await journal.log.flush();
        const fork = { ...chain.position, revision: stranger.revision, epochId: stranger.epochId ?? chain.position.epochId };
        const { position, commit } = await replace(journal, chain, { fork, keep: keeping(journal, 1_000) });
        await commit();
        expect(journal.log.last).toEqual(position);
        const [kept] = journal.divergences.list();
        expect(kept).toMatchObject({ base: ORIGIN, last: chain.position, missing: undefined });
        expect(await framesIn(journal, kept!.name)).toEqual(expectedFrames(chain.frames));
      }
    });

    test.runIf(supports.durable && supports.snapshots)('stays, and so does what was kept', async () => {
      const { journal, chain, open, crash } = await filled(20);
      const fork = chain.frames[9]!.header.last;
      const { position, commit } = await replace(journal, chain, { fork, keep: keeping(journal, 1_000) });
      await commit();
      await crash();
      const again = await open();
      expect([again.log.base, again.log.last]).toEqual([position, position]);
      expect(await chunksOf(await again.snapshots.newest())).toEqual(['the common tree']);
      expect(await framesIn(again, nameOf(chain, 10))).toEqual(expectedFrames(chain.frames.slice(10)));
    });
  });
}
