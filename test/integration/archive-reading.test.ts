import { Archive, Identities, Recipients } from '@evertree/archive';
import { decodeChangeSets, type Frame, RebuiltTree, type Store, type StoredSnapshot } from '@evertree/core';
import { beforeAll, describe, expect, it } from 'vitest';
import { ArchiveMaker, inGroups, type LineMaker, snapshotOf } from '../support/archive-maker.ts';
import { ManualClock } from '../support/host.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { framesOf, memoryStore } from '../support/stores.ts';

const IDENTITY = 'AGE-SECRET-KEY-15EYHWXK6LNKSJJJGP3TPSNAWRLYVCKDUUFJNDV67YLZZ2HPE34LSVLEZAP';
const RECIPIENT = 'age1yx47sjfaw3m5fpefj2ukehrvmnusvgvll3lr5e5wleajev0anf5sj2fasq';

interface MadeHistory {
  readonly store: Store;
  readonly frames: readonly Frame[];
  /** By revision. */
  readonly snapshots: ReadonlyMap<number, StoredSnapshot>;
}

/** 40 commits, one a second; frames of three, an epoch that begins at revision 21, marks at 11 and 32. */
async function makeHistory(): Promise<MadeHistory> {
  const clock = new ManualClock();
  const { store } = await memoryStore({ clock });
  const snapshots = new Map<number, StoredSnapshot>();
  while (store.position.revision < 40) {
    clock.advance(1_000);
    const next = store.position.revision + 1;
    if (next === 11) store.mark('early');
    else if (next === 21) store.beginEpoch({ number: 2, id: '2'.repeat(16) }, 'a test asked for it');
    else if (next === 32) store.mark('late 🌲');
    else store.put(['k', String(next % 7)], { next, text: `value ${next} 🌲` });
    if (next % 3 === 0) store.cut();
    if (next % 12 === 0) {
      snapshots.set(next, snapshotOf(store));
    }
  }
  await store.flush();
  return { store, frames: await framesOf(store.journal), snapshots };
}

let made: MadeHistory;
beforeAll(async () => {
  made = await makeHistory();
});

function framesBetween(after: number, upTo: number): Frame[] {
  return made.frames.filter(({ header }) => header.base.revision >= after && header.last.revision <= upTo);
}

async function bytesOf(frames: AsyncIterable<Frame>): Promise<string[]> {
  const found: string[] = [];
  for await (const { bytes } of frames) found.push(Buffer.from(bytes).toString('hex'));
  return found;
}

const hexOf = (frames: readonly Frame[]) => frames.map(({ bytes }) => Buffer.from(bytes).toString('hex'));

/** The whole history: stretches of some frames up to 24, an image there, and a tail behind. */
async function makeLine(line: LineMaker, { image = 24 }: { readonly image?: number } = {}): Promise<readonly string[]> {
  for (const group of inGroups(framesBetween(0, 24), 4)) await line.stretch(group);
  await line.image(made.snapshots.get(image)!);
  return line.tail(inGroups(framesBetween(24, 40), 2));
}

async function rebuild(archive: Archive, plan: Awaited<ReturnType<Archive['plan']>>): Promise<RebuiltTree> {
  const tree = plan.image === undefined ? RebuiltTree.empty() : await RebuiltTree.from(await archive.image(plan.line, plan.image));
  for await (const frame of archive.frames(plan)) tree.apply(frame);
  return tree;
}

describe.each(['plain', 'encrypted'] as const)('an archive that is %s', kind => {
  const sealing = kind === 'plain' ? 'plain' : Recipients.parse([RECIPIENT]);
  const identities = kind === 'plain' ? undefined : Identities.parse([IDENTITY]);

  async function open(target: MemoryTarget): Promise<Archive> {
    return Archive.open(target, { identities });
  }

  it('gives back the frames that were archived, and the tree that they make', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target, { sealing });
    const tail = await makeLine(maker.line());
    await maker.publish();
    const archive = await open(target);
    expect(archive.problems).toEqual([]);
    expect(archive.states()).toMatchObject([{ from: { revision: 0 }, to: { revision: 40 }, digest: made.store.digest }]);
    const plan = await archive.plan();
    expect(plan).toMatchObject({
      position: made.store.position,
      digest: made.store.digest,
      commits: 16,
      site: 'a',
      objects: 1 + tail.length,
    });
    expect(await bytesOf(archive.frames(plan))).toEqual(hexOf(framesBetween(24, 40)));
    const tree = await rebuild(archive, plan);
    expect(tree.digest).toBe(made.store.digest);
    expect(tree.head.marks.map(({ name }) => name)).toEqual(['early', 'late 🌲']);
  });

  it('finds every revision, with its time, and the digest where a frame ends', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target, { sealing });
    await makeLine(maker.line());
    await maker.publish();
    const archive = await open(target);
    const commits = made.frames.flatMap(frame => decodeChangeSets(frame));
    for (const frame of made.frames) {
      for (const { revision, time } of decodeChangeSets(frame)) {
        const { epoch, last, digest } = { ...frame.header };
        const plan = await archive.plan({ epoch, revision });
        const isEnd = revision === last.revision;
        expect(plan).toMatchObject({ position: { ...last, revision }, time, digest: isEnd ? digest : undefined });
        const frames = await bytesOf(archive.frames(plan));
        expect(frames.at(-1) ?? hexOf([frame])[0]).toBe(hexOf([frame])[0]);
        const newest = commits.findLast(commit => commit.time <= time)!;
        expect((await archive.plan({ time })).position.revision).toBe(newest.revision);
        expect((await archive.plan({ time: time + 999 })).position.revision).toBe(newest.revision);
      }
    }
    await expect(archive.plan({ time: 0 })).rejects.toMatchObject({ code: 'COMPACTED' });
    await expect(archive.plan('2-41')).rejects.toMatchObject({ code: 'POSITION_MISMATCH', message: expect.stringContaining('2-40') });
    await expect(archive.plan('2-5')).rejects.toMatchObject({ code: 'HISTORY_MISMATCH', message: expect.stringContaining('1-5') });
  });

  it('finds marks', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target, { sealing });
    await makeLine(maker.line(), { image: 12 });
    await maker.publish();
    const archive = await open(target);
    expect((await archive.plan('early')).position.revision).toBe(11);
    expect(await archive.plan('late 🌲')).toMatchObject({
      position: { epoch: 2, revision: 32 },
      taken: expect.stringContaining('since 2-32'),
    });
    await expect(archive.plan('latr')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(archive.plan('eary')).rejects.toMatchObject({ message: expect.stringContaining('is it "early"?') });
  });
});
