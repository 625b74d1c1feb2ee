import {
  Archive,
  backUp,
  Identities,
  initArchive,
  LineFile,
  prune,
  readHeadState,
  Recipients,
  stoppedSource,
  type Target,
} from '@evertree/archive';
import { describe, expect, it } from 'vitest';
import { checkArchive } from '../support/archive-check.ts';
import { judgeArchive, Testimony } from '../support/archive-judge.ts';
import { ArchiveMaker, inGroups } from '../support/archive-maker.ts';
import { framesBetween, IDENTITY, makeHistory, rebuild, RECIPIENT } from '../support/archived-history.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { ManualClock, systemClock, systemRandom as random } from '../support/host.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { commit, SMALL } from '../support/offline-site.ts';
import { collectReports } from '../support/reports.ts';
import { diskStore, framesOf } from '../support/stores.ts';

const DAY = 86_400_000;

/** A site that backs up into a target which others prune. Its own clock stands for the target's. */
class BackedUpSite {
  readonly disk = new FaultDisk();
  readonly clock = new ManualClock();
  readonly target = new MemoryTarget({ clock: this.clock });
  readonly testimony = new Testimony();
  #commits = 0;

  async begin(): Promise<void> {
    this.clock.advance(20_000 * DAY);
    await initArchive(this.target, { sealing: 'plain', conditions: true, random });
  }

  /** Commits, and a snapshot after them that an image can be made of. */
  async work(): Promise<void> {
    const { store } = await diskStore(this.disk, { journalOptions: SMALL });
    await commit(store, this.#commits, (this.#commits += 30));
    this.testimony.take(await framesOf(store.journal));
    await store.saveSnapshot();
    await store.close();
  }

  async backup(target: Target = this.target) {
    const { report } = collectReports();
    const source = await stoppedSource(this.disk);
    const lines = await LineFile.open(this.disk, report);
    const events = { report, lease: () => undefined };
    return backUp({ target, source, lines, sealing: 'plain', clock: systemClock, random, events, imageEveryMs: 1 });
  }
}

describe('an archive that is backed up into and pruned', () => {
  it('has all of what the rules keep, every state of it sound, and nothing else in the end', async () => {
    const site = new BackedUpSite();
    await site.begin();
    const sizes: number[] = [];
    for (let day = 0; day < 8; day++) {
      await site.work();
      const { position, digest } = await site.backup();
      await prune(site.target, { rules: { last: 2, atLeast: 1 } });
      const [line] = await checkArchive(site.target);
      expect(line).toMatchObject({ last: position, digest });
      await judgeArchive(site.target, site.testimony);
      site.clock.advance(DAY);
      sizes.push(site.target.keys.filter(key => !key.startsWith('manifest/')).length);
    }
    // It does not grow for ever.
    expect(sizes.at(-1)).toBeLessThanOrEqual(sizes[3]! + 2);
    const { manifest } = await readHeadState(site.target);
    expect(manifest!.lines[0]!.gaps).toEqual([]);
    expect(manifest!.lines[0]!.objects[0]!.kind).toBe('image');
  });

  it('12: prune beside a running backup deletes its chunks; the backup writes them anew', async () => {
    const site = new BackedUpSite();
    await site.begin();
    await site.work();
    await site.backup();
    await site.work();
    const slow = site.target.client();
    const release = slow.hold('replace', /^HEAD$/);
    const running = site.backup(slow);
    // It has written its objects, and stalls before it publishes them.
    while (!slow.calls.some(call => call.startsWith('replace HEAD'))) await new Promise(resolve => setImmediate(resolve));
    const before = new Set(site.target.keys.filter(key => key.startsWith('stretch/')));
    for (let day = 0; day < 3; day++) {
      site.clock.advance(DAY + 1);
      await prune(site.target, { rules: { last: 1, atLeast: 1 } });
    }
    const left = site.target.keys.filter(key => key.startsWith('stretch/'));
    expect(left.length).toBeLessThan(before.size);
    release();
    const { position, digest } = await running;
    const [line] = await checkArchive(site.target);
    expect(line).toMatchObject({ last: position, digest });
    await judgeArchive(site.target, site.testimony);
  });

  it('is pruned without an identity, and gives back marked states and the tail behind an image', async () => {
    const made = await makeHistory();
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target, { sealing: Recipients.parse([RECIPIENT]) });
    const line = maker.line();
    for (const group of inGroups(framesBetween(made, 0, 24), 1)) await line.stretch(group);
    const snapshot = made.snapshots.get(24)!;
    await line.image(snapshot, { marks: snapshot.header.marks.map(({ position }) => position.revision) });
    await line.tail(inGroups(framesBetween(made, 24, 40), 2));
    await maker.publish();
    const { lines } = await prune(target, { rules: { last: 1, atLeast: 1 }, graceMs: 0, isExclusive: true });
    const dropped = lines[0]!.entries.filter(({ keptBy }) => keptBy.length === 0);
    expect(dropped.length).toBeGreaterThan(2);
    // What is behind the marked state, up to the image.
    expect(dropped.every(({ to }) => to.revision > 11 && to.revision <= 24)).toBe(true);
    const archive = await Archive.open(target, { identities: Identities.parse([IDENTITY]) });
    expect(archive.problems).toEqual([]);
    for (const [when, revision] of [
      [undefined, 40],
      ['late 🌲', 32],
      ['early', 11],
    ] as const) {
      const plan = await archive.plan(when);
      expect(plan.position.revision).toBe(revision);
      if (plan.digest !== undefined) expect((await rebuild(archive, plan)).digest).toBe(plan.digest);
    }
    await expect(archive.plan('1-15')).rejects.toMatchObject({ code: expect.stringMatching(/COMPACTED|NOT_FOUND/) });
  });
});
