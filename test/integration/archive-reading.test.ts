import { Archive, Identities, Recipients } from '@evertree/archive';
import { decodeChangeSets, formatPosition, type Frame } from '@evertree/core';
import { beforeAll, describe, expect, it } from 'vitest';
import { ArchiveMaker, inGroups } from '../support/archive-maker.ts';
import { framesBetween, IDENTITY, type MadeHistory, makeHistory, makeLine, rebuild, RECIPIENT } from '../support/archived-history.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { framesOf, memoryStore } from '../support/stores.ts';

let made: MadeHistory;
beforeAll(async () => {
  made = await makeHistory();
});

async function bytesOf(frames: AsyncIterable<Frame>): Promise<string[]> {
  const found: string[] = [];
  for await (const { bytes } of frames) found.push(Buffer.from(bytes).toString('hex'));
  return found;
}

const hexOf = (frames: readonly Frame[]) => frames.map(({ bytes }) => Buffer.from(bytes).toString('hex'));

describe.each(['plain', 'encrypted'] as const)('an archive that is %s', kind => {
  const sealing = kind === 'plain' ? 'plain' : Recipients.parse([RECIPIENT]);
  const identities = kind === 'plain' ? undefined : Identities.parse([IDENTITY]);

  async function open(target: MemoryTarget): Promise<Archive> {
    return Archive.open(target, { identities });
  }

  it('gives back the frames that were archived, and the tree that they make', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target, { sealing });
    const tail = await makeLine(made, maker.line());
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
    expect(await bytesOf(archive.frames(plan))).toEqual(hexOf(framesBetween(made, 24, 40)));
    const tree = await rebuild(archive, plan);
    expect(tree.digest).toBe(made.store.digest);
    expect(tree.head.marks.map(({ name }) => name)).toEqual(['early', 'late 🌲']);
  });

  it('finds every revision, with its time, and the digest where a frame ends', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target, { sealing });
    await makeLine(made, maker.line());
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
    expect((await archive.plan('-10s', { now: 30_500 })).time).toBeLessThanOrEqual(20_500);
    await expect(archive.plan('-10s')).rejects.toMatchObject({ code: 'VALUE_INVALID' });
    await expect(archive.plan({ time: 0 })).rejects.toMatchObject({ code: 'COMPACTED' });
    await expect(archive.plan('2-41')).rejects.toMatchObject({ code: 'POSITION_MISMATCH', message: expect.stringContaining('2-40') });
    await expect(archive.plan('2-5')).rejects.toMatchObject({ code: 'HISTORY_MISMATCH', message: expect.stringContaining('1-5') });
  });

  it('finds marks', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target, { sealing });
    await makeLine(made, maker.line(), { image: 12 });
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

  it('finds a mark in the newest object that tells of it, which it reads once', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target, { sealing });
    const { store } = await memoryStore();
    for (const [name, back] of [
      ['moved', 0],
      ['gone', 0],
      ['moved', 2],
      ['kept', 2],
    ] as const) {
      if (name === 'kept') store.unmark('gone');
      for (let put = 0; put < 3; put++) store.put(['k'], `${name} ${put}`);
      store.mark(name, { at: { epoch: 1, revision: store.position.revision - back }, move: true });
    }
    const [moved, kept] = store.marks;
    await store.flush();
    const line = maker.line();
    for (const group of inGroups(await framesOf(store.journal), 4)) await line.stretch(group);
    await maker.publish();
    const archive = await open(target);
    const reads = async (mark: string) => {
      const before = target.calls.length;
      const plan = await archive.plan(mark);
      return {
        position: plan.position,
        taken: plan.taken,
        reads: target.calls.slice(before).filter(call => call.startsWith('get')).length,
      };
    };
    expect(await reads('kept')).toMatchObject({ position: kept!.position, reads: 1 });
    const taken = expect.stringContaining(`since ${formatPosition(moved!.markedAt)}`);
    expect(await reads('moved')).toMatchObject({ position: moved!.position, taken, reads: 2 });
    await expect(archive.plan('gone')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('opens the object with the state once, for the plan and for whoever reads up to it', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target, { sealing });
    const { store } = await memoryStore();
    for (let put = 0; put < 300; put++) {
      store.put([`k${put % 30}`], put);
      if (put === 200) store.mark('here');
      if (put % 10 === 0) await store.flush();
    }
    await store.flush();
    const line = maker.line();
    for (const group of inGroups(await framesOf(store.journal), 10)) await line.stretch(group);
    await maker.publish();
    const archive = await open(target);
    const getsOf = async <T>(work: () => Promise<T>): Promise<readonly [T, number]> => {
      const before = target.calls.length;
      return [await work(), target.calls.slice(before).filter(call => call.startsWith('get')).length];
    };
    for (const moment of ['here', { epoch: 1, revision: 105 }, { epoch: 1, revision: 9 }]) {
      const [plan, planned] = await getsOf(() => archive.plan(moment));
      const read = async () => {
        const found: (readonly [string[], boolean, unknown])[] = [];
        for await (const { frame, isGathered, changes } of archive.gathered(plan, undefined))
          found.push([hexOf([frame]), isGathered, changes && { ...changes, body: changes.body.toString('hex') }]);
        return found;
      };
      const [first, gets] = await getsOf(read);
      const [again, getsAgain] = await getsOf(read);
      expect([planned, gets, getsAgain]).toEqual([1, plan.stretches.length - 1, plan.stretches.length]);
      expect(first).toEqual(again);
      expect(first.some(([, isGathered]) => isGathered)).toBe(true);
    }
  });
});
