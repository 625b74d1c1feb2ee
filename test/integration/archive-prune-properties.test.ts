import { type ArchivedObject, type KeepRules, movingHead, prune, readHeadState } from '@evertree/archive';
import { describe, expect, it } from 'vitest';
import { Chance } from '../simulation/chance.ts';
import { image, initialized, lineOf, putEntry, stretch, STREAM } from '../support/archive-entries.ts';
import { ManualClock } from '../support/host.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { DAY, PruneWorld, restorableRevisions } from '../support/prune-world.ts';

/** Another one each day, so that many are tried in the end; a failure names it. */
const FIRST_SEED = Math.floor(Date.now() / DAY) * 1_000;

function seeds(count: number): number[] {
  return Array.from({ length: count }, (_, index) => FIRST_SEED + index);
}

async function named<T>(seed: number, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
  }
}

describe('writers, readers and pruners at one archive, in any order, each killed at any call', () => {
  it('leave nothing missing that a manifest or a pin names, and every state that a rule keeps', async () => {
    const sums = { published: 0, rewritten: 0, deaths: 0, deleted: 0, lostPins: 0, read: 0 };
    for (const seed of seeds(25)) {
      const world = new PruneWorld(new Chance(seed));
      await named(seed, async () => {
        await world.run(1_200);
        await world.settle();
        expect(world.data).toEqual(world.namedBy(world.manifest!).toSorted());
        expect(world.manifest!.condemned).toEqual([]);
      });
      for (const key of Object.keys(sums) as (keyof typeof sums)[]) sums[key] += world.counts[key];
    }
    // Each of the ways was taken.
    for (const [what, count] of Object.entries(sums)) expect({ what, happened: count > 5 }).toEqual({ what, happened: true });
  }, 120_000);
});

/** A line of anything: images and stretches, holes, forged times. */
function anyLine(chance: Chance): ArchivedObject[] {
  const objects: ArchivedObject[] = [];
  let revision = chance.happens(0.5) ? 0 : 1 + chance.below(5);
  let archived = Date.UTC(2026, 0, 1) + chance.below(DAY);
  const note = () => ({ time: chance.pick([archived, archived, archived - chance.below(3 * DAY), 5, archived * 3]), archived });
  if (revision > 0) objects.push(image(revision, note()));
  for (let count = 1 + chance.below(25); count > 0; count--) {
    archived += chance.below(2 * DAY);
    if (chance.happens(0.08)) objects.push(image((revision += 2 + chance.below(4)), note()));
    const next = revision + 1 + chance.below(6);
    objects.push(stretch(revision, next, { ...note(), marks: chance.happens(0.2) ? [next] : [] }));
    revision = next;
    if (chance.happens(0.3)) objects.push(image(revision, { ...note(), marks: chance.happens(0.3) ? [1 + chance.below(revision)] : [] }));
  }
  return objects;
}

function anyRules(chance: Chance): KeepRules {
  const rules: KeepRules = {
    ...(chance.happens(0.4) ? { last: 1 + chance.below(6) } : {}),
    ...(chance.happens(0.4) ? { withinMs: 1 + chance.below(20 * DAY) } : {}),
    ...(chance.happens(0.4) ? { daily: 1 + chance.below(8) } : {}),
    ...(chance.happens(0.3) ? { weekly: 1 + chance.below(4) } : {}),
    ...(chance.happens(0.3) ? { monthly: 1 + chance.below(3) } : {}),
    ...(chance.happens(0.5) ? { atLeast: 1 + chance.below(5) } : {}),
  };
  return Object.keys(rules).some(name => name !== 'atLeast') ? rules : { ...rules, last: 1 };
}

function ends(objects: readonly ArchivedObject[]): EndState[] {
  const found = new Map<number, EndState>();
  for (const entry of objects) {
    const [revision, time] = entry.kind === 'image' ? [entry.position.revision, entry.time] : [entry.last.revision, entry.lastTime];
    const archived = found.get(revision)?.archived ?? entry.archived!;
    found.set(revision, { revision, time, archived, isImage: entry.kind === 'image' });
  }
  return [...found.values()].toSorted((a, b) => a.revision - b.revision);
}

