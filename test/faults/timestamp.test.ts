import { covers, type Role, type Store } from '@evertree/core';
import { cleanCopy, CopyLeases, forwardCopy, type Timestamp } from '@evertree/history';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CopyingTool, type Instant } from '../support/copying-tool.ts';
import { dieAtEachStep } from '../support/deaths.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { ManualClock, systemClock, systemRandom } from '../support/host.ts';
import { commit, filesOf, flip, isRefusal, recovered, SMALL, verify } from '../support/offline-site.ts';
import { Simulation } from '../support/simulation.ts';
import { diskStore } from '../support/stores.ts';

/** A site that was copied while it worked. */
interface CopiedWork {
  readonly disk: FaultDisk;
  readonly first: Timestamp;
  /** The error of the second timestamp, if the copy is no backup. */
  readonly second: Timestamp | Error;
  /** The files as they were at one instant after the other, between the two timestamps. */
  readonly instants: readonly Instant[];
}

interface WorkOptions {
  /** That of retention. */
  readonly maxBytes?: number;
  readonly role?: Role;
}

function clean(disk: FaultDisk, first: Timestamp, force = false) {
  return cleanCopy({ disk, first, force });
}

function forward(disk: FaultDisk, second: Timestamp, site?: string) {
  return forwardCopy({ disk, clock: systemClock, random: systemRandom, second, ...(site === undefined ? {} : { site }) });
}

/** Commits in frames of one or several, snapshots, retention; a group is in flight at many instants. */
async function work(seed: number, { maxBytes = 1_000_000, role = 'primary' }: WorkOptions = {}): Promise<CopiedWork> {
  const random = new Simulation(seed);
  const disk = new FaultDisk();
  const { store } = await diskStore(disk, {
    role,
    site: 'berlin',
    journalOptions: { ...SMALL, retentionRewindMs: 0, retentionMaxMs: 0, retentionMaxBytes: maxBytes },
  });
  const feed = role === 'primary' ? store : (await diskStore(new FaultDisk(), { site: 'paris' })).store;
  using copies = new CopyLeases(store);
  const rounds = async (count: number, look: () => void) => {
    for (let round = 0; round < count; round++) {
      for (let index = random.below(4); index >= 0; index--) {
        feed.put(['devices', `r${random.below(9)}`], { mtu: random.below(1_000), text: 'ü🌳'.repeat(random.below(60)) });
        if (random.below(3) > 0) feed.cut();
      }
      if (feed !== store) await follow(store, feed);
      if (random.below(5) === 0) await store.saveSnapshot();
      for (let turn = random.below(4); turn >= 0; turn--) {
        await new Promise(resolve => void setImmediate(resolve));
        look();
      }
    }
    await store.flush();
  };
  await rounds(15, () => undefined);
  const instants: Instant[] = [];
  const look = () => void instants.push(new Map(disk.files.map(path => [path, disk.bytes(path)])));
  const first = await copies.begin();
  look();
  await rounds(30, look);
  look();
  const second = await copies.end(first).catch((error: unknown) => error as Error);
  await store.close();
  if (feed !== store) await feed.close();
  return { disk, first, second, instants };
}

/** A secondary takes what its primary has. */
async function follow(store: Store, primary: Store): Promise<void> {
  await primary.flush();
  const reader = primary.journal.log.read(store.position);
  for (let stored = await reader.next(); stored !== undefined; stored = await reader.next()) store.applyFrame(stored.frame);
  await reader.close();
}

function copyOf({ disk, instants }: Pick<CopiedWork, 'disk' | 'instants'>, tool: number): FaultDisk {
  return new CopyingTool(instants, new Simulation(tool)).copy(disk);
}

async function workedOut(seed: number, options?: WorkOptions): Promise<Omit<CopiedWork, 'second'> & { readonly second: Timestamp }> {
  const { second, ...worked } = await work(seed, options);
  if (second instanceof Error) throw second;
  return { ...worked, second };
}

