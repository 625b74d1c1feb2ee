import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ORIGIN, type Epoch } from '@evertree/core';
import type { RetentionOptions, RetentionPlan } from './retention.ts';
import { fullIn, planRetention, SNAPSHOT_GRACE_MS } from './retention.ts';

const NOW = 1_000_000_000;
const unlimited: RetentionOptions = { maxBytes: 1e12, minBytes: 0, minMs: 0, maxMs: 0, maxCommits: 1e12, rewindMs: 0 };

function at(revision: number) {
  return { epoch: 1, epochId: '1'.repeat(16), revision };
}

const epoch1: Epoch = { number: 1, id: '1'.repeat(16), site: 'a', base: ORIGIN, reason: 'start', time: 0 };
/** Epoch 2 began on 1-20. */
const promoted: Epoch[] = [epoch1, { ...epoch1, number: 2, id: '2'.repeat(16), base: at(20) }];

/** A plan that has only the names of the leases. */
type NamedPlan = Omit<RetentionPlan, 'passed' | 'atRisk'> & { readonly passed: readonly string[]; readonly atRisk: readonly string[] };

interface Case {
  /** Ends of the segments; each takes 100 bytes. */
  readonly ends: readonly number[];
  /** Where the first segment begins; 0 unless said otherwise. */
  readonly begin?: number;
  /** The table of epochs of the snapshots; epoch 1 alone unless said otherwise. */
  readonly epochs?: readonly Epoch[];
  /** Positions of the snapshots; each takes 10 bytes. */
  readonly snapshots: readonly number[];
  readonly peers?: Readonly<Record<string, number>>;
  /** Copies under way, by their positions. */
  readonly copies?: Readonly<Record<string, number>>;
  readonly ageMs?: (index: number) => number;
  readonly supersededMs?: number;
  /** How long ago the positions of the snapshots were committed. */
  readonly snapshotAges?: readonly number[];
}

function leasesOf(kind: 'peer' | 'copy', positions: Case['peers'] = {}) {
  return Object.entries(positions).map(([name, revision]) => ({ kind, name, position: at(revision), expiresAt: undefined }));
}

function plan(given: Case, options: Partial<RetentionOptions> = {}): NamedPlan {
  const found = planRetention(
    {
      segments: given.ends.map((end, index) => ({
        base: at(given.ends[index - 1] ?? given.begin ?? 0),
        last: at(end),
        lastTime: NOW - (given.ageMs?.(index) ?? 1e6),
        bytes: 100,
      })),
      snapshots: given.snapshots.map((revision, index) => ({
        position: given.epochs === promoted ? { epoch: 2, epochId: '2'.repeat(16), revision } : at(revision),
        epochs: given.epochs ?? [epoch1],
        time: NOW - (given.snapshotAges?.[index] ?? 1e6),
        bytes: 10,
        supersededMs: index === given.snapshots.length - 1 ? undefined : (given.supersededMs ?? 0),
      })),
      leases: [...leasesOf('peer', given.peers), ...leasesOf('copy', given.copies)],
      now: NOW,
    },
    { ...unlimited, ...options },
  );
  return { ...found, passed: found.passed.map(({ name }) => name), atRisk: found.atRisk.map(({ name }) => name) };
}

const ends = [10, 20, 30, 40, 50];

/** A second for each segment that came later. */
function ageMs(index: number): number {
  return (5 - index) * 1_000;
}

