import { EvertreeError, type Batch, type Frame, type Store } from '@evertree/core';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { diskStore, framesOf, memoryStore } from '../support/stores.ts';

const COMMAND = 'c-1';
const name = (number: number, letter: string) => ({ number, id: letter.repeat(16) });

function code(action: () => unknown): unknown {
  try {
    action();
    return 'nothing was thrown';
  } catch (error) {
    return error instanceof EvertreeError ? error.code : error;
  }
}

/** Frames of `from` that `to` lacks. */
async function feed(from: Store, to: Store): Promise<void> {
  await from.flush();
  for (const frame of await framesOf(from.journal)) if (frame.header.base.revision >= to.position.revision) to.applyFrame(frame);
}

/** A primary `a` with a commit, and a secondary `b` that follows it. */
async function pair(options: { readonly disk?: FaultDisk } = {}): Promise<{ a: Store; b: Store; diskA: FaultDisk; diskB: FaultDisk }> {
  const [diskA, diskB] = [new FaultDisk(), options.disk ?? new FaultDisk()];
  const { store: a } = await diskStore(diskA, { site: 'a' });
  const { store: b } = await diskStore(diskB, { site: 'b', role: 'secondary' });
  a.put('/a', 1);
  await feed(a, b);
  await b.flush();
  return { a, b, diskA, diskB };
}

async function handOver(store: Store): Promise<void> {
  store.hold(COMMAND);
  await store.handOver('b', COMMAND);
}

/** The exact end of each frame. */
function ids(frames: readonly Frame[]): string[] {
  return frames.map(({ header: { epochId, last } }) => `${epochId}-${last.revision}`);
}

/** `a` wrote on after `b` promoted itself. */
async function diverged(): Promise<{ a: Store; b: Store; diskA: FaultDisk; fork: Store['position'] }> {
  const { a, b, diskA } = await pair();
  const fork = a.position;
  b.beginEpoch(name(2, 'b'), 'promote');
  b.put('/b', 1);
  await b.flush();
  a.put('/a', 2, { author: 'me' });
  a.cut();
  a.put('/only/a', 3);
  await a.flush();
  await a.fence(name(2, 'b'), true);
  return { a, b, diskA, fork };
}

describe('a start of a primary', () => {
  it('adds nothing to the history until it writes; then an id of its own comes before the first commit', async () => {
    const disk = new FaultDisk();
    const { store } = await diskStore(disk);
    store.put('/a', 1);
    await store.close();
    const { store: idle } = await diskStore(disk);
    expect(idle.position.revision).toBe(2);
    await idle.close();
    await using again = (await diskStore(disk)).store;
    const before = again.position;
    const batches: Batch[] = [];
    using _ = again.listen('/a', batch => void batches.push(batch));
    expect(again.put('/a', 2, { ifPosition: before }).position).toEqual({ epoch: 1, revision: 4 });
    again.put('/a', 3);
    await again.flush();
    const [first, restart] = again.epochs;
    expect(again.epochs.length).toBe(2);
    expect(restart).toMatchObject({ number: 1, site: 'disk', base: before, reason: 'restart' });
    expect(restart!.id).not.toBe(first!.id);
    const frames = await framesOf(again.journal);
    expect(frames.slice(2).map(({ header: { beginsEpoch, count, digest } }) => [beginsEpoch, count, digest])).toEqual([
      [true, 1, frames[1]!.header.digest],
      [false, 2, again.digest],
    ]);
    await vi.waitFor(() => expect(batches.length).toBeGreaterThan(1));
    expect(batches.flatMap(({ changes }) => changes.map(({ after }) => after))).toEqual([1, 2, 3]);
  });

  it('never writes a position that a copy of its directory wrote', async () => {
    const disk = new FaultDisk();
    const { store } = await diskStore(disk);
    store.put('/a', 1);
    await store.flush();
    const copy = disk.image();
    for (const value of [2, 3]) await store.put('/a', value).durable;
    await using restored = (await diskStore(copy)).store;
    restored.put('/a', 4);
    await restored.flush();
    const [there, here] = [ids(await framesOf(store.journal)), ids(await framesOf(restored.journal))];
    expect(here.slice(2).filter(id => there.includes(id))).toEqual([]);
    await store.close();
  });
});

