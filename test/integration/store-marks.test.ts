import {
  decodeFrame,
  EvertreeError,
  MARK_TEXTS_LIMIT,
  MARKS_LIMIT,
  ORIGIN,
  sealFrame,
  type Batch,
  type Frame,
  type Mark,
  type Store,
} from '@evertree/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { ManualClock } from '../support/host.ts';
import { diskStore, framesOf, memoryStore } from '../support/stores.ts';

function failure(action: () => unknown): unknown {
  try {
    action();
    return 'nothing was thrown';
  } catch (error) {
    return error instanceof EvertreeError ? { code: error.code, message: error.message, details: error.details } : error;
  }
}

/** Frames of `from` that `to` lacks. */
async function feed(from: Store, to: Store): Promise<void> {
  await from.flush();
  for (const frame of await framesOf(from.journal)) if (frame.header.base.revision >= to.position.revision) to.applyFrame(frame);
  await to.flush();
}

/** The last frame of a store, with another body, sealed anew. */
function withBody(frame: Frame, body: object): Frame {
  const bytes = Buffer.from(JSON.stringify(body));
  return sealFrame({ ...frame.header, codec: 'json', bodyLength: bytes.length }, bytes);
}

describe('a mark', () => {
  it('names the present state by a commit of its own, which changes nothing in the tree', async () => {
    const { store } = await diskStore(new FaultDisk());
    store.put('/a', 1);
    const batches: Batch[] = [];
    using _ = store.listen('', batch => void batches.push(batch));
    const { digest } = store;
    const commit = store.mark('before upgrade', { author: 'ann', message: 'we upgrade' });
    expect([commit.changed, commit.position, store.digest]).toEqual([true, { epoch: 1, revision: 3 }, digest]);
    await commit.durable;
    const [, last] = store.marks;
    expect(last).toBeUndefined();
    expect(store.marks).toEqual([
      {
        name: 'before upgrade',
        position: store.position,
        markedAt: store.position,
        time: store.marks[0]!.time,
        author: 'ann',
        message: 'we upgrade',
      },
    ]);
    expect(batches.map(({ position }) => position.revision)).toEqual([2]);
    const frame = (await framesOf(store.journal)).at(-1)!;
    expect(frame.header).toMatchObject({ isMark: true, count: 1, base: { revision: 2 }, digest });
    await store.close();
  });

  it('lends its time to no later commit and to no later mark', async () => {
    const clock = new ManualClock();
    const { store } = await memoryStore({ clock });
    store.mark('first');
    clock.advance(1_000);
    store.mark('second');
    clock.advance(1_000);
    store.put('/a', 1);
    await store.flush();
    const times = (await framesOf(store.journal)).map(frame => frame.header.lastTime);
    expect(times).toEqual([0, 0, 1_000, 2_000]);
    await store.close();
  });

  it('names an earlier state of any epoch, exactly, also the empty tree before the first commit', async () => {
    const disk = new FaultDisk();
    const { store: first } = await diskStore(disk);
    const { position } = first.put('/a', 1);
    const exact = first.position;
    await first.close();
    await using store = (await diskStore(disk)).store;
    store.mark('earlier', { at: position });
    store.mark('empty', { at: ORIGIN });
    expect(store.epochs.map(({ reason }) => reason)).toEqual(['first commit', 'restart']);
    expect(store.marks.map(({ name, position: named, markedAt }) => [name, named, markedAt.revision])).toEqual([
      ['earlier', exact, 4],
      ['empty', ORIGIN, 5],
    ]);
  });

  it('can be the first commit of a stream', async () => {
    await using store = (await memoryStore()).store;
    store.mark('empty');
    expect([store.position.revision, store.marks[0]!.position]).toEqual([2, store.position]);
  });

  it('comes after what was committed in the same turn, and before what is committed when it is told of', async () => {
    await using store = (await memoryStore()).store;
    let told = 0;
    using _ = store.on('advanced', () => {
      if (told++ === 0) store.put('/later', true);
    });
    store.put('/a', 1);
    store.put('/b', 2);
    expect(store.mark('both').position.revision).toBe(4);
    store.cut();
    const frames = await framesOf(store.journal);
    expect(frames.map(({ header: { last, isMark } }) => [last.revision, isMark])).toEqual([
      [1, false],
      [3, false],
      [4, true],
      [5, false],
    ]);
  });

  it('of a name that is taken is refused, and says where; with `move` it moves, and that is reported', async () => {
    const { store, reports } = await memoryStore();
    store.mark('m', { message: 'first' });
    const [mark] = store.marks;
    store.put('/a', 1);
    const { position } = store;
    expect(failure(() => store.mark('m'))).toEqual({
      code: 'MARK_EXISTS',
      message: 'there is a mark "m" already: it names 1-2 since 1-2; move it, or choose another name',
      details: { name: 'm', position: mark!.position, markedAt: mark!.markedAt },
    });
    expect([store.position, store.marks]).toEqual([position, [mark]]);
    store.mark('other');
    store.mark('m', { move: true });
    expect(store.marks.map(({ name, position: named, message }) => [name, named.revision, message])).toEqual([
      ['other', 4, undefined],
      ['m', 5, undefined],
    ]);
    expect(reports.filter(({ event }) => event === 'mark-moved').map(({ message }) => message)).toEqual([
      'the mark "m" was moved: it names 1-5, and named 1-2 before',
    ]);
    await store.close();
  });

  it('is taken back by a commit, too; one that is not there is not found', async () => {
    await using store = (await memoryStore()).store;
    store.mark('m');
    expect(store.unmark('m', { author: 'ann' }).position.revision).toBe(3);
    expect(store.marks).toEqual([]);
    store.cut();
    const last = decodeFrame((await framesOf(store.journal)).at(-1)!);
    expect(last).toMatchObject({ note: { mark: { name: 'm', back: 0, removed: true } }, changeSets: [{ author: 'ann' }] });
    expect(failure(() => store.unmark('m'))).toMatchObject({ code: 'NOT_FOUND', message: 'there is no mark "m"' });
    expect(store.position.revision).toBe(3);
  });

  it.each(['a', 'before-upgrade', 'état', 'Ω 3/4', 'x'.repeat(255), 'now', '名前'])('can be called %s', async name => {
    await using store = (await memoryStore()).store;
    store.mark(name);
    expect(store.marks[0]!.name).toBe(name);
  });

  it.each<[string, unknown]>([
    ['nothing', ''],
    ['a position', '4-1201'],
    ['a time', '2026-11-27T10:00:00Z'],
    ['a relative time', '-10m'],
    ['a relative time in words', '10m ago'],
    ['what begins with no letter', '🌲'],
    ['what has 256 characters', 'x'.repeat(256)],
    ['what has a line break', 'a\nb'],
    ['what ends in a space', 'a '],
    ['what has a lone surrogate', 'a\ud800'],
    ['no text', 7],
  ])("can't be called %s", async (_, name) => {
    await using store = (await memoryStore()).store;
    store.put('/a', 1);
    expect(failure(() => store.mark(name as string))).toMatchObject({
      code: 'VALUE_INVALID',
      message: expect.stringContaining('name') as string,
    });
    expect(store.position.revision).toBe(2);
  });

  it.each([
    ['beyond its end', { epoch: 1, revision: 3 }, /no position 1-3: it ends at 1-2/],
    ['in an epoch that it does not have', { epoch: 2, revision: 2 }, /no position 2-2: revision 2 is of epoch 1/],
    ['that is none', { epoch: 1, revision: -1 }, /no position 1--1/],
  ])('of a position %s is refused', async (_, at, message) => {
    await using store = (await memoryStore()).store;
    store.put('/a', 1);
    expect(failure(() => store.mark('m', { at }))).toMatchObject({
      code: 'HISTORY_MISMATCH',
      message: expect.stringMatching(message) as string,
    });
    expect([store.position.revision, store.marks]).toEqual([2, []]);
  });

  it('is taken only if the tree stands where the caller thinks, with an author and a message that can be kept', async () => {
    await using store = (await memoryStore()).store;
    store.put('/a', 1);
    const ifPosition = { epoch: 1, revision: 1 };
    expect(failure(() => store.mark('m', { ifPosition }))).toMatchObject({ code: 'POSITION_MISMATCH' });
    expect(failure(() => store.mark('m', { message: 'x'.repeat(64 * 1024 + 1) }))).toMatchObject({ code: 'TOO_LARGE' });
    expect(failure(() => store.unmark('m', { ifPosition }))).toMatchObject({ code: 'POSITION_MISMATCH' });
    expect(store.mark('m', { ifPosition: store.position }).position.revision).toBe(3);
  });

  it('is refused beyond 4,096, by name; one of them can still be moved, and another come in the place of one', async () => {
    await using store = (await memoryStore()).store;
    for (let index = 0; index < MARKS_LIMIT; index++) store.mark(`m${index}`);
    expect(failure(() => store.mark('one too many'))).toMatchObject({
      code: 'TOO_LARGE',
      message: 'this history has 4096 marks, the most that it may have; remove one that is not needed any more',
    });
    store.mark('m7', { move: true });
    expect([store.marks.length, store.marks.at(-1)!.name]).toEqual([MARKS_LIMIT, 'm7']);
    store.unmark('m0');
    store.mark('one more');
    expect(store.marks.length).toBe(MARKS_LIMIT);
  });

  it('is refused when all texts of the marks are too long together', async () => {
    await using store = (await memoryStore()).store;
    const message = 'x'.repeat(64 * 1024 - 1);
    for (let index = 0; index < MARK_TEXTS_LIMIT / (64 * 1024); index++) store.mark(String.fromCodePoint(97 + index), { message });
    expect(failure(() => store.mark('another', { message: 'no room' }))).toMatchObject({ code: 'TOO_LARGE' });
    store.mark('a', { move: true });
    store.mark('another', { message: 'room' });
    expect(store.marks.length).toBe(MARK_TEXTS_LIMIT / (64 * 1024) + 1);
  });

  it('is taken where commits are, and nowhere else', async () => {
    const { store: a } = await diskStore(new FaultDisk(), { site: 'a' });
    const { store: b } = await diskStore(new FaultDisk(), { site: 'b', role: 'secondary' });
    a.mark('m');
    await feed(a, b);
    expect(failure(() => b.mark('n'))).toMatchObject({ code: 'NOT_PRIMARY' });
    expect(failure(() => b.unmark('m'))).toMatchObject({ code: 'NOT_PRIMARY' });
    const hold = a.hold('c-1');
    expect(failure(() => a.mark('n'))).toMatchObject({ code: 'SWITCHING' });
    hold.release();
    expect(failure(() => a.transact(() => a.mark('n')))).toMatchObject({ code: 'TRANSACTION_INVALID' });
    await a.fence({ number: 2, id: 'f'.repeat(16) }, true);
    expect(failure(() => a.mark('n'))).toMatchObject({ code: 'FENCED' });
    expect(a.marks).toEqual(b.marks);
    await a.close();
    expect(failure(() => a.mark('n'))).toMatchObject({ code: 'CLOSED' });
    await b.close();
  });
});