describe('retention keeps', () => {
  test('what leads to all positions that are young enough, unless the limit is near', () => {
    const given = { ends, snapshots: [5, 20, 40], snapshotAges: [9_000, 5_000, 2_000] };
    expect(plan(given, { rewindMs: 0 })).toMatchObject({ segments: 4 });
    expect(plan(given, { rewindMs: 2_000 })).toMatchObject({ segments: 4 });
    expect(plan(given, { rewindMs: 2_001 })).toMatchObject({ segments: 2, snapshots: 1 });
    expect(plan(given, { rewindMs: 5_001 })).toMatchObject({ segments: 0, snapshots: 0 });
    expect(plan({ ...given, snapshots: [12, 20, 40] }, { rewindMs: 9_001 }), 'from the origin').toMatchObject({ segments: 0 });
    expect(plan({ ends, begin: 2, snapshots: [12, 40], snapshotAges: [9_000, 2_000] }, { rewindMs: 9_001 })).toMatchObject({ segments: 1 });
    expect(plan(given, { rewindMs: 2_001, maxBytes: 390 }), 'near the limit').toMatchObject({ segments: 4 });
  });

  test('everything, as long as there is no snapshot', () => {
    expect(plan({ ends, snapshots: [] }, { maxBytes: 1 })).toMatchObject({ segments: 0, snapshots: 0, isNear: true });
  });

  test('without peers, what follows the newest snapshot, in whole segments', () => {
    expect(plan({ ends, snapshots: [5, 35] })).toMatchObject({ segments: 3, snapshots: 1, passed: [] });
    expect(plan({ ends, snapshots: [5, 40] })).toMatchObject({ segments: 4, snapshots: 1 });
    expect(plan({ ends, snapshots: [5, 50] })).toMatchObject({ segments: 4, snapshots: 1 });
    expect(plan({ ends, snapshots: [5] }), 'nothing ends before it').toMatchObject({ segments: 0, snapshots: 0 });
  });

  test('the snapshot on which the oldest segment that is kept begins', () => {
    expect(plan({ ends, snapshots: [20, 35] }, { minBytes: 300 })).toMatchObject({ segments: 2, snapshots: 0 });
    expect(plan({ ends, snapshots: [19, 35] }, { minBytes: 300 })).toMatchObject({ segments: 2, snapshots: 1 });
  });

  test('the newest snapshot, also where no segment is left', () => {
    expect(plan({ ends: [], snapshots: [] })).toEqual({
      segments: 0,
      snapshots: 0,
      held: [],
      spareBytes: 0,
      passed: [],
      isNear: false,
      atRisk: [],
      riskBelow: 0,
    });
    expect(plan({ ends: [], snapshots: [5, 35], peers: { b: 4 } })).toMatchObject({ segments: 0, snapshots: 1, passed: [] });
  });

  test('what a peer of another history needs from the fork on, and nothing for one that shares no epoch', () => {
    const given = { ends, snapshots: [15, 35], epochs: promoted };
    expect(plan({ ...given, peers: { b: 45 } }), '1-45, beyond the end of epoch 1').toMatchObject({ segments: 1, snapshots: 0 });
    const strange = [{ ...epoch1, id: '9'.repeat(16) }];
    expect(plan({ ...given, epochs: strange, peers: { b: 12 } })).toMatchObject({ segments: 3, snapshots: 1, passed: [] });
  });

  test('what follows the newest snapshot at or before the lowest position of a listed peer', () => {
    expect(plan({ ends, snapshots: [5, 15, 35], peers: { b: 34, c: 50 } })).toMatchObject({ segments: 1, snapshots: 1 });
    expect(plan({ ends, snapshots: [5, 15, 35], peers: { b: 35, c: 50 } })).toMatchObject({ segments: 3, snapshots: 2 });
    expect(plan({ ends, snapshots: [5, 15, 35], peers: { b: 4, c: 50 } })).toMatchObject({ segments: 0, snapshots: 0 });
  });

  test('nothing for a peer that never held anything: it begins with a full copy anyway', () => {
    expect(plan({ ends, snapshots: [5, 35], peers: { b: 0 } })).toMatchObject({ segments: 3, snapshots: 1, passed: [] });
  });

  test('what is young, and as many bytes as it has to', () => {
    expect(plan({ ends, snapshots: [35], ageMs }, { minMs: 3_500 })).toMatchObject({ segments: 2 });
    expect(plan({ ends, snapshots: [35], ageMs }, { minMs: 4_000 }), 'the second is as old as that').toMatchObject({ segments: 2 });
    expect(plan({ ends, snapshots: [35], ageMs }, { minMs: 4_001 })).toMatchObject({ segments: 1 });
    expect(plan({ ends, snapshots: [35], ageMs: () => -1 }), 'nothing is young without minMs').toMatchObject({ segments: 3 });
    expect(plan({ ends, snapshots: [35], ageMs }, { minMs: 60_000 })).toMatchObject({ segments: 0 });
    expect(plan({ ends, snapshots: [35] }, { minBytes: 300 })).toMatchObject({ segments: 2 });
    expect(plan({ ends, snapshots: [35] }, { minBytes: 301 })).toMatchObject({ segments: 1 });
  });

  test('a snapshot that a copying tool may just be about to open', () => {
    expect(plan({ ends, snapshots: [5, 35], supersededMs: NOW - SNAPSHOT_GRACE_MS + 1 })).toMatchObject({ segments: 3, snapshots: 0 });
    expect(plan({ ends, snapshots: [5, 35], supersededMs: NOW - SNAPSHOT_GRACE_MS })).toMatchObject({ segments: 3, snapshots: 1 });
  });
});

