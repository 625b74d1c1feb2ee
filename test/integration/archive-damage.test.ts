import { Archive, Identities, type ListedObject, type NearestStates, Recipients } from '@evertree/archive';
import { type EvertreeError, type ExactPosition, type Report } from '@evertree/core';
import { beforeAll, describe, expect, it } from 'vitest';
import { manifestKey } from '../../packages/archive/src/format/object-keys.ts';
import { ArchiveMaker, inGroups } from '../support/archive-maker.ts';
import { framesBetween, IDENTITY, type MadeHistory, makeHistory, makeLine, rebuild, RECIPIENT } from '../support/archived-history.ts';
import { MemoryTarget } from '../support/memory-target.ts';

let made: MadeHistory;
beforeAll(async () => {
  made = await makeHistory();
});

interface MadeArchive {
  readonly target: MemoryTarget;
  readonly maker: ArchiveMaker;
  readonly tail: readonly string[];
}

async function makeArchive(options: { readonly image?: number; readonly archive?: string } = {}): Promise<MadeArchive> {
  const target = new MemoryTarget();
  const maker = new ArchiveMaker(target, options);
  const tail = await makeLine(made, maker.line(), options);
  await maker.publish();
  return { target, maker, tail };
}

/** Changes one byte of an object. */
function flip(target: MemoryTarget, key: string, at: number): void {
  const object = target.objects.get(key)!;
  const bytes = Buffer.from(object.bytes);
  bytes[at]! ^= 1;
  target.objects.set(key, { ...object, bytes });
}

/** Restores the newest state, and tells what went wrong. */
async function restoreNewest(archive: Archive): Promise<unknown> {
  try {
    const plan = await archive.plan();
    const tree = await rebuild(archive, plan);
    expect(tree.digest).toBe(plan.digest);
    return undefined;
  } catch (error) {
    return error;
  }
}

async function digestAt(archive: Archive, position: ExactPosition, without: ReadonlySet<string>): Promise<string> {
  const tree = await rebuild(archive, await archive.plan(position, { without }));
  return tree.digest;
}

/** Its lists lack one object. */
class RacingTarget extends MemoryTarget {
  unseen: string | undefined;

  override async *list(prefix: string): AsyncGenerator<ListedObject> {
    for await (const object of super.list(prefix)) if (object.key !== this.unseen) yield object;
  }
}