describe('a mark frame', () => {
  it('reaches a secondary as any frame: the marks are the same there, and the commit is acknowledged', async () => {
    const { store: a } = await diskStore(new FaultDisk(), { site: 'a' });
    const { store: b } = await diskStore(new FaultDisk(), { site: 'b', role: 'secondary' });
    a.put('/a', 1);
    const commit = a.mark('m', { message: 'why' });
    const acknowledged = commit.acknowledged(1);
    using _ = b.listen('/a', () => undefined);
    await feed(a, b);
    a.acknowledge('b', b.stable.position);
    expect(await acknowledged).toBe(1);
    expect([b.marks, b.position, b.digest]).toEqual([a.marks, a.position, a.digest]);
    await a.close();
    await b.close();
  });

  it('behind a fork goes with it: the marks are as they were, and the divergence names it, also after a restart', async () => {
    const disk = new FaultDisk();
    const { store: a } = await diskStore(disk, { site: 'a' });
    a.mark('before');
    await a.flush();
    const { position: fork, marks } = a;
    a.put('/a', 1);
    a.mark('lost');
    a.unmark('before');
    await a.flush();
    await a.fence({ number: 2, id: 'f'.repeat(16) }, true);
    await a.follow();
    await a.rewind(fork);
    expect(a.marks).toEqual(marks);
    expect(a.journal.divergences.list()).toMatchObject([{ commits: 1, paths: ['/a'], marks: ['lost'] }]);
    await a.close();
    await using again = (await diskStore(disk, { site: 'a' })).store;
    expect([again.marks, again.journal.divergences.list()[0]?.marks]).toEqual([marks, ['lost']]);
  });

  it('that follows a handover is refused as any frame of the epoch that ended', async () => {
    const { store: a } = await diskStore(new FaultDisk(), { site: 'a' });
    const { store: b } = await diskStore(new FaultDisk(), { site: 'b', role: 'secondary' });
    a.put('/a', 1);
    await feed(a, b);
    a.mark('m');
    await a.flush();
    const mark = (await framesOf(a.journal)).at(-1)!;
    const { position: base } = a;
    a.hold('c-1');
    await a.handOver('b', 'c-1');
    await feed(a, b);
    const { position, digest, marks } = b;
    const late = { bytes: mark.bytes, header: { ...mark.header, base: position, last: { ...position, revision: position.revision + 1 } } };
    expect(failure(() => b.applyFrame(late))).toMatchObject({
      code: 'HISTORY_MISMATCH',
      message: expect.stringContaining('only a new epoch') as string,
    });
    expect(failure(() => b.applyFrame(mark))).toMatchObject({ code: 'HISTORY_MISMATCH' });
    expect([b.position, b.digest, b.marks]).toEqual([position, digest, marks]);
    expect(base.revision).toBe(position.revision - 1);
    await a.close();
    await b.close();
  });

  const change = { time: 1, operations: [] };
  it.each<[string, object]>([
    ['of a name that is none', { mark: { name: '1-2', back: 0, removed: false }, changes: [change] }],
    ['of a state before the history', { mark: { name: 'm', back: 4, removed: false }, changes: [change] }],
    ['with operations', { mark: { name: 'm', back: 0, removed: false }, changes: [{ ...change, operations: [['put', '/a', 2]] }] }],
    ['without a note', { changes: [change] }],
  ])('%s is refused, and changes nothing', async (_, body) => {
    const { store: a } = await diskStore(new FaultDisk(), { site: 'a' });
    const { store: b } = await diskStore(new FaultDisk(), { site: 'b', role: 'secondary' });
    a.put('/a', 1);
    await feed(a, b);
    a.mark('m');
    await a.flush();
    const { position, digest } = b;
    const frame = withBody((await framesOf(a.journal)).at(-1)!, body);
    expect(failure(() => b.applyFrame(frame))).toMatchObject({ code: 'FORMAT_INVALID' });
    expect([b.position, b.digest, b.marks]).toEqual([position, digest, []]);
    await feed(a, b);
    expect(b.marks).toEqual(a.marks);
    await a.close();
    await b.close();
  });
});