describe('history that nobody asks for', () => {
  const whole = { maxMs: 1e12 };
  const given = { ends, snapshots: [5, 15, 35], ageMs, snapshotAges: [4_600, 3_500, 1_500] };

  test('stays from the origin on while there is room', () => {
    expect(plan(given, whole)).toMatchObject({ segments: 0, snapshots: 0, spareBytes: 320, isNear: false, held: [] });
    expect(plan(given, { ...whole, maxBytes: 530 })).toMatchObject({ segments: 0, snapshots: 0 });
  });

  test('goes step by step from one snapshot to the next, the oldest first, when there is no more room', () => {
    expect(plan(given, { ...whole, maxBytes: 529 })).toMatchObject({ segments: 1, snapshots: 1, isNear: false });
    expect(plan(given, { ...whole, maxBytes: 420 })).toMatchObject({ segments: 1, snapshots: 1 });
    expect(plan(given, { ...whole, maxBytes: 419 })).toMatchObject({ segments: 3, snapshots: 2 });
  });

  test('goes when it is older than it may be: no later than the snapshot that leads to all that is younger', () => {
    expect(plan(given, { maxMs: 3_501 })).toMatchObject({ segments: 0, snapshots: 0 });
    expect(plan(given, { maxMs: 3_500 })).toMatchObject({ segments: 1, snapshots: 1 });
    expect(plan(given, { maxMs: 1_501 })).toMatchObject({ segments: 1, snapshots: 1 });
    expect(plan(given, { maxMs: 1_500 })).toMatchObject({ segments: 3, snapshots: 2 });
    expect(plan(given, { maxMs: 0 })).toMatchObject({ segments: 3, snapshots: 2 });
  });

  test('goes when more commits follow it than are to be kept', () => {
    expect(plan(given, { ...whole, maxCommits: 46 })).toMatchObject({ segments: 0 });
    expect(plan(given, { ...whole, maxCommits: 36 })).toMatchObject({ segments: 0 });
    expect(plan(given, { ...whole, maxCommits: 35 })).toMatchObject({ segments: 1, snapshots: 1 });
    expect(plan(given, { ...whole, maxCommits: 15 })).toMatchObject({ segments: 3, snapshots: 2 });
    expect(plan(given, { ...whole, maxCommits: 0 })).toMatchObject({ segments: 3, snapshots: 2 });
  });

  test('stays in any case if it is young or small enough, whatever the limits of age and count', () => {
    expect(plan(given, { maxMs: 1, minMs: 4_500 })).toMatchObject({ segments: 1 });
    expect(plan(given, { maxCommits: 1, minBytes: 401 })).toMatchObject({ segments: 0 });
  });

  test('does not make the limit seem near, nor puts anybody at risk: it is what goes first', () => {
    expect(plan({ ...given, peers: { b: 14 } }, { ...whole, maxBytes: 535 })).toMatchObject({ segments: 0, isNear: true, atRisk: ['b'] });
    expect(plan({ ...given, peers: { b: 36 } }, { ...whole, maxBytes: 535 })).toMatchObject({ segments: 0, isNear: false, atRisk: [] });
  });

  const held = (options: Partial<RetentionOptions>, peers: Record<string, number>) =>
    plan({ ...given, peers }, options).held.map(({ kind, name, position, bytes }) => [kind, name, position.revision, bytes]);

  test('is named with who needs it where it stays beyond the limits', () => {
    expect(held({ maxMs: 1_500 }, { c: 34, b: 12, d: 36 })).toEqual([
      ['peer', 'b', 12, 300],
      ['peer', 'c', 34, 200],
    ]);
    expect(held({ maxMs: 3_500 }, { c: 34, b: 12 })).toEqual([['peer', 'b', 12, 100]]);
    expect(held(whole, { b: 12 })).toEqual([]);
    expect(held({ maxMs: 1_500, maxBytes: 250 }, { b: 12 }), 'one that was passed holds nothing').toEqual([]);
  });

  test('that stays begins at a snapshot or at the origin, and holds all that the limits ask for', () => {
    const cases = fc.record({
      steps: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 }),
      snapshots: fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 5 }),
      maxBytes: fc.integer({ min: 0, max: 1_500 }),
      maxCommits: fc.integer({ min: 1, max: 100 }),
    });
    fc.assert(
      fc.property(cases, ({ steps, snapshots, maxBytes, maxCommits }) => {
        let end = 0;
        const segmentEnds = steps.map(each => (end += each));
        const positions = [...new Set(snapshots.map(position => Math.min(position, end)))].toSorted((a, b) => a - b);
        const found = plan({ ends: segmentEnds, snapshots: positions }, { ...whole, maxBytes, maxCommits });
        const begin = segmentEnds[found.segments - 1] ?? 0;
        const oldest = positions[found.snapshots]!;
        expect(begin === 0 || begin <= oldest).toBe(true);
        const left = (segmentEnds.length - found.segments) * 100 + (positions.length - found.snapshots) * 10;
        const reaches = begin === 0 ? 0 : oldest;
        const everything = segmentEnds.length * 100 + positions.length * 10;
        if (everything <= maxBytes) expect(reaches).toBeLessThanOrEqual(Math.max(0, end - maxCommits));
        const droppable = segmentEnds.slice(0, -1).filter(each => each <= positions.at(-1)!).length;
        if (left > maxBytes) expect([found.segments, found.snapshots]).toEqual([droppable, positions.length - 1]);
      }),
    );
  });
});

