import { Archive, Identities, type Opening, Recipients, type Sealing } from '@evertree/archive';
import { decodeChangeSets, type Frame, type StoredSnapshot } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import { ArchiveMaker, type LineMaker, snapshotOf } from '../support/archive-maker.ts';
import { IDENTITY, rebuild, RECIPIENT } from '../support/archived-history.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { RandomHistory } from '../support/random-history.ts';
import { framesOf, memoryStore } from '../support/stores.ts';

const SEEDS = Number(process.env['EVERTREE_SEEDS'] ?? 12);
const FIRST_SEED = Number(process.env['EVERTREE_SEED'] ?? Math.floor(Math.random() * 0x7fff_ffff));

interface RandomMade {
  readonly frames: readonly Frame[];
  readonly images: readonly StoredSnapshot[];
  /** By the revision at which a frame ends. */
  readonly digests: ReadonlyMap<number, string>;
}

async function makeRandom(history: RandomHistory): Promise<RandomMade> {
  const { store } = await memoryStore({ encoding: history.below(3) === 0 ? 'json' : 'binary' });
  const images: StoredSnapshot[] = [];
  for (let left = 20 + history.below(120); left > 0; left--) {
    history.commit(store);
    if (history.below(4) === 0) store.cut();
    if (history.below(40) === 0 && store.position.revision > 0) images.push(snapshotOf(store));
  }
  await store.flush();
  const frames = await framesOf(store.journal);
  return { frames, images, digests: new Map(frames.map(({ header }) => [header.last.revision, header.digest])) };
}

/** Cuts frames into stretches and tails as it comes, images among them. @returns where the frames begin */
async function writeLine(line: LineMaker, { frames, images }: RandomMade, history: RandomHistory): Promise<void> {
  const rest = [...frames];
  const waiting = [...images];
  const stretches = history.below(rest.length + 1);
  const take = (most: number) => rest.splice(0, Math.min(most, 1 + history.below(12)));
  while (rest.length > frames.length - stretches) {
    const end = rest[0]!.header.base.revision;
    while (waiting.length > 0 && waiting[0]!.header.position.revision <= end) await line.image(waiting.shift()!);
    await line.stretch(take(rest.length - (frames.length - stretches)));
  }
  while (rest.length > 0) {
    const groups: Frame[][] = [];
    for (let left = 1 + history.below(6); left > 0 && rest.length > 0; left--) groups.push(take(rest.length));
    await line.tail(groups, { from: 1 + history.below(3) });
  }
  for (const image of waiting) await line.image(image);
}

describe('random histories', () => {
  const seeds = Array.from({ length: SEEDS }, (_, index) => FIRST_SEED + index);

  it.each(seeds)('come back from an archive as they were (seed %d)', async seed => {
    const history = new RandomHistory(seed);
    const random = await makeRandom(history);
    const [sealing, identities]: [Sealing, Opening] =
      history.below(2) === 0 ? ['plain', undefined] : [Recipients.parse([RECIPIENT]), Identities.parse([IDENTITY])];
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target, { sealing });
    await writeLine(maker.line('näme 🌲'), random, history);
    await maker.publish();

    const archive = await Archive.open(target, { identities });
    expect(archive.problems).toEqual([]);
    expect(archive.states()).toHaveLength(1);
    const commits = random.frames.flatMap(frame => decodeChangeSets(frame));
    const plan = await archive.plan();
    expect(plan.position).toEqual(random.frames.at(-1)!.header.last);
    for (let left = 6; left > 0; left--) {
      const { revision, time } = history.pick(commits);
      const frame = random.frames.find(({ header }) => header.last.revision >= revision)!;
      const found = await archive.plan({ epoch: frame.header.epoch, revision });
      expect(found).toMatchObject({ position: { ...frame.header.last, revision }, time });
      const tree = await rebuild(archive, found);
      expect(tree.digest).toBe(random.digests.get(tree.head.last.revision));
      const given: Buffer[] = [];
      for await (const { bytes } of archive.frames(found)) given.push(Buffer.from(bytes));
      const start = found.image?.position.revision ?? 0;
      const meant = random.frames.filter(({ header }) => header.last.revision > start && header.base.revision < revision);
      expect(Buffer.concat(given).equals(Buffer.concat(meant.map(({ bytes }) => bytes)))).toBe(true);
    }
  });

  it.each(seeds)('show one random change of a byte, or come back right (seed %d)', async seed => {
    const history = new RandomHistory(seed);
    const random = await makeRandom(history);
    const target = new MemoryTarget();
    const maker = new ArchiveMaker(target);
    await writeLine(maker.line(), random, history);
    await maker.publish();
    const key = history.pick([...target.objects.keys()]);
    const object = target.objects.get(key)!;
    const bytes = Buffer.from(object.bytes);
    bytes[history.below(bytes.length)]! ^= 1 << history.below(8);
    target.objects.set(key, { ...object, bytes });
    try {
      const archive = await Archive.open(target);
      const isTold = archive.problems.length > 0;
      const plan = await archive.plan();
      const tree = await rebuild(archive, plan);
      expect(tree.digest).toBe(random.digests.get(plan.position.revision));
      // What was not told is whole.
      expect(isTold || plan.position.revision === random.frames.at(-1)!.header.last.revision).toBe(true);
    } catch (error) {
      expect(error).toMatchObject({ code: expect.stringMatching(/^(DAMAGED|FORMAT_UNSUPPORTED|NOT_FOUND)$/) });
    }
  });
});