describe('damage in an archive', () => {
  it.each(['a changed byte', 'a missing object'])('%s is found and named, and the states next to it come back', async what => {
    const { target: sound } = await makeArchive();
    for (const key of [...sound.objects.keys()].filter(each => /^(stretch|image|tail)/.test(each))) {
      const { target } = await makeArchive();
      if (what === 'a missing object') target.objects.delete(key);
      else flip(target, key, target.objects.get(key)!.bytes.length - 40);
      const archive = await Archive.open(target);
      const error = await restoreNewest(archive);
      if (error === undefined) {
        // A tail ends before its lost end; nothing else goes unseen that the newest state needs.
        const needed = archive.lines[0]!.states.at(-1)!.stretches.some(({ path }) => path === key && path.startsWith('tail'));
        expect(needed).toBe(false);
        continue;
      }
      expect(error).toMatchObject({ code: 'DAMAGED', message: expect.stringContaining(key), details: { object: key } });
      const { before, after } = (error as EvertreeError).details['nearest'] as NearestStates;
      expect(before ?? after).toBeDefined();
      for (const position of [before, after].filter(each => each !== undefined)) {
        const plan = await archive.plan(position, { without: new Set([key]) });
        expect(await digestAt(archive, position, new Set([key]))).toBe(plan.digest);
      }
    }
  });

  it('in the middle of a tail is told when the archive is opened, and nothing behind it is listed', async () => {
    const { target, tail } = await makeArchive();
    target.objects.delete(tail[2]!);
    const archive = await Archive.open(target);
    expect(archive.problems).toMatchObject([
      { object: tail[2], text: expect.stringContaining(`${tail[2]} is missing, and ${tail.length - 3} objects of its tail follow`) },
    ]);
    const [state] = archive.states();
    expect(state!.to.revision).toBeLessThan(40);
    expect(await restoreNewest(archive)).toBeUndefined();
  });

  it('is not what a list shows that is made while objects come: it lacks one and has the next', async () => {
    const { target, tail } = await makeArchive();
    const racing = new RacingTarget({}, target.objects);
    racing.unseen = tail[1];
    const archive = await Archive.open(racing);
    expect(archive.problems).toEqual([]);
    expect(archive.states().at(-1)!.to).toEqual(made.store.position);
  });

  it('of a tail’s object that follows another one is told, and nothing behind it is listed', async () => {
    const { target, maker } = await makeArchive();
    const line = maker.lines[0]!;
    line.tails.length = 0;
    await line.tail(inGroups(framesBetween(made, 24, 40), 2), { change: { after: 'ff'.repeat(32) } });
    await maker.publish();
    const archive = await Archive.open(target);
    expect(archive.problems).toMatchObject([{ text: expect.stringContaining('it does not follow') }]);
    expect(archive.states().at(-1)!.to.revision).toBeLessThan(40);
  });

  it('is found where an object is of another archive', async () => {
    const { target, maker } = await makeArchive();
    const { target: other } = await makeArchive({ archive: 'cd'.repeat(16) });
    for (const { path } of maker.lines[0]!.objects.filter(object => object.kind === 'stretch')) {
      target.objects.set(path, other.objects.get(path)!);
    }
    const archive = await Archive.open(target);
    await expect(archive.plan({ epoch: 1, revision: 2 })).rejects.toMatchObject({ code: 'DAMAGED' });
    const sums = maker.lines[0]!.objects.map(object => (object.kind === 'stretch' ? object.path : ''));
    const error = await archive.plan({ epoch: 1, revision: 2 }).catch((thrown: unknown) => thrown);
    expect(sums).toContain((error as { details: { object: string } }).details.object);
  });

  it('of HEAD leaves what the newest sound manifest names, and is said aloud', async () => {
    const { target } = await makeArchive();
    flip(target, 'HEAD', 50);
    const reports: Report[] = [];
    const archive = await Archive.open(target, { report: report => reports.push(report) });
    expect(archive.head).toBeUndefined();
    expect(reports.map(({ event }) => event)).toEqual(['archive-damaged', 'archive-older-manifest']);
    expect(archive.problems[0]!.text).toContain('HEAD is damaged');
    expect((await archive.plan()).position).toEqual(made.store.position);
    target.objects.delete('HEAD');
    expect((await (await Archive.open(target)).plan()).position).toEqual(made.store.position);
  });

  it('of the manifest leaves what the one before it names', async () => {
    const { target, maker } = await makeArchive();
    const hash = await maker.publish(manifest => ({ ...manifest, lines: manifest.lines.map(line => ({ ...line, tails: [] })) }));
    flip(target, manifestKey(hash), 9);
    const archive = await Archive.open(target);
    expect(archive.manifestHash).not.toBe(hash);
    expect(archive.problems.map(({ object }) => object)).toContain(manifestKey(hash));
    expect((await archive.plan()).position).toEqual(made.store.position);
    for (const key of target.objects.keys()) if (key.startsWith('manifest/') && key !== manifestKey(hash)) flip(target, key, 9);
    await expect(Archive.open(target)).rejects.toMatchObject({ code: 'DAMAGED', message: expect.stringContaining('no sound manifest') });
  });

  it('is not what is wrong where there is no archive, or the wrong identity', async () => {
    await expect(Archive.open(new MemoryTarget())).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('backup init'),
    });
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target, { sealing: Recipients.parse([RECIPIENT]) });
    await makeLine(made, maker.line());
    await maker.publish();
    const other = Identities.parse(['AGE-SECRET-KEY-195QPSH2V4YW7AQ0SF9N7Y2GPXWYZSA0J3E7KFWMF07V03GZPAHCQ926RPF']);
    await expect(Archive.open(target, { identities: other })).rejects.toMatchObject({ code: 'IDENTITY_NEEDED' });
    const archive = await Archive.open(target);
    expect(await archive.plan()).toMatchObject({ position: made.store.position, digest: made.store.digest, site: undefined });
    await expect(archive.plan('early')).rejects.toMatchObject({ code: 'IDENTITY_NEEDED' });
    expect((await (await Archive.open(target, { identities: Identities.parse([IDENTITY]) })).plan('early')).position.revision).toBe(11);
  });

  it.each(['get', 'list'] as const)('is not what a target that fails shows: the error of a %s goes to the caller', async operation => {
    const { target } = await makeArchive();
    using _ = target.fail({ operation, key: /^tail/ });
    await expect(Archive.open(target)).rejects.toMatchObject({ code: 'UNREACHABLE' });
  });

  it('lets a gap be known: no state in it, and a time that may lie in it is refused with both ends', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const line = maker.line();
    await line.stretch(framesBetween(made, 0, 12));
    line.gaps.push({
      from: framesBetween(made, 0, 12).at(-1)!.header.last,
      to: made.snapshots.get(24)!.header.position,
      reason: 'spool-full',
      time: 5,
    });
    await line.image(made.snapshots.get(24)!);
    await line.stretch(framesBetween(made, 24, 40));
    await maker.publish();
    const archive = await Archive.open(target);
    expect(archive.problems).toEqual([]);
    expect(archive.states()).toMatchObject([
      { from: { revision: 0 }, to: { revision: 12 } },
      { from: { revision: 24 }, to: { revision: 40 } },
    ]);
    await expect(archive.plan({ epoch: 1, revision: 15 })).rejects.toMatchObject({
      code: 'COMPACTED',
      message: expect.stringContaining('the nearest states that can be restored are 1-12 and 2-24'),
    });
    const { time } = made.snapshots.get(24)!.header;
    await expect(archive.plan({ time: time - 1 })).rejects.toMatchObject({
      code: 'COMPACTED',
      message: expect.stringContaining('1-12 and 2-24'),
    });
    expect((await archive.plan({ time })).position.revision).toBe(24);
    expect((await archive.plan({ time: made.snapshots.get(12)!.header.time - 1 })).position.revision).toBe(11);
  });

  it('of an image’s entry leaves the states of the frames there, and is told', async () => {
    const { target, maker } = await makeArchive();
    await maker.publish(manifest => ({
      ...manifest,
      lines: manifest.lines.map(line => ({
        ...line,
        objects: line.objects.map(object => (object.kind === 'image' ? { ...object, chain: 'ee'.repeat(32) } : object)),
      })),
    }));
    const archive = await Archive.open(target);
    expect(archive.problems).toMatchObject([{ text: 'the image at 2-24 is of another history than the frames there' }]);
    expect(archive.states()).toMatchObject([{ from: { revision: 0 }, to: { revision: 40 }, images: [] }]);
    expect(await restoreNewest(archive)).toBeUndefined();
  });

  it('takes the line that stands, says why, and others when they are asked for', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    await maker.line('former').stretch(framesBetween(made, 0, 12));
    await makeLine(made, maker.line('present'));
    await maker.publish();
    const archive = await Archive.open(target);
    const plan = await archive.plan();
    expect(plan).toMatchObject({ site: 'present', chosen: expect.stringContaining('of former') });
    expect((await archive.plan(undefined, { line: 'former' })).position.revision).toBe(12);
    expect((await archive.plan(undefined, { line: plan.line.slice(0, 16) })).site).toBe('present');
    await expect(archive.plan(undefined, { line: 'x' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(archive.plan(undefined, { line: '1111' })).rejects.toMatchObject({ message: expect.stringContaining('names 2 lines') });
  });

  it('counts a tail that another one follows only up to there', async () => {
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    const line = maker.line();
    await line.stretch(framesBetween(made, 0, 12));
    // The first writer went on after the second had taken the line over at 20, where an epoch ends.
    const frames = framesBetween(made, 12, 40);
    const at = frames.findIndex(({ header }) => header.beginsEpoch);
    await line.tail(inGroups(frames, 1));
    await line.tail(inGroups(frames.slice(at), 2));
    await maker.publish();
    const archive = await Archive.open(target);
    expect(archive.problems).toEqual([]);
    expect(archive.lines[0]!.stretches.filter(({ path }) => path.startsWith('tail'))).toHaveLength(
      at + inGroups(frames.slice(at), 2).length,
    );
    expect(await restoreNewest(archive)).toBeUndefined();
  });
});