describe('the time until the history is full', () => {
  const hour = 3_600_000;

  test('follows from the growth of the last hour', () => {
    const segments = [
      { lastTime: NOW - 5 * hour, bytes: 9e9 },
      { lastTime: NOW - 2 * hour, bytes: 100 },
      { lastTime: NOW - hour / 2, bytes: 300 },
      { lastTime: NOW, bytes: 100 },
    ];
    expect(fullIn({ segments, since: 0 }, NOW, 400)).toBe(2 * hour);
    expect(fullIn({ segments, since: 0 }, NOW, 0)).toBe(0);
    expect(fullIn({ segments, since: 0 }, NOW, -5)).toBe(0);
  });

  test('follows from all of a history that is younger, and is not known where nothing grew or no time went by', () => {
    const one = [{ lastTime: NOW, bytes: 50 }];
    expect(fullIn({ segments: one, since: NOW - 1_000 }, NOW, 200)).toBe(4_000);
    expect(fullIn({ segments: one, since: undefined }, NOW, 200)).toBeUndefined();
    expect(fullIn({ segments: one, since: NOW }, NOW, 200)).toBeUndefined();
    expect(fullIn({ segments: [], since: undefined }, NOW, 200)).toBeUndefined();
  });
});

describe('at the limit', () => {
  test('older snapshots go first, then the oldest frames, and the peers that needed them are named', () => {
    const given = { ends, snapshots: [5, 15, 35], peers: { b: 4, c: 12, d: 50 } };
    expect(plan(given, { maxBytes: 530 })).toMatchObject({ segments: 0, snapshots: 0, passed: [] });
    expect(plan(given, { maxBytes: 510 })).toMatchObject({ segments: 0, snapshots: 2, passed: [] });
    expect(plan(given, { maxBytes: 410 })).toMatchObject({ segments: 1, snapshots: 2, passed: ['b'] });
    expect(plan(given, { maxBytes: 310 })).toMatchObject({ segments: 2, snapshots: 2, passed: ['b', 'c'] });
  });

  test('only those are passed that needed what goes with this run', () => {
    const given = { begin: 5, ends, snapshots: [35], peers: { gone: 4, b: 5, c: 9, d: 10 } };
    expect(plan(given, { maxBytes: 420 })).toMatchObject({ segments: 1, passed: ['b', 'c'] });
    expect(plan(given, { maxBytes: 520 })).toMatchObject({ segments: 0, passed: [], atRisk: ['b', 'c', 'd'] });
    expect(plan({ ...given, snapshots: [] }, { maxBytes: 520 })).toMatchObject({ passed: [], atRisk: ['b', 'c', 'd'] });
  });

  test('is near above four fifths, and not at four fifths', () => {
    const given = { ends, peers: { b: 4 } };
    expect(plan({ ...given, snapshots: [] }, { maxBytes: 625 })).toMatchObject({ isNear: false, atRisk: [] });
    expect(plan({ ...given, snapshots: [] }, { maxBytes: 624 })).toMatchObject({ isNear: true, atRisk: ['b'] });
    expect(plan({ ...given, snapshots: [5, 35] }, { maxBytes: 650 })).toMatchObject({ isNear: false, atRisk: [] });
    expect(plan({ ...given, snapshots: [5, 35] }, { maxBytes: 649 })).toMatchObject({ isNear: true, atRisk: ['b'] });
  });

  test('what is young goes, too', () => {
    expect(plan({ ends, snapshots: [35] }, { minMs: 1e9, minBytes: 1e9, maxBytes: 300 })).toMatchObject({ segments: 3 });
  });

  test('but never what the site itself recovers from', () => {
    expect(plan({ ends, snapshots: [35] }, { maxBytes: 0 })).toMatchObject({ segments: 3, snapshots: 0, isNear: true });
  });

  test('from four fifths of it on, the peers at risk are named, the one furthest behind first', () => {
    const given = { ends, snapshots: [35], peers: { d: 34, b: 12, c: 36 } };
    expect(plan(given, { maxBytes: 638 })).toMatchObject({ segments: 0, isNear: false, atRisk: [] });
    expect(plan(given, { maxBytes: 637 })).toMatchObject({ segments: 0, isNear: true, atRisk: ['b', 'd'] });
    const first = { ...given, snapshots: [] };
    expect(plan(first, { maxBytes: 624 }), 'before the first snapshot').toMatchObject({
      segments: 0,
      isNear: true,
      atRisk: ['b', 'd', 'c'],
    });
  });
});

