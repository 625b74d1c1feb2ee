import { Archive, Recipients } from '@evertree/archive';
import type { Frame } from '@evertree/core';
import { beforeAll, describe, expect, it } from 'vitest';
import { OBJECT_PLAIN_BYTES } from '../../packages/archive/src/format/sealed-object.ts';
import { ArchiveMaker, inGroups, snapshotOf } from '../support/archive-maker.ts';
import { framesBetween, type MadeHistory, makeHistory, makeLine, rebuild, RECIPIENT } from '../support/archived-history.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { framesOf, memoryStore } from '../support/stores.ts';

/** Traps that other archives fell into, as far as reading meets them: packages/archive/DESIGN.md lists them all. */

let made: MadeHistory;
beforeAll(async () => {
  made = await makeHistory();
});

async function reading(archive: Archive, when?: string): Promise<unknown> {
  try {
    await rebuild(archive, await archive.plan(when));
    return undefined;
  } catch (error) {
    return error;
  }
}

describe('trap 1: a header claims a range, and the contents have a gap', () => {
  // Header, manifest and sum agree with each other, and only the frames tell.
  const wrong: readonly (readonly [string, (frames: readonly Frame[]) => readonly Frame[]])[] = [
    ['in the middle', frames => frames.toSpliced(2, 1)],
    ['at the beginning', frames => frames.slice(1)],
    ['at the end', frames => frames.slice(0, -1)],
    ['and a frame stands twice', frames => frames.toSpliced(2, 0, frames[2]!)],
    ['and two frames are exchanged', frames => [frames[1]!, frames[0]!, ...frames.slice(2)]],
    ['as nothing is in it', () => []],
  ];

  it.each(wrong)('%s', async (_, change) => {
    const frames = framesBetween(made, 12, 40);
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const line = maker.line();
    await line.stretch(framesBetween(made, 0, 12));
    await line.stretch(frames, {}, change(frames));
    await maker.publish();
    const archive = await Archive.open(target);
    const { path } = archive.lines[0]!.stretches[1]!;
    const error = await reading(archive);
    expect(error).toMatchObject({
      code: 'DAMAGED',
      message: expect.stringMatching(new RegExp(`${path} is damaged: .*the nearest state that can be restored is 1-12`)),
      details: { object: path, nearest: { before: { revision: 12 } } },
    });
    expect(await reading(archive, '1-12')).toBeUndefined();
  });

  it('between two objects that follow one another by name', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const line = maker.line();
    await line.stretch(framesBetween(made, 0, 12));
    await line.stretch(framesBetween(made, 15, 40), { base: framesBetween(made, 0, 12).at(-1)!.header.last });
    await maker.publish();
    const archive = await Archive.open(target);
    expect(archive.states()).toMatchObject([{ to: { revision: 12 } }]);
    expect(archive.problems).toMatchObject([{ text: expect.stringContaining("can't be restored: what comes before them is missing") }]);
  });

  it('where an image stands inside a stretch, at a place that its frames never were at', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const line = maker.line();
    await line.image(made.snapshots.get(12)!);
    await line.stretch(framesBetween(made, 0, 40));
    await maker.publish(manifest => ({
      ...manifest,
      lines: manifest.lines.map(each => ({
        ...each,
        objects: each.objects.map(object => (object.kind === 'image' ? { ...object, chain: 'ee'.repeat(32) } : object)),
      })),
    }));
    const archive = await Archive.open(target);
    expect(await reading(archive)).toMatchObject({ code: 'DAMAGED', details: { object: expect.stringMatching(/^(image|stretch)/) } });
  });
});

describe('trap 2: the first object is missing', () => {
  it('of the frames', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const line = maker.line();
    const first = await line.stretch(framesBetween(made, 0, 12));
    await line.stretch(framesBetween(made, 12, 40));
    await maker.publish();
    target.objects.delete(first.path);
    const archive = await Archive.open(target);
    expect(await reading(archive)).toMatchObject({
      code: 'DAMAGED',
      message: expect.stringContaining(`${first.path} is damaged: it is missing`),
    });
  });

  it('of an image', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const line = maker.line();
    const image = await line.image(made.snapshots.get(12)!);
    await line.stretch(framesBetween(made, 12, 40));
    await maker.publish();
    target.objects.delete(image.parts[0]!.path);
    const archive = await Archive.open(target);
    expect(await reading(archive)).toMatchObject({
      code: 'DAMAGED',
      message: expect.stringContaining('no state of this line can be restored'),
      details: { object: image.parts[0]!.path },
    });
  });

  it('of a tail: its first number is missing, and others follow', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const line = maker.line();
    await line.stretch(framesBetween(made, 0, 12));
    const [first] = await line.tail(inGroups(framesBetween(made, 12, 40), 3));
    await maker.publish();
    target.objects.delete(first!);
    const archive = await Archive.open(target);
    expect(archive.problems).toMatchObject([{ object: first, text: expect.stringContaining(`${first} is missing`) }]);
    expect(archive.states()).toMatchObject([{ to: { revision: 12 } }]);
  });

  it('as the manifest has none of what the line began with', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    await maker.line().stretch(framesBetween(made, 12, 40));
    await maker.publish();
    const archive = await Archive.open(target);
    expect(archive.states()).toEqual([]);
    await expect(archive.plan()).rejects.toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining("can't be restored") });
  });
});