/** What was marked, and when: all that the marks at a position follow from. */
interface Entry {
  readonly revision: number;
  readonly name: string;
  /** Undefined: the mark was taken back. */
  readonly mark: Mark | undefined;
}

/** The marks at a revision, from the list of all that happened. */
function table(entries: readonly Entry[], revision: number): Mark[] {
  const marks = new Map<string, Mark>();
  for (const entry of entries) {
    if (entry.revision > revision) break;
    marks.delete(entry.name);
    if (entry.mark !== undefined) marks.set(entry.name, entry.mark);
  }
  return [...marks.values()];
}

type Step =
  | { readonly do: 'put' | 'restart' | 'snapshot' | 'feed' | 'copy' | 'promote' }
  | { readonly do: 'mark'; readonly name: string; readonly back: number | undefined; readonly message: string | undefined }
  | { readonly do: 'unmark'; readonly name: string }
  | { readonly do: 'rewind'; readonly back: number };

const markName = fc.constantFrom('a', 'b', 'c', 'ключ');
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('put' as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('mark' as const),
      name: markName,
      back: fc.option(fc.nat(12), { nil: undefined }),
      message: fc.option(fc.string({ unit: 'grapheme', maxLength: 4 }), { nil: undefined }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('unmark' as const), name: markName }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('restart' as const, 'snapshot' as const, 'feed' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('copy' as const, 'promote' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('rewind' as const), back: fc.nat(8) }) },
);