test('a copy under way keeps its snapshot and all frames after that, or is told to have lost them', () => {
  const given = { ends, snapshots: [15, 35], copies: { rsync: 25 } };
  expect(plan(given)).toMatchObject({ segments: 1, snapshots: 0, passed: [] });
  expect(plan(given, { maxBytes: 420 })).toMatchObject({ segments: 1, snapshots: 0, passed: [] });
  expect(plan(given, { maxBytes: 419 }), 'its snapshot goes').toMatchObject({ segments: 1, snapshots: 1, passed: ['rsync'] });
  expect(plan(given, { maxBytes: 320 }), 'frames after it go').toMatchObject({ segments: 2, snapshots: 1, passed: ['rsync'] });
  const late = { ends, begin: 5, snapshots: [35], copies: { rsync: 25 } };
  expect(plan(late), 'it has no snapshot').toMatchObject({ passed: ['rsync'] });
  const whole = { ends, snapshots: [35], copies: { rsync: 25 } };
  expect(plan(whole, { maxBytes: 520 }), 'it begins with the stream').toMatchObject({ segments: 0, passed: [] });
});

test('the newest snapshot and all after it always stay; everything together exceeds the limit only if these alone do', () => {
  const given = fc.record({
    steps: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 }),
    snapshots: fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 5 }),
    peers: fc.dictionary(fc.string(), fc.integer({ min: 0, max: 100 })),
    options: fc.record({
      maxBytes: fc.integer({ min: 0, max: 1_500 }),
      minBytes: fc.integer({ min: 0, max: 1_500 }),
      minMs: fc.integer({ min: 0, max: 1e7 }),
    }),
  });
  fc.assert(
    fc.property(given, ({ steps, snapshots, peers, options }) => {
      let end = 0;
      const segmentEnds = steps.map(step => (end += step));
      const positions = snapshots.map(position => Math.min(position, end)).toSorted((a, b) => a - b);
      const found = plan({ ends: segmentEnds, snapshots: positions, peers }, options);
      const newest = positions.at(-1)!;
      expect(found.snapshots).toBeLessThan(positions.length);
      expect(found.segments).toBeLessThan(segmentEnds.length);
      expect(segmentEnds[found.segments - 1] ?? 0).toBeLessThanOrEqual(newest);
      const left = (segmentEnds.length - found.segments) * 100 + (positions.length - found.snapshots) * 10;
      const droppable = segmentEnds.slice(0, -1).filter(each => each <= newest).length;
      if (left > options.maxBytes) expect([found.segments, found.snapshots]).toEqual([droppable, positions.length - 1]);
    }),
  );
});