/** Opens a forwarded copy, and lets it go on. */
async function expectGoesOn(disk: FaultDisk, first: Timestamp, second: Timestamp): Promise<void> {
  const store = await recovered(disk);
  expect([store.digest, store.role, store.position.revision]).toEqual([first.digest, 'primary', first.position.revision + 1]);
  expect(store.position.epoch).toBeGreaterThan(second.epoch.number);
  expect(covers(store.lineage, first.position)).toBe(true);
  await commit(store, 0, 5);
  await store.close();
  expect(await verify(disk)).toMatchObject({ damageCount: 0, last: store.position, digest: store.digest });
}

describe('a copy between two timestamps, file by file and in any order, while the site works and retention runs,', () => {
  test('is cleaned to exactly the commits up to the first one, starts only when forwarded, and goes on above all', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.array(fc.integer(), { minLength: 6, maxLength: 6 }),
        fc.constantFrom('primary' as const, 'secondary' as const),
        async (seed, tools, role) => {
          const worked = await workedOut(seed, { role });
          const { first, second } = worked;
          for (const tool of tools) {
            const copy = copyOf(worked, tool);
            const cleaned = await clean(copy, first);
            expect(cleaned).toMatchObject({ position: first.position, digest: first.digest, already: false });
            await expect(recovered(copy)).rejects.toMatchObject({ code: 'UNFINISHED' });
            expect(await clean(copy, first)).toMatchObject({ already: true, digest: first.digest });
            expect(await verify(copy)).toMatchObject({ damageCount: 0, last: first.position, digest: first.digest });
            const forwarded = await forward(copy, second);
            expect(forwarded).toMatchObject({ base: first.position, already: false });
            expect(await forward(copy, second)).toMatchObject({ already: true, position: forwarded.position });
            expect(await clean(copy, first)).toMatchObject({ already: true });
            await expectGoesOn(copy, first, second);
          }
        },
      ),
      { numRuns: 12 },
    );
  });

  test('is no backup if retention passed it: the second timestamp fails, or the copy holds all', async () => {
    let lost = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const worked = await work(seed, { maxBytes: 10_000 + seed * 4_000 });
      const { first, second } = worked;
      if (second instanceof Error) {
        expect(isRefusal(second, 'COMPACTED'), String(second)).toBe(true);
        lost++;
        continue;
      }
      for (let tool = 0; tool < 6; tool++) expect(await clean(copyOf(worked, tool), first)).toMatchObject({ digest: first.digest });
    }
    expect([lost > 0, lost < 12]).toEqual([true, true]);
  });

  test('that is damaged is refused unchanged, or holds the commits nevertheless', async () => {
    const worked = await workedOut(7);
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.nat(), fc.nat(), async (tool, file, at) => {
        const copy = copyOf(worked, tool);
        const files = [...filesOf(copy, '.evj'), ...filesOf(copy, '.evs')];
        const path = files[file % files.length]!;
        const { length } = copy.bytes(path);
        if (file % 5 === 0) copy.erase(path);
        else if (length > 0) flip(copy, path, at % length);
        const before = new Map(copy.files.map(name => [name, copy.bytes(name).toString('latin1')]));
        try {
          expect(await clean(copy, worked.first)).toMatchObject({ digest: worked.first.digest });
          const { damages, ...verified } = await verify(copy);
          expect(verified).toMatchObject({ last: worked.first.position, digest: worked.first.digest });
          // A seal tells of its segment's records: the next start writes it again.
          expect(damages.filter(({ problem }) => problem !== LOST_SEAL)).toEqual([]);
        } catch (error) {
          if (!isRefusal(error, 'DAMAGED')) throw error;
          refused++;
          expect(new Map(copy.files.map(name => [name, copy.bytes(name).toString('latin1')]))).toEqual(before);
        }
      }),
      { numRuns: 150 },
    );
    expect(refused).toBeGreaterThan(10);
  });
});

/** What a verification says of a seal of which the first bytes are wrong. */
const LOST_SEAL = 'its seal is damaged; no commit is lost by that, and the next start writes it again';

