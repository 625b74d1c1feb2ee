import {
  Identities,
  readArchivedSubtree,
  Recipients,
  type Restored,
  type RestoreForecast,
  type RestoreOptions,
  restoreSite,
} from '@evertree/archive';
import { EvertreeError, type Frame, SnapshotNode, type StoredSnapshot, type Value } from '@evertree/core';
import { writeUnfinished } from '@evertree/journal/files';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ArchiveMaker, inGroups } from '../support/archive-maker.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { filesOf, recovered, stoppedSite, verify } from '../support/offline-site.ts';
import { archiveHistory, oracleHistory, type OracleState } from '../support/restorable.ts';
import { framesOf, memoryStore } from '../support/stores.ts';

const IDENTITY = 'AGE-SECRET-KEY-15EYHWXK6LNKSJJJGP3TPSNAWRLYVCKDUUFJNDV67YLZZ2HPE34LSVLEZAP';
const RECIPIENT = 'age1yx47sjfaw3m5fpefj2ukehrvmnusvgvll3lr5e5wleajev0anf5sj2fasq';
const OTHER_IDENTITY = 'AGE-SECRET-KEY-1KWYYT98MUVFWWEA88KDMSNVZX66EZZ4MT7XRG0VF9DSPLJTGJNSS8L7JQ2';

type Wish = Omit<Partial<RestoreOptions>, 'dryRun'>;

function given(target: MemoryTarget, disk: FaultDisk, wish: Wish): RestoreOptions & { readonly dryRun: false } {
  return { target, disk, clock: systemClock, random: systemRandom, segmentBytes: 3_000, ...wish, dryRun: false };
}

function restore(target: MemoryTarget, disk: FaultDisk, wish: Wish = {}): Promise<Restored> {
  return restoreSite(given(target, disk, wish));
}

function planned(target: MemoryTarget, disk: FaultDisk, wish: Wish = {}): Promise<RestoreForecast> {
  return restoreSite({ ...given(target, disk, wish), dryRun: true });
}

/** A path of something in a value, or of nothing. */
function pathIn(value: Value, chosen: number): string[] {
  const path: string[] = [];
  for (let at = value, left = chosen % 5; left > 0 && typeof at === 'object' && at !== null && !Array.isArray(at); left--) {
    const keys = Object.keys(at);
    const key = keys[chosen % (keys.length + 1)] ?? 'nothing';
    path.push(key);
    at = valueAt(at, [key]) ?? null;
  }
  return path;
}

function valueAt(value: Value, path: readonly string[]): Value | undefined {
  return path.reduce<unknown>(childAt, value) as Value | undefined;
}

function childAt(at: unknown, key: string): unknown {
  const isThere = typeof at === 'object' && at !== null && !Array.isArray(at) && Object.hasOwn(at, key);
  return isThere ? (at as Record<string, unknown>)[key] : undefined;
}

/** A whole history as a line. */
async function archiveLine(
  maker: ArchiveMaker,
  site: string,
  frames: readonly Frame[],
  snapshots: readonly StoredSnapshot[],
): Promise<void> {
  const line = maker.line(site);
  for (const group of inGroups(frames, 3)) await line.stretch(group);
  for (const snapshot of snapshots) await line.image(snapshot);
}

/** The directory opens as a site that holds this state, and nothing in it is damaged. */
async function expectSite(disk: FaultDisk, state: OracleState, restored: Restored): Promise<void> {
  const { damageCount, last, digest, unproven } = { unproven: 0, ...(await verify(disk)) };
  expect([damageCount, digest, unproven]).toEqual([0, state.digest, 0]);
  expect(last).toEqual(restored.position);
  const store = await recovered(disk.image());
  expect([store.get(''), store.digest, store.site, store.role]).toEqual([state.value, state.digest, restored.site, restored.role]);
  const { base, number, reason } = store.lineage.epochs.at(-1)!;
  if (restored.role === 'primary') expect([base, number, reason]).toEqual([state.position, restored.plan.epoch, 'restore']);
  await store.close();
}