describe('any archive under any rules', () => {
  it('keeps what they ask for, and a dry run says what a real one does', async () => {
    for (const seed of seeds(300)) await named(seed, () => checkArchive(new Chance(seed)));
    expect.hasAssertions();
  }, 60_000);
});

async function checkArchive(chance: Chance): Promise<void> {
  const clock = new ManualClock();
  clock.advance(Date.UTC(2026, 5, 1));
  const target = new MemoryTarget({ clock });
  await initialized(target);
  const objects = anyLine(chance);
  for (const entry of objects) await putEntry(target, entry);
  await movingHead(target, () => ({ manifest: { stream: STREAM, lines: [lineOf(objects)], condemned: [] } }));
  const rules = anyRules(chance);
  const end = Math.max(...ends(objects).map(({ revision }) => revision));
  const before = restorableRevisions(objects, end);
  const states = ends(objects).filter(({ revision }) => before.has(revision));
  const dry = await prune(target, { rules, dryRun: true });
  const real = await prune(target, { rules });
  expect({ ...dry, dryRun: false }).toEqual(real);
  const { manifest } = await readHeadState(target);
  const left = manifest!.lines[0]!;
  const after = restorableRevisions(left.objects, end);
  const due = dueStates(states, rules);
  expect(due.filter(revision => !after.has(revision))).toEqual([]);
  expect([...after].filter(revision => !before.has(revision))).toEqual([]);
  expect(states.filter(({ revision }) => after.has(revision)).length).toBeGreaterThanOrEqual(Math.min(states.length, rules.atLeast ?? 3));
  for (const revision of marksOf(objects)) if (before.has(revision)) expect(after.has(revision)).toBe(true);
  // Every hole is told of: it is in a gap, or was never restorable.
  const lost = [...before].filter(revision => !after.has(revision) && revision > Math.min(...[...after].filter(each => each > 0)));
  const inGap = (revision: number) => left.gaps.some(({ from, to }) => from.revision < revision && revision < to.revision);
  expect(lost.filter(revision => !inGap(revision))).toEqual([]);
  for (let waiting = Infinity; waiting > 0; clock.advance(2 * DAY)) waiting = (await prune(target, { rules })).waiting.objects;
  // Pruned again and again, nothing goes that the rules asked for in the beginning, and nothing stays that no manifest names.
  const last = (await readHeadState(target)).manifest!.lines[0]!.objects;
  const inTheEnd = restorableRevisions(last, end);
  expect(due.filter(revision => !inTheEnd.has(revision))).toEqual([]);
  const paths = last.flatMap(entry => (entry.kind === 'image' ? entry.parts.map(({ path }) => path) : [entry.path]));
  expect(target.keys.filter(key => /^(?:stretch|image)\//.test(key))).toEqual(paths.toSorted());
}

interface EndState {
  readonly revision: number;
  readonly archived: number;
  readonly time: number;
  readonly isImage: boolean;
}

/** What the rules ask for, by when states were archived: commit times may be forged. */
function dueStates(states: readonly EndState[], { last = 0, withinMs, daily = 0 }: KeepRules): number[] {
  const newest = states.at(-1);
  if (newest === undefined) return [];
  const due = [newest, ...(last === 0 ? [] : states.slice(-last))];
  if (withinMs !== undefined) due.push(...states.filter(({ archived }) => archived >= newest.archived - withinMs));
  const dayOf = ({ archived, time }: EndState) => Math.floor((time <= archived && time >= archived - DAY ? time : archived) / DAY);
  const days = [...new Set(states.toReversed().map(dayOf))].slice(0, daily);
  for (const day of days) {
    const ofDay = states.filter(state => dayOf(state) === day);
    due.push(ofDay.findLast(({ isImage }) => isImage) ?? ofDay.at(-1)!);
  }
  return due.map(({ revision }) => revision);
}

/** States that are marked as far as the line tells: by its newest image, and by frames after it. */
function marksOf(objects: readonly ArchivedObject[]): number[] {
  const newest = objects.findLast(entry => entry.kind === 'image');
  const after = newest?.position.revision ?? 0;
  return [
    ...(newest?.marks ?? []),
    ...objects.flatMap(entry => (entry.kind === 'stretch' && entry.last.revision > after ? entry.marks : [])),
  ];
}