/** Instants of a disk while something runs. */
async function watched(disk: FaultDisk, running: Promise<unknown>): Promise<Instant[]> {
  const instants: Instant[] = [];
  const progress = { done: false };
  void running.finally(() => (progress.done = true)).catch(() => undefined);
  do {
    instants.push(new Map(disk.files.map(path => [path, disk.bytes(path)])));
    await new Promise(resolve => void setImmediate(resolve));
  } while (!progress.done);
  await running;
  return instants;
}

describe('a copy that is made while roles change', () => {
  test('and the history is cut back to somewhere behind the first timestamp, is cleaned all the same', async () => {
    const disk = new FaultDisk();
    const { store } = await diskStore(disk, { site: 'berlin', journalOptions: SMALL });
    await commit(store, 0, 12);
    await store.saveSnapshot();
    await commit(store, 12, 20);
    using copies = new CopyLeases(store);
    const first = await copies.begin();
    await commit(store, 20, 26);
    const fork = store.position;
    const { store: winner } = await diskStore(disk.image(), { site: 'berlin', journalOptions: SMALL });
    await commit(store, 26, 40);
    await commit(winner, 100, 120);
    const fallen = async () => {
      await store.fence({ number: winner.position.epoch, id: winner.position.epochId }, true);
      await store.follow();
      await store.rewind(fork);
      await follow(store, winner);
      await store.flush();
    };
    const instants = await watched(disk, fallen());
    const second = await copies.end(first);
    await store.close();
    await winner.close();
    for (let tool = 0; tool < 60; tool++) {
      const copy = copyOf({ disk, instants }, tool);
      expect(await clean(copy, first), `tool ${tool}`).toMatchObject({ position: first.position, digest: first.digest });
      await forward(copy, second);
      await expectGoesOn(copy, first, second);
    }
  });

  test('and the site dies and starts again, is good, for the lease lives on', async () => {
    for (let seed = 1; seed <= 8; seed++) {
      const before = new FaultDisk();
      const { store } = await diskStore(before, { site: 'berlin', journalOptions: { ...SMALL, sync: 'fdatasync', retentionMaxMs: 0 } });
      await commit(store, 0, 20);
      const copies = new CopyLeases(store);
      const first = await copies.begin();
      const early = await watched(before, commit(store, 20, 24));
      for (let index = 0; index < 4; index++) store.put(['in flight', String(index)], 'x'.repeat(500));
      store.cut();
      const chance = new Simulation(seed);
      const disk = seed % 2 === 0 ? before.crash() : before.powerLoss(() => chance.fraction());
      copies[Symbol.dispose]();
      const again = await recovered(disk);
      using later = new CopyLeases(again);
      const instants = [...early, ...(await watched(disk, commit(again, 30, 40)))];
      await again.saveSnapshot();
      instants.push(...(await watched(disk, commit(again, 40, 44))));
      const second = await later.end(first);
      await again.close();
      for (let tool = 0; tool < 8; tool++) {
        const copy = new CopyingTool(instants, new Simulation(tool)).copy(disk);
        expect(await clean(copy, first), `seed ${seed}, tool ${tool}`).toMatchObject({ digest: first.digest });
        await forward(copy, second);
        await expectGoesOn(copy, first, second);
      }
    }
  });

  test('and a full copy of another site replaces the history, is no backup', async () => {
    const { store: primary } = await diskStore(new FaultDisk(), { site: 'paris', journalOptions: SMALL });
    await commit(primary, 0, 10);
    const { store } = await diskStore(new FaultDisk(), { role: 'secondary', site: 'berlin', journalOptions: SMALL });
    await follow(store, primary);
    await store.flush();
    using copies = new CopyLeases(store);
    const first = await copies.begin();
    await commit(primary, 10, 20);
    using snapshot = primary.snapshot();
    const receiver = await store.receiveSnapshot(snapshot.header);
    for (const chunk of snapshot.chunks()) await receiver.add(chunk);
    await receiver.finish();
    await expect(copies.end(first)).rejects.toMatchObject({ code: 'COMPACTED' });
    await store.close();
    await primary.close();
  });
});