describe('a restore', () => {
  test('gives any state of the history: by position, by time, by mark, inside a frame, with or without an image', async () => {
    const sealings = fc.constantFrom<'plain' | 'encrypted'>('plain', 'encrypted');
    const shapes = fc.record({
      group: fc.integer({ min: 1, max: 6 }),
      tailed: fc.integer({ min: 0, max: 9 }),
      partBytes: fc.constantFrom(1, 300, 100_000),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.nat(),
        sealings,
        shapes,
        fc.constantFrom('binary' as const, 'json' as const),
        async (seed, chosen, kind, shape, encoding) => {
          const made = await oracleHistory(seed, 30, encoding);
          fc.pre(made.states.length > 0);
          const target = new MemoryTarget();
          await archiveHistory(target, made, { ...shape, sealing: kind === 'plain' ? 'plain' : Recipients.parse([RECIPIENT]) });
          const state = made.states[chosen % made.states.length]!;
          const identities = kind === 'plain' ? undefined : Identities.parse([IDENTITY]);
          const disk = new FaultDisk();
          const restored = await restore(target, disk, { to: state.position, identities });
          expect([restored.base, restored.digest]).toEqual([state.position, state.digest]);
          await expectSite(disk, state, restored);
          const path = pathIn(state.value, chosen);
          const { content } = await readArchivedSubtree(path, {
            target,
            identities,
            to: state.position,
            clock: systemClock,
            random: systemRandom,
          });
          expect(content instanceof SnapshotNode ? content.value() : content).toEqual(valueAt(state.value, path));
          const byTime = made.states.findLast(({ time }) => time <= state.time)!;
          expect(await restore(target, new FaultDisk(), { to: { time: state.time }, identities })).toMatchObject({
            base: byTime.position,
            digest: byTime.digest,
          });
          for (const { name, position } of made.marks) {
            expect(await restore(target, new FaultDisk(), { to: name, identities })).toMatchObject({ base: position });
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  test('goes on after a restart, is archived as another line, and is restored again, twice (trap 4)', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    let made = await oracleHistory(41, 30);
    await archiveLine(maker, 'north', made.frames, made.snapshots);
    await maker.publish();
    const seen = new Set<string>();
    for (const round of [1, 2]) {
      const disk = new FaultDisk();
      const restored = await restore(target, disk, { site: 'north' });
      await expectSite(disk, made.states.at(-1)!, restored);
      const store = await recovered(disk);
      store.put(['written', `round ${round}`], round);
      store.cut();
      store.put(['written', `round ${round} again`], round);
      await store.flush();
      const state = { position: store.position, digest: store.digest, value: store.get('')!, time: 0 };
      const frames = await framesOf(store.journal);
      for (const { header } of frames.filter(each => each.header.base.revision >= restored.base.revision)) {
        const name = `${header.epochId}-${header.last.revision}`;
        expect(seen, 'a revision of an epoch was used again').not.toContain(name);
        seen.add(name);
      }
      const begun = await store.journal.snapshots.newest();
      const from = frames.filter(({ header }) => header.base.revision >= begun!.header.position.revision);
      const line = maker.line('north');
      await line.image(begun!);
      await line.stretch(from);
      await maker.publish();
      await store.close();
      made = { ...made, states: [state] };
    }
    const again = await restore(target, new FaultDisk());
    expect(again).toMatchObject({ base: made.states[0]!.position, digest: made.states[0]!.digest });
    // The first line is still there, and its restore begins an epoch above those of the others.
    const first = await restore(target, new FaultDisk(), { line: maker.lines[0]!.id });
    expect(first.position.epoch).toBe(again.position.epoch);
    expect(first.base.epoch).toBeLessThan(again.base.epoch);
  });

  test('as a secondary ends with a whole frame, and begins no epoch', async () => {
    const made = await oracleHistory(5, 80);
    const target = new MemoryTarget();
    await archiveHistory(target, made);
    const frame = made.frames.find(({ header }) => header.count > 1 && header.base.revision > 0)!;
    const before = made.frames.find(({ header }) => header.last.revision === frame.header.base.revision)!;
    const disk = new FaultDisk();
    const to = { ...frame.header.last, revision: frame.header.base.revision + 1 };
    const plan = await planned(target, disk, { to, role: 'secondary', site: 'south' });
    expect(plan).toMatchObject({ role: 'secondary', epoch: undefined, site: 'south' });
    expect(plan.notes.join()).toContain('in the middle of a frame: the secondary begins where that frame does');
    const restored = await restore(target, disk, { to, role: 'secondary', site: 'south' });
    expect([restored.base, restored.position, restored.digest]).toEqual([before.header.last, before.header.last, before.header.digest]);
    const store = await recovered(disk);
    expect([store.role, store.site, store.lineage.stream]).toEqual(['secondary', 'south', restored.stream]);
    expect(restored.stream).toBe(made.frames[0]!.header.stream);
    store.applyFrame(frame);
    expect(store.position).toEqual(frame.header.last);
    await store.close();
  });

  test('as a secondary with the name of its primary is refused before anything is written', async () => {
    const target = new MemoryTarget();
    const made = await oracleHistory(5, 20);
    await archiveHistory(target, made);
    const disk = new FaultDisk();
    const message = "a secondary can't be named north: that is the name of its primary";
    const refusal = { code: 'CONFIGURATION_INVALID', message: expect.stringContaining(message) as string };
    await expect(planned(target, disk, { role: 'secondary' })).rejects.toMatchObject(refusal);
    await expect(restore(target, disk, { role: 'secondary' })).rejects.toMatchObject(refusal);
    expect(filesOf(disk, '')).toEqual([]);
    expect(await restore(target, disk, { role: 'secondary', site: 'south' })).toMatchObject({
      site: 'south',
      base: made.states.at(-1)!.position,
    });
  });

  test('as a secondary has another primary before a promotion than after it', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const made = await oracleHistory(5, 20);
    const { store } = await memoryStore({ site: 'south', role: 'secondary' });
    for (const frame of made.frames) store.applyFrame(frame);
    const before = store.position;
    store.beginEpoch({ number: 70, id: '7'.repeat(16) }, 'a promotion');
    await store.flush();
    await maker.line('south').stretch(await framesOf(store.journal));
    await maker.publish();
    for (const [to, primary, other] of [
      [before, 'north', 'south'],
      [store.position, 'south', 'north'],
    ] as const) {
      const message = expect.stringContaining(`can't be named ${primary}`) as string;
      await expect(planned(target, new FaultDisk(), { to, role: 'secondary', site: primary })).rejects.toMatchObject({ message });
      expect(await planned(target, new FaultDisk(), { to, role: 'secondary', site: other })).toMatchObject({ site: other });
    }
    await store.close();
  });

  test('of objects so long that their memory could be given back early writes a journal without damage', async () => {
    const { store } = await memoryStore();
    // Each object has 20 frames of 20 KiB: more than the writer of a segment gathers, and more than a pool of buffers.
    for (let commit = 0; commit < 100; commit++) {
      store.put(['part'], `${commit} `.repeat(20 * 1024).slice(0, 20 * 1024));
      await store.flush();
    }
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const line = maker.line('north');
    for (const group of inGroups(await framesOf(store.journal), 20)) await line.stretch(group);
    await maker.publish();
    const disk = new FaultDisk();
    const restored = await restore(target, disk, { segmentBytes: 8 * 1024 * 1024 });
    expect(await verify(disk)).toMatchObject({ damageCount: 0, last: restored.position, digest: store.digest });
    await store.close();
  });

  test('as another stream has the tree and the epochs, and none of the history', async () => {
    const made = await oracleHistory(5, 40);
    const target = new MemoryTarget();
    await archiveHistory(target, made);
    const disk = new FaultDisk();
    const state = made.states[Math.floor(made.states.length / 2)]!;
    const plan = await planned(target, disk, { to: state.position, asNewStream: true });
    expect(plan.notes.join()).toContain('the site begins another stream');
    const restored = await restore(target, disk, { to: state.position, asNewStream: true, site: 'lab' });
    await expectSite(disk, state, restored);
    expect(restored.stream).not.toBe(made.frames[0]!.header.stream);
    expect(filesOf(disk, '.evs')).toHaveLength(1);
    expect(filesOf(disk, '.evj')).toHaveLength(1);
  });

  test('from the line of a secondary that goes further has the name of the primary', async () => {
    const made = await oracleHistory(5, 40);
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    await archiveLine(maker, 'north', made.frames.slice(0, -1), []);
    await archiveLine(maker, 'south', made.frames, []);
    await maker.publish();
    expect(await planned(target, new FaultDisk())).toMatchObject({ lineSite: 'south', site: 'north' });
    const disk = new FaultDisk();
    expect(await restore(target, disk)).toMatchObject({ site: 'north', base: made.states.at(-1)!.position });
    const store = await recovered(disk);
    expect(store.site).toBe('north');
    await store.close();
    expect(await planned(target, new FaultDisk(), { line: 'south' })).toMatchObject({ site: 'south' });
    expect(await planned(target, new FaultDisk(), { role: 'secondary' })).toMatchObject({ site: 'south' });
  });

  test('that did not end, of a state that was pruned since, says how to begin anew', async () => {
    const made = await oracleHistory(5, 40);
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const line = maker.line('north');
    const image = made.snapshots.at(-1)!;
    await line.image(image);
    await maker.publish();
    const { position } = made.states.findLast(each => each.position.revision < image.header.position.revision)!;
    const { archive } = await planned(target, new FaultDisk());
    const disk = new FaultDisk();
    await writeUnfinished(disk, {
      work: 'restore',
      archive,
      line: line.id,
      asked: null,
      role: 'primary',
      position,
      image: null,
      parts: 0,
    });
    const { revision } = position;
    await expect(restore(target, disk)).rejects.toMatchObject({
      code: 'COMPACTED',
      message: expect.stringMatching(new RegExp(`a restore of 1-${revision} did not end, .* remove the directory`)) as string,
    });
  });

  test('that the line which is taken lacks names the line that has it', async () => {
    const made = await oracleHistory(5, 40);
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    await archiveLine(maker, 'north', made.frames.slice(0, -1), []);
    // The other site was begun anew with a copy of the tree.
    const image = made.snapshots.at(-1)!;
    const { revision } = image.header.position;
    const line = maker.line('south');
    await line.image(image);
    await line.stretch(made.frames.filter(({ header }) => header.base.revision >= revision));
    await maker.publish();
    const [north] = maker.lines as [(typeof maker.lines)[0]];
    const before = made.states.findLast(({ position }) => position.revision < revision)!;
    for (const to of [before.position, { time: made.states[0]!.time }]) {
      await expect(restore(target, new FaultDisk(), { to })).rejects.toMatchObject({
        code: 'COMPACTED',
        message: expect.stringContaining(`; it is in the line ${north.id} of north (--line ${north.id})`) as string,
      });
    }
    await expect(restore(target, new FaultDisk(), { to: before.position, line: north.id })).resolves.toMatchObject({
      digest: before.digest,
    });
  });

  test('refused for damage names the line that has the same state', async () => {
    const made = await oracleHistory(5, 40);
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    await archiveLine(maker, 'north', made.frames, []);
    await archiveLine(maker, 'south', made.frames, []);
    await maker.publish();
    const [taken, other] = maker.lines as [(typeof maker.lines)[0], (typeof maker.lines)[0]];
    for (const key of target.keys.filter(each => each.startsWith(`stretch/${taken.id}`))) target.objects.delete(key);
    await expect(restore(target, new FaultDisk())).rejects.toMatchObject({
      code: 'DAMAGED',
      message: expect.stringContaining(`the line ${other.id} of south (--line ${other.id}), too`) as string,
    });
    expect(await restore(target, new FaultDisk(), { line: other.id })).toMatchObject({ digest: made.states.at(-1)!.digest });
  });

  test('begins above every epoch that any line or tail of the archive names', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const made = await oracleHistory(6, 20);
    await archiveLine(maker, 'north', made.frames, made.snapshots);
    const { store } = await memoryStore({ site: 'south', role: 'secondary' });
    for (const frame of made.frames.slice(0, 3)) store.applyFrame(frame);
    store.beginEpoch({ number: 70, id: '7'.repeat(16) }, 'a promotion elsewhere');
    await store.flush();
    const other = maker.line('south');
    await other.stretch(made.frames.slice(0, 3));
    await other.tail([(await framesOf(store.journal)).slice(3)]);
    await maker.publish();
    await store.close();
    const restored = await restore(target, new FaultDisk(), { line: 'north' });
    expect(restored.position.epoch).toBe(72);
    expect(restored.base.epoch).toBeLessThan(70);
  });

  test('tells its plan first, and changes nothing with dryRun', async () => {
    const made = await oracleHistory(7, 40);
    const target = new MemoryTarget();
    await archiveHistory(target, made);
    const disk = new FaultDisk();
    const writes = target.writes;
    const plan = await planned(target, disk);
    const state = made.states.at(-1)!;
    expect(plan).toMatchObject({
      position: state.position,
      digest: state.digest,
      site: 'north',
      role: 'primary',
      resumes: false,
      asNewStream: false,
    });
    expect(plan.epoch).toBe(state.position.epoch + 2);
    expect([disk.files, disk.steps, target.writes]).toEqual([[], 0, writes]);
    const told: RestoreForecast[] = [];
    const progress: number[] = [];
    const restored = await restore(target, disk, {
      planned: each => {
        expect(disk.steps).toBe(0);
        told.push(each);
      },
      progress: (done, total) => void progress.push(done / total),
    });
    expect(told).toEqual([plan]);
    expect(restored.plan).toEqual(plan);
    expect(progress.toSorted((a, b) => a - b)).toEqual(progress);
    expect(progress.at(-1)).toBeGreaterThan(0.5);
    // It held a pin, and took it back.
    expect(target.calls.some(call => call.startsWith('replace pin/'))).toBe(true);
    expect(target.keys.filter(key => key.startsWith('pin/'))).toEqual([]);
  });
});

async function refused(target: MemoryTarget, wish: Wish = {}): Promise<EvertreeError> {
  const disk = new FaultDisk();
  const error = await restore(target, disk, wish).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(EvertreeError);
  expect(disk.files.filter(path => path !== 'lock')).toEqual([]);
  return error as EvertreeError;
}

describe('a restore is refused, and nothing was changed', () => {
  test('by one flipped byte of any object, which it names, with the nearest states', async () => {
    const made = await oracleHistory(8, 40);
    const target = new MemoryTarget();
    await archiveHistory(target, made, { tailed: 6 });
    const plan = await planned(target, new FaultDisk());
    const needed = target.calls.length;
    await restore(target, new FaultDisk());
    const keys = new Set(target.calls.slice(needed).flatMap(call => /^get ((?:stretch|image|tail)\/.*)/.exec(call)?.[1] ?? []));
    expect(keys.size).toBeGreaterThan(3);
    for (const key of keys) {
      const damaged = new MemoryTarget({}, new Map(target.objects));
      damaged.overwrite(key, bytes => {
        bytes[Math.floor(bytes.length * 0.6)]! ^= 0x10;
        return bytes;
      });
      const error = await refused(damaged);
      expect(error, key).toMatchObject({ code: 'DAMAGED', details: { object: key } });
      expect(error.message, key).toContain(key);
      const { before } = error.details['nearest'] as { readonly before: OracleState['position'] | undefined };
      if (before === undefined || before.revision === 0) continue;
      expect(before.revision).toBeLessThanOrEqual(plan.position.revision);
      // What is named as the nearest state can be restored.
      expect((await restore(damaged, new FaultDisk(), { to: before, without: [key] })).base, key).toEqual(before);
    }
  });

  test('by a missing object, and by one of another archive', async () => {
    const made = await oracleHistory(9, 30);
    const target = new MemoryTarget();
    const line = await archiveHistory(target, made, { tailed: 0 });
    const foreign = new MemoryTarget();
    await archiveHistory(foreign, made, { tailed: 0, archive: 'cd'.repeat(16) });
    const entry = line.objects.findLast(({ kind }) => kind === 'stretch')!;
    const key = entry.kind === 'stretch' ? entry.path : '';
    const missing = new MemoryTarget({}, new Map([...target.objects].filter(([each]) => each !== key)));
    expect(await refused(missing)).toMatchObject({ code: 'DAMAGED', details: { object: key, problem: 'it is missing' } });
    expect(missing.calls.filter(call => /^get (stretch|image)/.test(call))).toEqual([]);
    const swapped = new MemoryTarget({}, new Map(target.objects).set(key, foreign.objects.get(key)!));
    expect(await refused(swapped)).toMatchObject({ code: 'DAMAGED', details: { object: key } });
  });

  test('without an identity, with a wrong one, and without a name for the site', async () => {
    const target = new MemoryTarget();
    await archiveHistory(target, await oracleHistory(10, 20), { sealing: Recipients.parse([RECIPIENT]) });
    expect(await refused(target)).toMatchObject({ code: 'IDENTITY_NEEDED', message: expect.stringContaining('--identity') as string });
    const other = Identities.parse([OTHER_IDENTITY]);
    expect(await refused(target, { identities: other })).toMatchObject({ code: 'IDENTITY_NEEDED' });
    // Positions, times and sizes can be read by everybody.
    expect(await planned(target, new FaultDisk())).toMatchObject({ site: undefined });
  });

  test('into a directory that holds something, or another work that did not end', async () => {
    const target = new MemoryTarget();
    await archiveHistory(target, await oracleHistory(11, 20));
    const { disk } = await stoppedSite();
    const before = disk.files.toSorted();
    await expect(restore(target, disk)).rejects.toMatchObject({ code: 'WRONG_ROLE', details: { file: 'site.json' } });
    expect(disk.files.toSorted()).toEqual(before);
    const replaying = new FaultDisk();
    await writeUnfinished(replaying, { work: 'replay' });
    await expect(restore(target, replaying)).rejects.toMatchObject({ code: 'UNFINISHED' });
    expect(replaying.files).toEqual(['unfinished.json']);
  });

  test('by a position, a mark and a time that the archive does not have', async () => {
    const made = await oracleHistory(12, 20);
    const target = new MemoryTarget();
    await archiveHistory(target, made);
    const { epoch, revision } = made.states.at(-1)!.position;
    expect(await refused(target, { to: { epoch, revision: revision + 1 } })).toMatchObject({ code: 'POSITION_MISMATCH' });
    expect(await refused(target, { to: 'no-such-mark' })).toMatchObject({ code: 'NOT_FOUND' });
    expect(await refused(target, { to: { time: 1_000 } })).toMatchObject({ code: 'COMPACTED' });
  });
});
