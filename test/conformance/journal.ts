import type { ExactPosition, Frame, Identity } from '@evertree/core';
import { isDeepStrictEqual } from 'node:util';
import { NO_EPOCH_ID, ORIGIN, samePosition } from '@evertree/core';
import type { JournalOptions } from '@evertree/journal';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FrameChain } from '../support/frame-chain.ts';
import { systemClock } from '../support/host.ts';
import { expectErrors } from '../support/reports.ts';
import { testDivergences } from './journal-divergences.ts';
import { testEpochs } from './journal-epochs.ts';
import { testIdentity } from './journal-identity.ts';
import { testLeases } from './journal-leases.ts';
import { testRewind } from './journal-rewind.ts';
import type { JournalPlace, JournalSuite, JournalSupports, PreparedJournal } from './journal-suite.ts';
import {
  chunksOf,
  closing,
  expectedFrames,
  fill,
  identityOf,
  latin1,
  readAll,
  readFleeting,
  save,
  thrown,
  until,
} from './journal-suite.ts';
import { testTime } from './journal-time.ts';

/** The laws of core's Journal, for any implementation. */
export function testJournal(name: string, make: () => Promise<JournalPlace>, supports: JournalSupports): void {
  describe(`journal ${name}`, () => {
    let cases = 0;
    beforeEach(() => {
      cases++;
    });
    afterAll(() => {
      console.log(`journal ${name}: ${cases} cases`);
      expect(cases, 'cases that ran').toBeGreaterThan(0);
    });
    const undo: AsyncDisposable[] = [];
    afterEach(async () => {
      for (const each of undo.splice(0).toReversed()) await each[Symbol.asyncDispose]();
    });

    async function prepare(options: JournalOptions = {}, identity?: Partial<Identity>): Promise<PreparedJournal> {
      const place = await make();
      undo.push(place);
      const life = { dead: { isSo: false } };
      const open = async (again?: Partial<Identity>) => {
        const opened = await place.open(again, { segmentBytes: 8 * 1024, tailBytes: 2 * 1024, retentionRewindMs: 0, ...options });
        const { dead } = life;
        undo.push({
          [Symbol.asyncDispose]: () => opened.close().catch((error: unknown) => (dead.isSo ? undefined : Promise.reject(error))),
        });
        return opened;
      };
      const crash = async () => {
        // A process that is dead can't close in good order.
        life.dead.isSo = true;
        life.dead = { isSo: false };
        await place.crash?.();
      };
      const tear = async (bytes: number) => place.tear?.(bytes);
      return { open, crash, tear, journal: await open(identity), chain: new FrameChain() };
    }

    async function filled(frames: number, bytes = 300) {
      const prepared = await prepare();
      await fill(prepared.journal, prepared.chain, frames, bytes);
      return prepared;
    }

    const suite: JournalSuite = { supports, prepare, filled };
    testTime(suite);
    testRewind(suite);
    testDivergences(suite);
    testEpochs(suite);
    testLeases(suite);
    testIdentity(suite);
    describe('order', () => {
      test('a new journal begins and ends at the origin, and holds nothing', async () => {
        const { journal } = await prepare();
        expect([journal.log.base, journal.log.last, journal.log.stable]).toEqual([ORIGIN, ORIGIN, ORIGIN]);
        expect([journal.log.pendingBytes, journal.log.state, journal.log.failure, journal.log.durable]).toEqual([
          0,
          'open',
          undefined,
          supports.durable,
        ]);
        expect(await readAll(journal, ORIGIN)).toEqual([]);
        expect(await journal.snapshots.newest()).toBe(undefined);
      });

      test('takes frames that follow, across epochs', async () => {
        const { journal, chain } = await prepare();
        for (let index = 0; index < 10; index++) {
          journal.log.append(chain.next({ beginsEpoch: index % 4 === 0, count: 1 + (index % 3) }));
          expect(journal.log.last).toEqual(chain.position);
        }
        await journal.log.flush();
        expect(journal.log.stable).toEqual(chain.position);
        expect(journal.log.base).toEqual(ORIGIN);
      });

      const strangers: [string, (chain: FrameChain) => Frame][] = [
        ['the same again', chain => chain.frames.at(-1)!],
        ['one with a gap before it', chain => (chain.next(), chain.next())],
        ['one of before', chain => chain.frames[0]!],
        ['one of another epoch with the same revision', chain => foreignEpoch(chain).next()],
        ["an epoch's first that follows something else", chain => foreignEpoch(chain).next({ beginsEpoch: true })],
      ];
      test.each(strangers)('refuses a frame that does not follow: %s', async (_, stranger) => {
        const { journal, chain } = await filled(3);
        const { last } = journal.log;
        const frame = stranger(chain);
        const error = await thrown(() => journal.log.append(frame));
        expect(error).toMatchObject({ code: 'HISTORY_MISMATCH', details: { expected: last, found: frame.header.base } });
        expect([journal.log.last, journal.log.pendingBytes]).toEqual([last, 0]);
      });

      test('refuses a frame of another stream', async () => {
        const { journal, chain } = await filled(1);
        const other = new FrameChain('77'.repeat(16), chain.position);
        other.epochs.push(...chain.epochs);
        expect(await thrown(() => journal.log.append(other.next()))).toMatchObject({ code: 'STREAM_MISMATCH' });
      });

      test('refuses a trailer above the limit', async () => {
        const { journal, chain } = await prepare();
        expect(await thrown(() => journal.log.append(chain.next(), Buffer.alloc(64 * 1024 + 1)))).toMatchObject({ code: 'TOO_LARGE' });
        expect(journal.log.last).toEqual(ORIGIN);
      });
    });

    describe('durability', () => {
      test('flush resolves when all that was appended is stable, and progress is reported', async () => {
        const { journal, chain } = await prepare();
        const told: ExactPosition[] = [];
        using _ = journal.log.onProgress(() => void told.push(journal.log.stable));
        for (let index = 0; index < 20; index++) journal.log.append(chain.next());
        await journal.log.flush();
        expect(journal.log.stable).toEqual(chain.position);
        expect(journal.log.pendingBytes).toBe(0);
        await until(journal, () => told.at(-1)?.revision === chain.position.revision);
        expect(told.map(position => position.revision)).toEqual(told.map(position => position.revision).toSorted((a, b) => a - b));
      });

      test('stable moves over whole frames only', async () => {
        const { journal, chain } = await prepare();
        const ends = new Set<number>();
        const told: number[] = [];
        using _ = journal.log.onProgress(() => void told.push(journal.log.stable.revision));
        for (let index = 0; index < 30; index++) {
          const frame = chain.next({ count: 5, bytes: 500 });
          ends.add(frame.header.last.revision);
          journal.log.append(frame);
          if (index % 7 === 0) await journal.log.flush();
        }
        await journal.log.flush();
        await until(journal, () => told.at(-1) === chain.position.revision);
        expect(told.filter(revision => !ends.has(revision))).toEqual([]);
      });

      test('flushSync makes everything stable before it returns, in the middle of asynchronous writes too', async () => {
        const { journal, chain } = await prepare();
        for (let round = 0; round < 5; round++) {
          for (let index = 0; index < 10; index++) journal.log.append(chain.next({ bytes: 700 }));
          journal.log.flushSync();
          expect([journal.log.stable, journal.log.pendingBytes]).toEqual([chain.position, 0]);
          journal.log.append(chain.next());
          await journal.log.flush();
        }
        expect(await readAll(journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
      });

      test('listeners are called in the order of registration, until they end; one that throws stops no other', async () => {
        expectErrors('listener-threw');
        const { journal, chain } = await prepare();
        const told: string[] = [];
        using first = journal.log.onProgress(() => void told.push('first'));
        using second = journal.log.onProgress(() => {
          throw new Error('a listener that throws');
        });
        expect([first, second]).toHaveLength(2);
        const third = journal.log.onProgress(() => void told.push('third'));
        journal.log.append(chain.next());
        await until(journal, () => told.length >= 2);
        third[Symbol.dispose]();
        journal.log.append(chain.next());
        await until(journal, () => told.length >= 3);
        expect(told).toEqual(['first', 'third', 'first']);
      });
    });

    describe('reading', () => {
      test('gives the bytes that were appended, with their trailers, from any position', async () => {
        const { journal, chain } = await prepare();
        const trailers = Array.from({ length: 60 }, (_, index) => (index % 3 === 0 ? Buffer.from(`note ${index}`) : undefined));
        for (const trailer of trailers) journal.log.append(chain.next({ bytes: 10 + ((trailers.indexOf(trailer) * 37) % 900) }), trailer);
        await journal.log.flush();
        const all = expectedFrames(chain.frames).map((frame, index) => ({ ...frame, trailer: trailers[index]?.toString('latin1') }));
        for (const from of [0, 1, 17, 42, 59, 60]) {
          const position = from === 0 ? ORIGIN : chain.frames[from - 1]!.header.last;
          expect(await readAll(journal, position)).toEqual(all.slice(from));
        }
      });

      test('follows what becomes stable while it reads', async () => {
        const { journal, chain } = await filled(5);
        await using reader = closing(journal.log.read(ORIGIN));
        const seen: number[] = [];
        for (let round = 0; round < 4; round++) {
          for (let stored = await reader.next(); stored !== undefined; stored = await reader.next())
            seen.push(stored.frame.header.last.revision);
          expect(await reader.next()).toBe(undefined);
          for (let index = 0; index < 12; index++) journal.log.append(chain.next({ bytes: 400 }));
          await journal.log.flush();
        }
        expect(seen).toEqual(chain.frames.slice(0, seen.length).map(frame => frame.header.last.revision));
        expect(seen.length).toBe(5 + 3 * 12);
      });

      test('a reader may wait for frames after those that are appended and not yet stable', async () => {
        const { journal, chain } = await filled(3);
        journal.log.append(chain.next());
        await using reader = closing(journal.log.read(journal.log.last));
        const after = chain.next();
        journal.log.append(after);
        await journal.log.flush();
        expect((await reader.next())?.frame.header).toEqual(after.header);
      });

      test('refuses a position that is not in this history', async () => {
        const { journal, chain } = await prepare();
        for (let index = 0; index < 30; index++) journal.log.append(chain.next({ count: 3, bytes: 300 }));
        await journal.log.flush();
        const { epoch, epochId, revision } = chain.position;
        const strange = [
          { epoch, epochId, revision: 3 },
          { epoch, epochId, revision: revision - 1 },
          { epoch, epochId: 'ee'.repeat(8), revision: 4 },
          { epoch, epochId: 'ee'.repeat(8), revision },
          { epoch, epochId, revision: revision + 1 },
          { epoch: 0, epochId: NO_EPOCH_ID, revision: 4 },
        ];
        for (const position of strange) {
          const error = await thrown(async () => {
            await using reader = closing(journal.log.read(position));
            await reader.next();
          });
          expect(error, JSON.stringify(position)).toMatchObject({ code: 'HISTORY_MISMATCH' });
        }
      });

      test('find gives the header of the frame that ends there', async () => {
        const { journal, chain } = await prepare();
        for (let index = 0; index < 40; index++) journal.log.append(chain.next({ count: 2, bytes: 300, beginsEpoch: index % 9 === 0 }));
        await journal.log.flush();
        for (const frame of chain.frames) expect(await journal.log.find(frame.header.last)).toEqual(frame.header);
        const { epoch, epochId, revision } = chain.position;
        expect(await journal.log.find({ epoch, epochId, revision: revision - 1 })).toBe(undefined);
        expect(await journal.log.find({ epoch, epochId: 'ee'.repeat(8), revision })).toBe(undefined);
        expect(await journal.log.find({ epoch, epochId, revision: revision + 1 })).toBe(undefined);
        expect(await journal.log.find(ORIGIN)).toBe(undefined);
      });

      test.runIf(supports.durable)('a frame that is not stable is not seen', async () => {
        const { journal, chain } = await prepare();
        journal.log.append(chain.next());
        expect(await journal.log.find(chain.position)).toBe(undefined);
        await using reader = closing(journal.log.read(ORIGIN));
        expect(await reader.next()).toBe(undefined);
      });

      test('large frames', async () => {
        const { journal, chain } = await prepare();
        for (const bytes of [1, 5_000_000, 100, 1_200_000, 1]) journal.log.append(chain.next({ bytes }));
        await journal.log.flush();
        expect(await readAll(journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
      });
    });

    describe('a snapshot that begins a new history', () => {
      test('moves base, last and stable, and reading from before them is refused as compacted', async () => {
        const { journal, chain } = await filled(30);
        const old = closing(journal.log.read(ORIGIN));
        await old.next();
        const other = new FrameChain(chain.stream, { epoch: 7, epochId: '07'.repeat(8), revision: 1000 });
        const writer = await journal.snapshots.create(other.snapshotHeader(), { replace: true });
        await writer.write(Buffer.from('the tree'));
        expect(journal.log.last).toEqual(chain.position);
        await writer.commit();
        expect([journal.log.base, journal.log.last, journal.log.stable]).toEqual([other.position, other.position, other.position]);
        expect(await thrown(() => journal.log.read(chain.position))).toMatchObject({ code: 'COMPACTED' });
        expect(await thrown(() => old.next())).toMatchObject({ code: 'COMPACTED' });
        expect(await thrown(() => journal.log.append(chain.next()))).toMatchObject({ code: 'HISTORY_MISMATCH' });
        other.epochs.push({ number: 7, id: '07'.repeat(8), site: 'b', base: ORIGIN, reason: 'start', time: 0 });
        for (let index = 0; index < 20; index++) journal.log.append(other.next({ bytes: 700 }));
        await journal.log.flush();
        expect(await readAll(journal, journal.log.base)).toEqual(expectedFrames(other.frames));
        await old[Symbol.asyncDispose]();
      });

      test("moves them in one step with the caller's tree, before any listener is called", async () => {
        const { journal, chain } = await filled(30);
        const { log } = journal;
        const other = new FrameChain(chain.stream, { epoch: 7, epochId: '07'.repeat(8), revision: 1000 });
        const writer = await journal.snapshots.create(other.snapshotHeader(), { replace: true });
        await writer.write(Buffer.from('the tree'));
        /** The position of the tree, as the journal told it. */
        let position = chain.position;
        const seen: unknown[] = [];
        const look = (): void => void seen.push([log.last, log.stable].map(at => samePosition(at, position)));
        const telling = log.onProgress(look);
        const progress = { isOver: false };
        const committed = writer
          .commit(() => {
            position = other.position;
            expect([log.base, log.last, log.stable]).toEqual([position, position, position]);
            look();
          })
          .finally(() => (progress.isOver = true));
        while (!progress.isOver) {
          look();
          await Promise.resolve();
          if (seen.length % 100 === 0) await new Promise(resolve => setImmediate(resolve));
        }
        await committed;
        telling[Symbol.dispose]();
        expect(position).toEqual(other.position);
        expect(seen.filter(each => !isDeepStrictEqual(each, [true, true]))).toEqual([]);
      });

      test('may be at a position before the history that it replaces', async () => {
        const { journal, chain } = await filled(30);
        const position = chain.frames[4]!.header.last;
        const writer = await journal.snapshots.create(chain.snapshotHeader(position), { replace: true });
        await writer.commit();
        expect([journal.log.base, journal.log.last, journal.log.stable]).toEqual([position, position, position]);
      });

      test('aborted, changes nothing', async () => {
        const { journal, chain } = await filled(3);
        const writer = await journal.snapshots.create(chain.snapshotHeader({ epoch: 9, epochId: '09'.repeat(8), revision: 9 }), {
          replace: true,
        });
        await writer.write(Buffer.from('x'));
        await writer.abort();
        expect([journal.log.base, journal.log.last]).toEqual([ORIGIN, chain.position]);
        expect(await readAll(journal, ORIGIN)).toEqual(expectedFrames(chain.frames));
      });
    });

    describe('site and peers', () => {
      test('a new journal takes the identity it is given, and its role can change', async () => {
        const { journal } = await prepare({}, { site: 'b', role: 'secondary' });
        expect(identityOf(journal)).toEqual({ site: 'b', role: 'secondary' });
        await journal.identity.setRole('primary');
        expect(identityOf(journal)).toEqual({ site: 'b', role: 'primary' });
      });

      test('a journal that is given none draws a name, and is a primary', async () => {
        const { journal } = await prepare();
        expect(identityOf(journal)).toEqual({ site: expect.stringMatching(/^site-[0-9a-f]{8}$/), role: 'primary' });
      });

      test('peers are listed until they are forgotten', async () => {
        const { journal, chain } = await filled(2);
        journal.leases.hold('peer', 'b', ORIGIN);
        journal.leases.hold('peer', 'c', ORIGIN);
        journal.leases.hold('peer', 'b', chain.position);
        expect([...journal.leases.of('peer')]).toEqual([
          ['b', { position: chain.position }],
          ['c', { position: ORIGIN }],
        ]);
        expect([journal.leases.release('peer', 'c'), journal.leases.release('peer', 'c')]).toEqual([true, false]);
        expect([...journal.leases.of('peer').keys()]).toEqual(['b']);
      });
    });

    describe('closed', () => {
      test('accepts and returns nothing; closing again does nothing', async () => {
        const { journal, chain } = await filled(2);
        const reader = journal.log.read(ORIGIN);
        await journal.close();
        await journal.close();
        expect(journal.log.state).toBe('closed');
        const attempts: (() => unknown)[] = [
          () => journal.log.append(chain.next()),
          () => journal.log.flush(),
          () => journal.log.flushSync(),
          () => journal.log.read(ORIGIN),
          () => reader.next(),
          () => journal.log.find(chain.position),
          () => journal.snapshots.newest(),
          () => journal.snapshots.create(chain.snapshotHeader()),
          () => journal.identity.setRole('secondary'),
          () => journal.retention.apply(),
        ];
        for (const attempt of attempts) expect(await thrown(attempt)).toMatchObject({ code: 'CLOSED' });
        await reader.close();
      });

      test.runIf(supports.settlesAtClose)('what was appended before is stable', async () => {
        const { journal, chain } = await prepare();
        for (let index = 0; index < 20; index++) journal.log.append(chain.next({ bytes: 1000 }));
        await journal.close();
        expect(journal.log.stable).toEqual(chain.position);
      });
    });

    describe.runIf(supports.ringBytes !== undefined)('within its bytes', () => {
      test('the base moves up, and readers before it are told so', async () => {
        const { journal, chain } = await prepare();
        const bytes = Math.ceil((supports.ringBytes ?? 0) / 10);
        for (let index = 0; index < 5; index++) journal.log.append(chain.next({ bytes }));
        await using slow = closing(journal.log.read(ORIGIN));
        await slow.next();
        for (let index = 0; index < 20; index++) journal.log.append(chain.next({ bytes }));
        expect(journal.log.base.revision).toBeGreaterThan(10);
        expect(await thrown(() => slow.next())).toMatchObject({ code: 'COMPACTED', details: { base: journal.log.base } });
        expect(await readAll(journal, journal.log.base)).toEqual(expectedFrames(chain.frames.slice(journal.log.base.revision)));
      });
    });

    describe.runIf(supports.snapshots)('snapshots', () => {
      test('the newest is given back as it was written', async () => {
        const { journal, chain } = await filled(5);
        await save(journal, chain, ['one', 'two', 'three'.repeat(1000)]);
        const stored = await journal.snapshots.newest();
        expect(stored?.header).toEqual(chain.snapshotHeader());
        expect(await chunksOf(stored)).toEqual(['one', 'two', 'three'.repeat(1000)]);
        expect(stored?.bytes).toBeGreaterThan(5000);
        for (let index = 0; index < 5; index++) journal.log.append(chain.next());
        await save(journal, chain, []);
        expect((await journal.snapshots.newest())?.header.position).toEqual(chain.position);
      });

      test('one of a position that is not stable yet waits until it is', async () => {
        const { journal, chain } = await filled(2);
        journal.log.append(chain.next());
        const writer = await journal.snapshots.create(chain.snapshotHeader());
        await writer.commit();
        expect(journal.log.stable).toEqual(chain.position);
      });

      test('one that is aborted is never visible and leaves no file', async () => {
        const { journal, chain } = await filled(2);
        const before = journal.retention.storedBytes;
        const writer = await journal.snapshots.create(chain.snapshotHeader());
        await writer.write(Buffer.from('never'));
        await writer.abort();
        expect(await journal.snapshots.newest()).toBe(undefined);
        expect(journal.retention.storedBytes).toBe(before);
        expect(await thrown(() => writer.write(Buffer.from('x')))).toMatchObject({ code: 'CLOSED' });
      });

      test('one of a position that is not in this history is refused', async () => {
        const { journal, chain } = await prepare();
        for (let index = 0; index < 5; index++) journal.log.append(chain.next({ count: 4 }));
        await journal.log.flush();
        const { epoch, epochId, revision } = chain.position;
        for (const position of [
          { epoch, epochId, revision: revision + 1 },
          { epoch, epochId, revision: 7 },
          { epoch, epochId: 'ee'.repeat(8), revision },
        ]) {
          const error = await thrown(async () => {
            const writer = await journal.snapshots.create(chain.snapshotHeader(position));
            await writer.commit();
          });
          expect(error).toMatchObject({ code: 'HISTORY_MISMATCH' });
        }
        expect(await journal.snapshots.newest()).toBe(undefined);
      });

      test('one that is committed after closing is refused, and leaves no file', async () => {
        const { journal, chain, open } = await filled(3);
        const writer = await journal.snapshots.create(chain.snapshotHeader());
        await writer.write(Buffer.from('too late'));
        await journal.close();
        expect(await thrown(() => writer.commit())).toMatchObject({ code: 'CLOSED' });
        const again = await open();
        expect(await again.snapshots.newest()).toBe(undefined);
      });

      test.runIf(supports.retention)('retention drops what lies before the newest one that every listed peer has reached', async () => {
        const { journal, chain } = await filled(200);
        await save(journal, chain, ['first']);
        const middle = chain.position;
        await fill(journal, chain, 200, 300);
        await save(journal, chain, ['second']);
        journal.leases.hold('peer', 'b', middle);
        await journal.retention.apply();
        expect(journal.log.base.revision).toBeLessThanOrEqual(middle.revision);
        expect(journal.log.base.revision).toBeGreaterThan(middle.revision - 40);
        expect(await readAll(journal, middle)).toEqual(expectedFrames(chain.frames.slice(middle.revision)));
        const reader = closing(journal.log.read(journal.log.base));
        await reader.next();
        journal.leases.hold('peer', 'b', chain.position);
        await journal.retention.apply();
        expect(journal.log.base.revision).toBeGreaterThan(middle.revision);
        expect(await thrown(() => reader.next())).toMatchObject({ code: 'COMPACTED' });
        expect(await thrown(() => journal.log.read(middle))).toMatchObject({
          code: 'COMPACTED',
          details: { base: journal.log.base, position: middle },
        });
        expect((await journal.snapshots.newest())?.header.position).toEqual(chain.position);
        await reader[Symbol.asyncDispose]();
      });
    });

    test.runIf(supports.retention)('retention keeps what the site needs to go back to where it was a minute ago', async () => {
      const { journal, chain, open } = await prepare({ retentionRewindMs: 60_000 });
      chain.time = systemClock.now() - 120_000;
      await fill(journal, chain, 100, 300);
      await save(journal, chain, ['first']);
      const position = chain.position;
      chain.time = systemClock.now();
      for (const tree of ['second', 'third']) {
        await fill(journal, chain, 100, 300);
        await save(journal, chain, [tree]);
        await journal.retention.apply();
      }
      expect(journal.log.base.revision).toBeGreaterThan(0);
      await journal.close();
      const again = await open();
      await again.retention.apply();
      const further = chain.frames[position.revision + 20]!.header.last;
      await again.log.rewind(further, () => Promise.resolve());
      expect([again.log.last, await chunksOf(await again.snapshots.newest())]).toEqual([further, ['first']]);
    });

    test.runIf(supports.retention)('retention keeps a young history whole, until a snapshot of it is a minute old', async () => {
      const { journal, chain } = await prepare({ retentionRewindMs: 60_000 });
      chain.time = systemClock.now();
      await fill(journal, chain, 100, 300);
      await save(journal, chain, ['first']);
      await journal.retention.apply();
      await journal.log.rewind(chain.frames[20]!.header.last, () => Promise.resolve());
      expect([journal.log.base, journal.log.last, journal.snapshots.list]).toEqual([ORIGIN, chain.frames[20]!.header.last, []]);
    });

    describe.runIf(supports.durable)('opened again', () => {
      test('gives every frame, snapshot and peer, and its identity', async () => {
        const { open, chain, journal } = await filled(50);
        await journal.identity.setRole('secondary');
        await save(journal, chain, ['the tree']);
        for (let index = 0; index < 10; index++) journal.log.append(chain.next({ bytes: 900 }), Buffer.from('note'));
        journal.leases.hold('peer', 'b', chain.frames[3]!.header.last);
        if (!supports.settlesAtClose) await journal.log.flush();
        await journal.close();
        const again = await open();
        expect(identityOf(again)).toEqual({ site: journal.identity.site, role: 'secondary' });
        expect([again.log.base, again.log.last, again.log.stable]).toEqual([ORIGIN, chain.position, chain.position]);
        expect([...again.leases.of('peer')]).toEqual([['b', { position: chain.frames[3]!.header.last }]]);
        expect(await chunksOf(await again.snapshots.newest())).toEqual(['the tree']);
        const frames = await readAll(again, ORIGIN);
        expect(frames.map(frame => frame.bytes)).toEqual(chain.frames.map(frame => latin1(frame.bytes)));
        expect(frames.at(-1)?.trailer).toBe('note');
        expect(await readFleeting(again, ORIGIN)).toEqual(frames);
        for (const frame of chain.frames) expect(await again.log.find(frame.header.last)).toEqual(frame.header);
      });

      test('continues where it ended, again and again', async () => {
        const { open, crash, chain, journal } = await prepare();
        let current = journal;
        for (let round = 0; round < 6; round++) {
          for (let index = 0; index < 9; index++) current.log.append(chain.next({ bytes: 500 }));
          if (!supports.settlesAtClose) await current.log.flush();
          if (round % 2 === 0) await current.close();
          else {
            await current.log.flush();
            await crash();
          }
          current = await open();
          expect(current.log.last).toEqual(chain.position);
        }
        expect(await readAll(current, ORIGIN)).toEqual(expectedFrames(chain.frames));
      });

      test('a snapshot that replaced the history stays its beginning', async () => {
        const { open, crash, chain, journal } = await filled(20);
        const other = new FrameChain(chain.stream, { epoch: 7, epochId: '07'.repeat(8), revision: 5 });
        const writer = await journal.snapshots.create(other.snapshotHeader(), { replace: true });
        await writer.write(Buffer.from('another tree'));
        await writer.commit();
        await crash();
        const again = await open();
        expect([again.log.base, again.log.last]).toEqual([other.position, other.position]);
        expect(await chunksOf(await again.snapshots.newest())).toEqual(['another tree']);
      });

      test.runIf(supports.ownsPlace)('refuses another role and another name than those it was made with', async () => {
        const { open, journal } = await prepare();
        await journal.close();
        expect(await thrown(() => open({ role: 'secondary' }))).toMatchObject({ code: 'WRONG_ROLE' });
        expect(await thrown(() => open({ site: 'somebody-else' }))).toMatchObject({ code: 'CONFIGURATION_INVALID' });
      });

      test.runIf(supports.ownsPlace)('one process at a time', async () => {
        const { open, journal } = await prepare();
        expect(await thrown(() => open())).toMatchObject({ code: 'DIRECTORY_IN_USE' });
        await journal.close();
        const again = await open();
        expect(again.log.state).toBe('open');
      });
    });

    describe.runIf(supports.tearing)('its last write torn', () => {
      test.each([1, 100, 700, 2_500])('loses the frames that lost bytes (%i), and nothing else', async bytes => {
        const { open, crash, tear, chain, journal } = await filled(30, 500);
        for (let index = 0; index < 10; index++) journal.log.append(chain.next({ bytes: 500 }));
        await journal.log.flush();
        await crash();
        await tear(bytes);
        const again = await open();
        const lost = Math.ceil(bytes / (500 + 128 + 4 + 40));
        expect(again.log.last).toEqual(chain.frames.at(-lost - 1)!.header.last);
        expect(await readAll(again, ORIGIN)).toEqual(expectedFrames(chain.frames.slice(0, -lost)));
      });
    });
  });
}

function foreignEpoch(chain: FrameChain): FrameChain {
  const { epoch, revision } = chain.position;
  const foreign = new FrameChain(chain.stream, { epoch, epochId: 'ee'.repeat(8), revision });
  foreign.epochs.push({ number: epoch, id: 'ee'.repeat(8), site: 'x', base: ORIGIN, reason: 'start', time: 0 });
  return foreign;
}