describe('trap 15: one path’s versions are split over objects, and only one is read', () => {
  // Nothing is ever looked up by a path in an archive: a state is an image and every frame after it.
  it('gives each state its own version, wherever it is', async () => {
    const { store } = await memoryStore();
    const states: string[] = [];
    for (let version = 1; version <= 30; version++) {
      store.put(['one', 'path'], { version });
      store.cut();
      states.push(store.digest);
    }
    await store.flush();
    const frames = await framesOf(store.journal);
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const line = maker.line();
    for (const group of inGroups(frames.slice(0, 16), 5)) await line.stretch(group);
    await line.tail(inGroups(frames.slice(16), 4));
    await maker.publish();
    const archive = await Archive.open(target);
    for (const [index, digest] of states.entries()) {
      // The first revision begins the epoch.
      const tree = await rebuild(archive, await archive.plan({ epoch: 1, revision: index + 2 }));
      expect(tree.digest).toBe(digest);
    }
  });
});

describe('trap 17: text beyond ASCII', () => {
  it('comes back as it was: keys, values, marks, authors and the site’s name', async () => {
    const { store } = await memoryStore({ site: 'étage-🌲' });
    const keys = ['é', 'ÿ', '\u0080', '\uE000', '🌲', '🌲🌲', '\uFFFD', '~1/é', ''];
    for (const key of keys) store.put([key, 'ü'], { [key]: `🌲 ${key}` }, { author: 'Zoë', message: '\u0085é' });
    store.mark('Ende 🌲é');
    await store.flush();
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const line = maker.line('étage-🌲');
    await line.image(snapshotOf(store));
    await line.stretch(await framesOf(store.journal));
    await maker.publish();
    const archive = await Archive.open(target);
    const plan = await archive.plan('Ende 🌲é');
    expect(plan).toMatchObject({ site: 'étage-🌲', position: { revision: keys.length + 2 } });
    expect((await rebuild(archive, plan)).digest).toBe(store.digest);
    const newest = await rebuild(archive, await archive.plan());
    expect(newest.head.marks).toMatchObject([{ name: 'Ende 🌲é' }]);
    for (const key of keys) expect(store.get([key, 'ü'])).toEqual({ [key]: `🌲 ${key}` });
  });
});

describe('trap 18: objects over 4 GiB', () => {
  it('are never made: an image of any size is in parts, and only a longer chunk makes a longer part', async () => {
    const { store } = await memoryStore();
    store.transact(tx => {
      for (let index = 0; index < 40; index++) tx.put(['big', String(index)], 'x'.repeat(500_000));
    });
    await store.flush();
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target, { sealing: Recipients.parse([RECIPIENT]) });
    const image = await maker.line().image(snapshotOf(store), { partBytes: OBJECT_PLAIN_BYTES });
    expect(image.parts.length).toBe(3);
    expect(image.plainBytes).toBeGreaterThan(2 * OBJECT_PLAIN_BYTES);
  });

  it('are counted right: sizes and sums above 4 GiB', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    await makeLine(made, maker.line());
    await maker.publish(manifest => ({
      ...manifest,
      lines: manifest.lines.map(line => ({
        ...line,
        objects: line.objects.map(object =>
          object.kind === 'stretch'
            ? object
            : { ...object, plainBytes: 9 * 2 ** 32 + 1, parts: object.parts.map(part => ({ ...part, bytes: 2 ** 32 + 3 })) },
        ),
      })),
    }));
    const archive = await Archive.open(target);
    const plan = await archive.plan({ epoch: 2, revision: 24 });
    expect(plan).toMatchObject({ plainBytes: 9 * 2 ** 32 + 1, bytes: 2 ** 32 + 3 });
    expect(await reading(archive)).toMatchObject({
      code: 'DAMAGED',
      message: expect.stringContaining('where the manifest says 4294967299'),
    });
  });
});