/** A primary and a secondary, with a list of all that the primary's history ever marked. */
class MarkedPair {
  entries: Entry[] = [];
  readonly #encoding: 'binary' | 'json';
  #disks = { primary: new FaultDisk(), secondary: new FaultDisk() };
  #names = { primary: 'a', secondary: 'b' };
  #value = 0;
  #epoch = 1;
  primary!: Store;
  secondary!: Store;

  constructor(encoding: 'binary' | 'json') {
    this.#encoding = encoding;
  }

  async open(): Promise<void> {
    const options = { encoding: this.#encoding, journalOptions: { retentionRewindMs: 0 } };
    this.primary = (await diskStore(this.#disks.primary, { ...options, site: this.#names.primary })).store;
    this.secondary = (await diskStore(this.#disks.secondary, { ...options, site: this.#names.secondary, role: 'secondary' })).store;
  }

  async take(taken: Step): Promise<void> {
    const { primary, secondary } = this;
    switch (taken.do) {
      case 'put':
        primary.put('/n', this.#value++);
        return;
      case 'mark':
        return this.#mark(taken);
      case 'unmark': {
        if (!primary.marks.some(({ name }) => name === taken.name)) return;
        primary.unmark(taken.name);
        this.entries.push({ revision: primary.position.revision, name: taken.name, mark: undefined });
        return;
      }
      case 'restart':
        await this.close();
        return this.open();
      case 'snapshot':
        await primary.saveSnapshot();
        await secondary.saveSnapshot();
        return;
      case 'feed':
        return this.feed();
      case 'copy':
        return this.#copy();
      case 'rewind':
        return this.#rewind(taken.back);
      case 'promote':
        return this.#promote();
    }
  }

  /** The secondary gets what it lacks: frames, or a full copy if the primary's journal begins later. */
  async feed(): Promise<void> {
    const { primary, secondary } = this;
    await primary.flush();
    if (primary.journal.log.base.revision > secondary.position.revision) return this.#copy();
    return feed(primary, secondary);
  }

  /** Both sites have the marks that the list gives for where they stand. */
  check(): void {
    for (const { marks, position } of [this.primary, this.secondary]) expect(marks).toEqual(table(this.entries, position.revision));
  }

  async close(): Promise<void> {
    await this.primary.close();
    await this.secondary.close();
  }

  #mark({ name, back, message }: Step & { readonly do: 'mark' }): void {
    const { primary } = this;
    const named = back === undefined ? undefined : Math.max(0, primary.position.revision - back);
    const epoch = primary.epochs.findLast(({ base }) => base.revision < (named ?? 0));
    const exact = named === undefined ? undefined : named === 0 ? ORIGIN : { epoch: epoch!.number, epochId: epoch!.id, revision: named };
    primary.mark(name, { move: true, ...(exact === undefined ? {} : { at: exact }), ...(message === undefined ? {} : { message }) });
    const { position: markedAt } = primary;
    const { time } = primary.marks.at(-1)!;
    const mark = { name, position: exact ?? markedAt, markedAt, time, ...(message === undefined ? {} : { message }) };
    this.entries.push({ revision: markedAt.revision, name, mark });
  }

  /** A full copy. */
  async #copy(): Promise<void> {
    if (this.primary.position.revision === 0) return;
    await this.primary.flush();
    using snapshot = this.primary.snapshot();
    const receiver = await this.secondary.receiveSnapshot(snapshot.header);
    for (const chunk of snapshot.chunks()) await receiver.add(chunk);
    await receiver.finish();
  }

  /** The secondary goes back by so many frames, as far as it can. */
  async #rewind(back: number): Promise<void> {
    await this.secondary.flush();
    const ends = (await framesOf(this.secondary.journal)).map(({ header }) => header.last);
    const position = ends[Math.max(0, ends.length - 1 - back)];
    if (position !== undefined) await this.secondary.rewind(position);
  }

  /** The secondary begins an epoch where it stands; the former primary goes back to the fork and follows it. */
  async #promote(): Promise<void> {
    const { primary: old, secondary: next } = this;
    const fork = next.position;
    if (fork.revision === 0) return;
    const ends = (await framesOf(old.journal)).map(({ header }) => header.last.revision);
    await old.flush();
    if (!ends.includes(fork.revision)) return;
    const epoch = { number: ++this.#epoch, id: String(this.#epoch).padStart(16, 'e') };
    next.beginEpoch(epoch, 'promotion');
    this.entries = this.entries.filter(({ revision }) => revision <= fork.revision);
    await next.flush();
    await old.fence(epoch, true);
    await old.follow();
    await old.rewind(fork);
    [this.primary, this.secondary] = [next, old];
    this.#disks = { primary: this.#disks.secondary, secondary: this.#disks.primary };
    this.#names = { primary: this.#names.secondary, secondary: this.#names.primary };
  }
}

describe('the marks of a history', () => {
  it.each(['binary', 'json'] as const)(
    'are what was marked up to where a site stands: over restarts, rewinds, full copies and promotions, with %s frames',
    async encoding => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async steps => {
          const pair = new MarkedPair(encoding);
          await pair.open();
          for (const taken of steps) {
            await pair.take(taken);
            pair.check();
          }
          await pair.feed();
          pair.check();
          await pair.close();
          await pair.open();
          pair.check();
          await pair.close();
        }),
        { numRuns: 150 },
      );
    },
  );
});