describe('cleaning and forwarding', () => {
  test('can die at any step, and be repeated; in between no site starts', async () => {
    const worked = await workedOut(11);
    const { first, second } = worked;
    await dieAtEachStep(
      async () => ({ disk: copyOf(worked, 3) }),
      async ({ disk }) => {
        await clean(disk, first);
        await forward(disk, second);
      },
      async ({ found, where }) => {
        const begun = found.files.includes('unfinished.json');
        if (begun) await expect(recovered(found.image()), where).rejects.toMatchObject({ code: 'UNFINISHED' });
        await clean(found, first);
        await forward(found, second);
        await expectGoesOn(found, first, second);
      },
    );
  });

  test('leave in between what FORMAT.md says', async () => {
    const worked = await workedOut(3);
    const copy = copyOf(worked, 1);
    await clean(copy, worked.first);
    const { stream, position, digest, lease } = worked.first;
    const unfinished = JSON.parse(copy.bytes('unfinished.json').toString()) as Record<string, unknown>;
    expect(unfinished).toMatchObject({ format: 3, work: 'timestamp', state: 'cleaned', stream, position, digest, lease, generation: 0 });
    // A snapshot may be all that stays.
    expect(
      Object.keys(unfinished)
        .filter(key => key !== 'newest')
        .toSorted(),
    ).toEqual([
      'chain',
      'commits',
      'digest',
      'epochs',
      'format',
      'generation',
      'keep',
      'lease',
      'position',
      'site',
      'state',
      'stream',
      'work',
    ]);
    expect(copy.files).not.toContain('site.json');
    expect(copy.files.filter(path => /^(?:journal|snapshots|index)\//.test(path)).toSorted()).toEqual(
      [...(unfinished['keep'] as string[])].toSorted(),
    );
    const leases = JSON.parse(copy.bytes('leases.json').toString()) as { readonly leases: readonly unknown[] };
    expect(leases.leases).toEqual([]);
  });

  test('refuse a directory that is in use, another stream, a first timestamp as the second, and another copy', async () => {
    const worked = await workedOut(5);
    const { first, second } = worked;
    const other = await workedOut(6);
    const used = copyOf(worked, 1);
    const store = await recovered(used);
    await expect(clean(used, first)).rejects.toMatchObject({ code: 'DIRECTORY_IN_USE' });
    await store.close();
    const copy = copyOf(worked, 2);
    await expect(forward(copy, second)).rejects.toMatchObject({ code: 'UNFINISHED' });
    await expect(clean(copy, other.first)).rejects.toMatchObject({ code: 'STREAM_MISMATCH' });
    await clean(copy, first);
    await expect(clean(copy, { ...first, position: { ...first.position, revision: first.position.revision - 1 } })).rejects.toMatchObject({
      code: 'HISTORY_MISMATCH',
    });
    await expect(forward(copy, other.second)).rejects.toMatchObject({ code: 'STREAM_MISMATCH' });
    await expect(forward(copy, first)).rejects.toMatchObject({ code: 'HISTORY_MISMATCH' });
    await expect(forward(copy, { ...second, lease: 'another', held: [] })).rejects.toMatchObject({ code: 'HISTORY_MISMATCH' });
    const absurd = { number: first.position.epoch + 5_000_000, id: 'ff'.repeat(8) };
    await expect(forward(copy, { ...second, epoch: absurd })).rejects.toMatchObject({ code: 'VALUE_INVALID' });
    // A timestamp of another copy proves it, too, if it says that this one was held.
    const held = [{ lease: first.lease, position: first.position }];
    expect(await forward(copy, { ...second, lease: 'another', first: null, held })).toMatchObject({ base: first.position });
  });

  test('take the snapshot of a disk only by force: it looks like the original', async () => {
    const worked = await workedOut(9);
    const snapshot = worked.disk.image();
    await expect(clean(snapshot, worked.first)).rejects.toMatchObject({ code: 'WRONG_ROLE' });
    expect(await clean(snapshot, worked.first, true)).toMatchObject({ digest: worked.first.digest });
    await forward(snapshot, worked.second);
    await expectGoesOn(snapshot, worked.first, worked.second);
  });

  test("give a secondary's copy a name of its own, or the one that is asked for", async () => {
    const worked = await workedOut(13, { role: 'secondary' });
    const copy = copyOf(worked, 1);
    await clean(copy, worked.first);
    expect((await forward(copy, worked.second)).site).toMatch(/^berlin-copy-[0-9a-f]{8}$/);
    const named = copyOf(worked, 2);
    await clean(named, worked.first);
    expect((await forward(named, worked.second, 'rome')).site).toBe('rome');
    const store = await recovered(named);
    expect([store.site, store.role]).toEqual(['rome', 'primary']);
    await store.close();
  });

  test('go above a handover, and above an epoch that the site only heard of', async () => {
    const disk = new FaultDisk();
    const { store } = await diskStore(disk, { site: 'berlin', journalOptions: SMALL });
    await commit(store, 0, 5);
    store.hold('c1');
    await store.handOver('paris', 'c1');
    await store.fence({ number: 7, id: 'ab'.repeat(8) }, false);
    using copies = new CopyLeases(store);
    const first = await copies.begin();
    const copy = disk.copy();
    const second = await copies.end(first);
    await store.close();
    expect(second.epoch.number).toBe(7);
    await clean(copy, first);
    expect((await forward(copy, second)).position.epoch).toBe(9);
    await expectGoesOn(copy, first, second);
  });
});

describe('the lease of a copy', () => {
  test('survives a restart, is renewed while the site lives, and ends after a day', async () => {
    const clock = new ManualClock();
    clock.advance(1_700_000_000_000);
    const disk = new FaultDisk();
    let store = await recovered(disk, clock);
    await commit(store, 0, 10);
    let copies = new CopyLeases(store);
    const first = await copies.begin();
    await store.close();
    clock.advance(3 * 3_600_000);
    store = await recovered(disk, clock);
    copies = new CopyLeases(store);
    await store.saveSnapshot();
    expect(await copies.end(first)).toMatchObject({ first: first.position, lease: first.lease });
    const next = await copies.begin();
    clock.advance(23 * 3_600_000);
    await store.journal.retention.apply();
    expect(copies.underWay.map(({ lease }) => lease)).toEqual([next.lease]);
    clock.advance(2 * 3_600_000);
    await store.journal.retention.apply();
    expect(copies.underWay).toEqual([]);
    await expect(copies.end(next)).rejects.toMatchObject({ code: 'COMPACTED' });
    await store.close();
  });

  test('that is lost is told to the next who asks, once', async () => {
    const disk = new FaultDisk();
    const { store } = await diskStore(disk, { journalOptions: SMALL });
    await commit(store, 0, 10);
    using copies = new CopyLeases(store);
    const first = await copies.begin();
    store.journal.leases.release('copy', first.lease);
    await expect(copies.begin()).rejects.toMatchObject({ code: 'COMPACTED', details: { lease: first.lease } });
    expect(await copies.begin()).toMatchObject({ first: null, held: [{ position: first.position }] });
    await expect(copies.end(first)).rejects.toMatchObject({ code: 'COMPACTED' });
    await store.close();
  });

  test('does not help a copy of a history that was cut back behind it', async () => {
    const disk = new FaultDisk();
    const { store } = await diskStore(disk, { journalOptions: SMALL });
    await commit(store, 0, 10);
    const back = store.position;
    await commit(store, 10, 20);
    using copies = new CopyLeases(store);
    const first = await copies.begin();
    await store.fence({ number: 2, id: 'bb'.repeat(8) }, true);
    await store.follow();
    await store.rewind(back);
    await expect(copies.end(first)).rejects.toMatchObject({ code: 'HISTORY_MISMATCH' });
    await store.close();
  });

  test('is refused to a site in memory, before the first commit, and of another stream', async () => {
    const { store } = await diskStore(new FaultDisk(), { journalOptions: SMALL });
    using copies = new CopyLeases(store);
    await expect(copies.begin()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await commit(store, 0, 2);
    const first = await copies.begin();
    await expect(copies.end({ ...first, stream: 'ab'.repeat(16) })).rejects.toMatchObject({ code: 'STREAM_MISMATCH' });
    expect(copies.release(first.lease)).toBe(true);
    await store.close();
  });
});