describe('a hold', () => {
  it('lets no write begin, commits nothing, and when it is released writes go on here', async () => {
    await using store = (await memoryStore()).store;
    store.put('/a', 1);
    const { position } = store;
    const hold = store.hold(COMMAND);
    expect([code(() => store.put('/a', 2)), store.state, store.standing, store.position]).toEqual([
      'SWITCHING',
      'refusing',
      'primary',
      position,
    ]);
    expect(code(() => store.hold('c-2'))).toBe('SWITCHING');
    expect(code(() => store.beginEpoch(name(2, 'b'), 'test'))).toBe('SWITCHING');
    const waiting = store.writable();
    hold.release();
    hold.release();
    await expect(waiting).resolves.toEqual({ kind: 'here' });
    await expect(store.writable()).resolves.toEqual({ kind: 'here' });
    expect([store.put('/a', 3).position.revision, store.state]).toEqual([position.revision + 1, 'open']);
  });

  it('that is over does not release the next one', async () => {
    await using store = (await memoryStore()).store;
    const first = store.hold('c-1');
    first.release();
    store.hold('c-2');
    first.release();
    expect(code(() => store.put('/a', 1))).toBe('SWITCHING');
  });

  it('ends for those who wait with the store', async () => {
    const { store } = await memoryStore();
    store.hold(COMMAND);
    const waiting = store.writable();
    await store.close();
    await expect(waiting).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('is not to be had at a secondary, whose history tells where writes go', async () => {
    await using primary = (await memoryStore({ site: 'a' })).store;
    primary.put('/a', 1);
    await using store = (await memoryStore({ site: 'b', role: 'secondary' })).store;
    await feed(primary, store);
    expect(code(() => store.hold(COMMAND))).toBe('NOT_PRIMARY');
    const epoch = { number: 1, id: primary.position.epochId };
    const told = { kind: 'elsewhere', site: 'a', address: undefined, epoch, position: primary.position };
    await expect(store.writable()).resolves.toEqual(told);
    store.settle({ ...told, kind: 'elsewhere', address: 'http://a:8181' });
    await expect(store.writable()).resolves.toMatchObject({ address: 'http://a:8181' });
    expect(() => store.put('/a', 1)).toThrow(
      expect.objectContaining({ code: 'NOT_PRIMARY', details: expect.objectContaining({ primary: 'a', epoch }) }),
    );
  });
});

describe('a handover', () => {
  it('comes after all that was committed, which is answered with success, and ends the epoch also after a restart', async () => {
    const { a, b, diskA } = await pair();
    const commit = a.put('/a', 2);
    const { position } = a;
    const { durable } = commit;
    a.hold(COMMAND);
    const handedOver = await a.handOver('b', COMMAND);
    await durable;
    await commit.durable;
    expect(handedOver).toEqual({ ...position, revision: position.revision + 1 });
    expect([a.standing, a.role, a.state, code(() => a.put('/a', 3))]).toEqual(['handing-over', 'primary', 'refusing', 'SWITCHING']);
    expect(a.epochs.at(-1)!.end).toEqual({ to: 'b', command: COMMAND });
    await expect(a.handOver('b', COMMAND)).rejects.toMatchObject({ code: 'WRONG_ROLE' });
    await feed(a, b);
    expect([b.epochs, b.standing]).toEqual([a.epochs, 'secondary']);
    await a.saveSnapshot();
    await a.close();
    await using again = (await diskStore(diskA, { site: 'a' })).store;
    expect([again.standing, again.position, again.epochs, code(() => again.put('/a', 3))]).toEqual([
      'handing-over',
      handedOver,
      b.epochs,
      'SWITCHING',
    ]);
    await b.close();
  });

  it('needs a hold, and a primary', async () => {
    const { a, b } = await pair();
    for (const store of [a, b]) await expect(store.handOver('b', COMMAND)).rejects.toMatchObject({ code: 'WRONG_ROLE' });
    expect(a.standing).toBe('primary');
    await a.close();
    await b.close();
  });

  it('and the epoch that follows in the same turn are made stable by one sync', async () => {
    const writes: string[] = [];
    const disk = new FaultDisk({ turn: async operation => void writes.push(operation) });
    const { a, b, diskB } = await pair({ disk });
    await handOver(a);
    await b.prepareToLead();
    expect(b.standing).toBe('secondary');
    const handover = (await framesOf(a.journal)).at(-1)!;
    writes.length = 0;
    b.applyFrame(handover);
    b.beginEpoch(name(2, 'b'), 'switchover');
    await b.flush();
    expect(writes.filter(operation => operation === 'sync')).toEqual(['sync']);
    expect([b.standing, b.role, b.put('/b', 1).position]).toEqual([
      'primary',
      'primary',
      { epoch: 2, revision: handover.header.last.revision + 2 },
    ]);
    await b.flush();
    const [first, second] = (await framesOf(b.journal)).slice(-3).map(({ header }) => header);
    expect([first!.endsEpoch, second!.beginsEpoch, second!.base]).toEqual([true, true, handover.header.last]);
    await b.close();
    await using again = (await diskStore(diskB, { site: 'b' })).store;
    expect([again.standing, again.epochs.at(-1)!.site]).toEqual(['primary', 'b']);
    await a.close();
  });

  it('is followed here by the epoch of the site that it names, and writers learn where that is', async () => {
    const { a, b } = await pair();
    await handOver(a);
    await feed(a, b);
    b.beginEpoch(name(2, 'b'), 'switchover');
    b.put('/b', 1);
    const waiting = a.writable();
    await a.fence(name(2, 'b'), true);
    expect(a.standing).toBe('fenced');
    const destination = { kind: 'elsewhere', site: 'b', address: 'http://b:8181', epoch: name(2, 'b'), position: b.position } as const;
    a.settle(destination);
    await expect(waiting).resolves.toEqual(destination);
    await expect(a.writable()).resolves.toEqual(destination);
    await a.follow();
    await feed(b, a);
    expect([a.standing, a.role, a.digest, a.position, a.epochs]).toEqual(['secondary', 'secondary', b.digest, b.position, b.epochs]);
    await a.close();
    await b.close();
  });

  it('that is withdrawn leaves the next number to the site that it names; writes go on here', async () => {
    const { a, b } = await pair();
    a.hold(COMMAND);
    await a.handOver('b', COMMAND);
    const waiting = a.writable();
    expect(code(() => a.beginEpoch(name(2, 'a'), 'test'))).toBe('HISTORY_MISMATCH');
    a.beginEpoch(name(3, 'a'), 'withdrawal');
    await expect(waiting).resolves.toEqual({ kind: 'here' });
    a.put('/a', 2);
    await feed(a, b);
    expect([a.standing, b.get('/a'), b.epochs]).toEqual(['primary', 2, a.epochs]);
    expect(a.epochs.map(({ number, end }) => [number, end?.command])).toEqual([
      [1, COMMAND],
      [3, undefined],
    ]);
    await a.close();
    await b.close();
  });

  it('or a promotion that is given up at once leaves a site that follows, also after a restart', async () => {
    const { a, b, diskB } = await pair();
    b.beginEpoch(name(2, 'b'), 'promote');
    await b.follow();
    await b.close();
    await using again = (await diskStore(diskB, { site: 'b' })).store;
    expect([again.standing, again.epochs.at(-1)!.site]).toEqual(['secondary', 'b']);
    await a.close();
  });

  it('is followed by nothing of its own epoch: such frames are refused, and the tree stays', async () => {
    const { a, b, diskA } = await pair();
    await a.flush();
    const image = diskA.image();
    await handOver(a);
    await feed(a, b);
    await using other = (await diskStore(image, { site: 'a' })).store;
    const { position, digest } = b;
    other.put('/a', 2);
    other.put('/a', 3);
    await other.flush();
    const [restart, frame] = (await framesOf(other.journal))
      .slice(-2)
      .map(({ header, bytes }) => ({ header: { ...header, base: position }, bytes }));
    expect(code(() => b.applyFrame(restart!))).toBe('HISTORY_MISMATCH');
    expect(code(() => b.applyFrame({ ...frame!, header: { ...frame!.header, beginsEpoch: false } }))).toBe('HISTORY_MISMATCH');
    expect([b.position, b.digest]).toEqual([position, digest]);
    await a.close();
    await b.close();
  });

  it('lets those go on who wait for acknowledgements of what came before, until the site follows and hears of none', async () => {
    const { a, b } = await pair();
    const commit = a.put('/a', 2);
    const { position } = a;
    const [one, two] = [commit.acknowledged(1), commit.acknowledged(2)];
    await handOver(a);
    await a.fence(name(2, 'b'), true);
    a.acknowledge('b', position);
    await expect(one).resolves.toBe(1);
    const outcome = expect(two).rejects.toMatchObject({
      code: 'ACKNOWLEDGEMENT_TIMEOUT',
      details: { position: { epoch: 1, revision: position.revision }, acknowledged: 1, secondaries: 2, outcome: 'unknown' },
    });
    await a.follow();
    await outcome;
    await a.close();
    await b.close();
  });
});

describe('a fence', () => {
  it('answers no commit with success that became durable, or was acknowledged, while it stood', async () => {
    const { a, diskA } = await pair();
    const release = diskA.hold('sync', /evj$/);
    const commit = a.put('/a', 2);
    const { position } = a;
    const outcomes = Promise.allSettled([commit.durable, commit.acknowledged(1)]);
    a.cut();
    const fencing = a.fence(name(2, 'b'), true);
    expect([a.standing, code(() => a.put('/a', 3))]).toEqual(['fenced', 'FENCED']);
    release();
    a.acknowledge('c', position);
    await fencing;
    await a.flush();
    const fenced = { code: 'FENCED', details: { position, last: position, fencedBy: name(2, 'b') } };
    expect(await outcomes).toMatchObject([
      { status: 'rejected', reason: fenced },
      { status: 'rejected', reason: fenced },
    ]);
    await expect(commit.durable).rejects.toMatchObject(fenced);
    await expect(commit.acknowledged(1)).rejects.toMatchObject(fenced);
    await a.close();
    await using again = (await diskStore(diskA, { site: 'a' })).store;
    expect([again.standing, code(() => again.put('/a', 3))]).toEqual(['fenced', 'FENCED']);
  });

  it.each([true, false])('stands in memory before a full disk records it (begun: %s), and never falls', async begun => {
    const { a, diskA } = await pair();
    using full = diskA.fail({ operation: 'write', path: /site/, code: 'ENOSPC' });
    const fencing = a.fence(name(5, 'b'), begun);
    expect([a.standing, code(() => a.put('/a', 3))]).toEqual(['fenced', 'FENCED']);
    await expect(fencing).rejects.toMatchObject({ code: 'ENOSPC' });
    full[Symbol.dispose]();
    await a.fence(name(4, 'c'), true);
    expect([a.standing, code(() => a.put('/a', 3))]).toEqual(['fenced', 'FENCED']);
    expect(code(() => a.beginEpoch(name(5, 'c'), 'test'))).toBe('HISTORY_MISMATCH');
    a.beginEpoch(name(6, 'a'), 'promote');
    expect(a.standing).toBe('primary');
    await a.close();
  });

  it('that is a promise and could not be recorded was not given, where there are no writes to refuse', async () => {
    const { a, b, diskB } = await pair();
    using full = diskB.fail({ operation: 'write', path: /site/, code: 'ENOSPC' });
    const promised = b.fence(name(2, 'c'), false);
    expect(b.fencedBy).toMatchObject(name(2, 'c'));
    await expect(promised).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(b.fencedBy).toBeUndefined();
    await expect(b.fence(name(2, 'd'), true)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(b.fencedBy).toMatchObject(name(2, 'd'));
    full[Symbol.dispose]();
    await a.close();
    await b.close();
  });

  it('that finds a handover not yet stable leaves it in doubt, with all that came before it', async () => {
    const { a, diskA } = await pair();
    const release = diskA.hold('sync', /evj$/);
    const commit = a.put('/a', 2);
    const { position } = a;
    a.hold(COMMAND);
    const handover = expect(a.handOver('b', COMMAND)).rejects.toMatchObject({ code: 'FENCED' });
    const durable = expect(commit.durable).rejects.toMatchObject({ code: 'FENCED', details: { position } });
    const fencing = a.fence(name(2, 'c'), false);
    release();
    await Promise.all([fencing, handover, durable]);
    expect([a.standing, a.stable.position]).toEqual(['handing-over', a.position]);
    await expect(commit.durable).rejects.toMatchObject({ code: 'FENCED', details: { position } });
    a.beginEpoch(name(4, 'a'), 'promote');
    await expect(commit.durable).resolves.toBeUndefined();
    await a.close();
  });

  it('of an epoch that is not above its own changes nothing', async () => {
    const { a } = await pair();
    await a.fence({ number: 1, id: a.epochs[0]!.id }, true);
    expect([a.standing, a.put('/a', 2).changed]).toEqual(['primary', true]);
    await a.close();
  });
});

describe('a site that stepped down', () => {
  it('says why until it follows another, whose epoch then says enough', async () => {
    const { a, b } = await pair();
    b.beginEpoch(name(2, 'b'), 'promote');
    await a.follow();
    a.refuseWrites(new EvertreeError('FENCED', 'a test asked for it'));
    expect([a.standing, a.state, code(() => a.put('/a', 2))]).toEqual(['secondary', 'refusing', 'FENCED']);
    await feed(b, a);
    expect([a.state, code(() => a.put('/a', 2))]).toEqual(['open', 'NOT_PRIMARY']);
    a.refuseWrites(new EvertreeError('FENCED', 'a late link told of it again'));
    expect([a.state, code(() => a.put('/a', 2))]).toEqual(['open', 'NOT_PRIMARY']);
    await a.close();
    await b.close();
  });
});

describe('going back to a fork', () => {
  it('keeps what lies behind it, is one step for readers and listeners, and then the winner is followed', async () => {
    const { a, b, fork, diskA } = await diverged();
    const batches: Batch[] = [];
    using listening = a.listen('', batch => void batches.push(batch));
    await vi.waitFor(() => expect(batches.length).toBe(1));
    using pinned = a.snapshot();
    const lost = a.position;
    const kept = await a.rewind(fork);
    expect([a.position, a.get(''), a.epochs, a.standing]).toEqual([fork, { a: 1 }, b.epochs.slice(0, 1), 'fenced']);
    expect([pinned.position, pinned.get('')]).toEqual([lost, { a: 2, only: { a: 3 } }]);
    expect(a.journal.divergences.list()).toMatchObject([{ name: kept, base: fork, last: lost, commits: 2, authors: ['me'] }]);
    await vi.waitFor(() => expect(batches.length).toBe(2));
    expect(batches[1]).toMatchObject({ from: lost, position: fork });
    await a.follow();
    await feed(b, a);
    expect([a.digest, a.position, a.epochs, a.standing]).toEqual([b.digest, b.position, b.epochs, 'secondary']);
    listening[Symbol.dispose]();
    await a.close();
    await using again = (await diskStore(diskA, { site: 'a' })).store;
    expect([again.digest, again.position, again.epochs, again.standing]).toEqual([b.digest, b.position, b.epochs, 'secondary']);
    await b.close();
  });

  it('rejects with both positions those who wait for what lies behind it', async () => {
    const { a, b } = await pair();
    const fork = a.position;
    await a.follow();
    await expect(a.rewind(fork)).resolves.toBeUndefined();
    b.beginEpoch(name(2, 'b'), 'promote');
    const commit = b.put('/b', 1);
    const lost = b.position;
    await b.flush();
    const outcome = expect(commit.acknowledged(1)).rejects.toMatchObject({ code: 'FENCED', details: { position: lost, last: fork } });
    await b.follow();
    await b.rewind(fork);
    await outcome;
    await expect(commit.durable).rejects.toMatchObject({ code: 'FENCED', details: { position: lost, last: fork } });
    await a.close();
    await b.close();
  });

  it('is refused at a primary, and where no frame ends; nothing changed then', async () => {
    const { a, b, fork } = await diverged();
    const { position, digest } = a;
    await expect(b.rewind(fork)).rejects.toMatchObject({ code: 'WRONG_ROLE' });
    await expect(a.rewind({ ...fork, epochId: 'e'.repeat(16) })).rejects.toMatchObject({ code: 'HISTORY_MISMATCH' });
    await expect(a.rewind({ ...fork, revision: 99 })).rejects.toMatchObject({ code: 'HISTORY_MISMATCH' });
    expect([a.position, a.digest, a.journal.divergences.list()]).toEqual([position, digest, []]);
    await a.close();
    await b.close();
  });

  it('lets nothing else move the site before it is over', async () => {
    const { a, b, fork, diskA } = await diverged();
    const release = diskA.hold('sync', /divergences/);
    const { position } = a;
    const returned = a.rewind(fork);
    const busy = expect.objectContaining({ code: 'SWITCHING' }) as Error;
    expect(() => a.beginEpoch(name(9, 'a'), 'promote')).toThrow(busy);
    await expect(a.rewind(fork)).rejects.toThrow(busy);
    using snapshot = b.snapshot();
    await expect(a.receiveSnapshot(snapshot.header, fork)).rejects.toThrow(busy);
    expect(a.position).toEqual(position);
    release();
    await returned;
    a.beginEpoch(name(9, 'a'), 'promote');
    await a.flush();
    expect([a.standing, a.position.epoch, a.stable.position]).toEqual(['primary', 9, a.position]);
    await a.close();
    await b.close();
  });

  it('lets nothing else move the site while a snapshot takes the place of its history, and tells when it may go on', async () => {
    const { a, b, diskB } = await pair();
    a.put('/a', 2);
    await handOver(a);
    using snapshot = a.snapshot();
    const receiver = await b.receiveSnapshot(snapshot.header);
    for (const chunk of snapshot.chunks()) await receiver.add(chunk);
    const release = diskB.hold('syncDirectory', /journal/);
    const finished = receiver.finish();
    await vi.waitFor(() => expect(b.position).toEqual(a.position));
    expect(code(() => b.beginEpoch(name(2, 'b'), 'switchover'))).toBe('SWITCHING');
    expect([b.position, b.standing]).toEqual([a.position, 'secondary']);
    const told: Store['standing'][] = [];
    using _ = b.on('advanced', () => {
      if (told.push(b.standing) === 1) b.beginEpoch(name(2, 'b'), 'switchover');
    });
    release();
    await finished;
    await b.flush();
    expect([told[0], b.standing, b.stable.position.epoch]).toEqual(['secondary', 'primary', 2]);
    await a.close();
    await b.close();
  });

  it('does not begin where the divergence could not be kept', async () => {
    const { a, b, fork, diskA } = await diverged();
    const { position, digest } = a;
    const told: string[] = [];
    for (const event of ['advanced', 'stable'] as const) a.on(event, () => void told.push(event));
    using full = diskA.fail({ operation: 'write', path: /divergences/, code: 'ENOSPC' });
    await expect(a.rewind(fork)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    expect([a.position, a.digest, told]).toEqual([position, digest, []]);
    full[Symbol.dispose]();
    await a.rewind(fork);
    expect(told).toEqual(['advanced', 'stable']);
    expect([a.position, a.get('')]).toEqual([fork, { a: 1 }]);
    await a.close();
    await b.close();
  });

  it('gives the tree as it was there, from whatever history, with or without a snapshot before it', async () => {
    const value = fc.oneof(fc.integer(), fc.constant({ x: 1 }), fc.constant([1, 2]));
    const step = fc.tuple(fc.constantFrom('/a', '/b', '/a/c', '/d/e/f', '/d', ''), fc.option(value, { nil: undefined }), fc.boolean());
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), fc.nat(), fc.boolean(), async (steps, at, saves) => {
        const { store } = await diskStore(new FaultDisk());
        const places = [];
        for (const [index, [path, put, cuts]] of steps.entries()) {
          const made = code(() => (put === undefined ? store.delete(path) : store.put(path, put)));
          expect(['nothing was thrown', 'PATH_INVALID', 'VALUE_INVALID']).toContain(made);
          if (cuts) store.cut();
          if (saves && index === steps.length >> 1) await store.saveSnapshot();
          if (cuts && store.position.revision > 0)
            places.push({ position: store.position, digest: store.digest, value: store.get(''), epochs: store.epochs });
        }
        await store.follow();
        const place = places[at % Math.max(1, places.length)];
        if (place !== undefined) {
          await store.rewind(place.position);
          expect({ position: store.position, digest: store.digest, value: store.get(''), epochs: store.epochs }).toEqual(place);
        }
        await store.close();
      }),
      { numRuns: 40 },
    );
  });
});
