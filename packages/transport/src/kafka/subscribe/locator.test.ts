import { ORIGIN } from '@evertree/core';
import type { ExactPosition, FrameHeader } from '@evertree/core';
import { describe, expect, test } from 'vitest';
import { frameOf, POSITION, STREAM } from '../../../../../test/support/links.ts';
import type { SnapshotRecord } from '../control.ts';
import { readFrameHeader } from '@evertree/core';
import { Locator } from './locator.ts';
import type { Situation, LocatorStep } from './locator.ts';

const at = (revision: number): ExactPosition => ({ ...POSITION, revision });
/** The frame from `revision - 1` to `revision`. */
const frame = (revision: number): FrameHeader => readFrameHeader(frameOf(revision, 0).bytes);

function snapshotAt(revision: number, follow: number, stream = STREAM): SnapshotRecord {
  const header = { stream, position: at(revision), digest: '', chain: '', epochs: [], time: 0 };
  return { id: 'a', header, begin: '0', end: '1', chunks: 1, bytes: 1, follow: String(follow) };
}

/** A topic whose records 100 to 199 hold the frames that end at the same revisions. */
function situation(change: Partial<Situation> = {}): Situation {
  return {
    topic: 'T',
    bounds: { low: 100n, high: 200n },
    stream: STREAM,
    position: at(150),
    known: 150n,
    byTime: 149n,
    snapshot: undefined,
    primary: at(199),
    ...change,
  };
}

/** Where it looks, and what it ends with, if the topic holds these frames at these offsets. */
function locate(
  given: Situation,
  topic: (offset: bigint) => FrameHeader | undefined,
): { looked: bigint[]; end: LocatorStep; surprise: string | undefined } {
  const locator = new Locator(given);
  const looked: bigint[] = [];
  let step = locator.first();
  while (step.kind === 'look') {
    looked.push(step.offset);
    step = locator.judge(topic(step.offset));
  }
  return { looked, end: step, surprise: locator.surprise };
}

const sameAsOffset = (offset: bigint) => frame(Number(offset));
const empty = () => undefined;

describe('the place of a site in its topic', () => {
  test('is where its last frame was, if the frame is still there', () => {
    expect(locate(situation(), sameAsOffset)).toEqual({ looked: [150n], end: { kind: 'follow' }, surprise: undefined });
  });

  test('is found by time if no offset is known, or if another wire brought the last frame', () => {
    expect(locate(situation({ known: undefined }), sameAsOffset)).toMatchObject({ looked: [149n], end: { kind: 'follow' } });
  });

  test('is found by time if another record is at the offset, and that is reported', () => {
    const made = locate(situation({ known: 120n, byTime: 150n }), offset => frame(offset === 120n ? 180 : Number(offset)));
    expect(made).toMatchObject({ looked: [120n, 150n], end: { kind: 'follow' } });
    expect(made.surprise).toMatch(/^T holds the frame that ends at 7-180 where the frame that ends at 7-150 stood: it was made anew/);
  });

  test('is found from the beginning if neither helps', () => {
    const found = locate(situation({ known: undefined, byTime: 160n }), sameAsOffset);
    expect(found).toMatchObject({ looked: [160n, 100n], end: { kind: 'follow' } });
  });

  test('is the beginning if retention removed the record, but nothing after it', () => {
    expect(locate(situation({ position: at(99), known: 99n, byTime: 100n }), sameAsOffset)).toMatchObject({
      looked: [100n],
      end: { kind: 'follow' },
    });
  });

  test("is near the end if all records are older than the site's last frame", () => {
    const far = situation({ bounds: { low: 100n, high: 100_000n }, known: undefined, byTime: 100_000n, position: at(99_999) });
    expect(locate(far, sameAsOffset)).toMatchObject({ looked: [97_952n], end: { kind: 'follow' } });
  });

  test("of an empty site is the beginning, if the topic begins with the stream's first frame", () => {
    const fresh = situation({ bounds: { low: 0n, high: 9n }, stream: null, position: ORIGIN, known: undefined, byTime: undefined });
    expect(locate(fresh, () => ({ ...frame(1), base: ORIGIN }))).toMatchObject({ looked: [0n], end: { kind: 'follow' } });
  });
});

describe("a site that can't go back to the fork", () => {
  const forkPassed = { code: 'fork-passed' };

  test('follows no frame of the topic, although they go on from its position: it waits for a snapshot', () => {
    const { looked, end } = locate(situation({ isForkPassed: true }), sameAsOffset);
    expect(looked).toEqual([]);
    expect(end).toMatchObject({ kind: 'want', reason: forkPassed });
  });

  test("takes a snapshot of the primary's epoch, and none of an epoch before", () => {
    const snapshot = snapshotAt(160, 160);
    const given = situation({ isForkPassed: true, snapshot });
    expect(locate(given, sameAsOffset)).toMatchObject({ looked: [], end: { kind: 'snapshot', snapshot, reason: forkPassed } });
    const later = { ...at(199), epoch: POSITION.epoch + 1 };
    expect(locate({ ...given, primary: later }, sameAsOffset).end).toMatchObject({ kind: 'want', reason: forkPassed });
  });
});

describe("a site that can't continue from the topic", () => {
  const behind = situation({ position: at(50), known: 50n, byTime: 100n });

  test("takes a snapshot that the topic's frames follow, and says why", () => {
    const snapshot = snapshotAt(120, 121);
    expect(locate({ ...behind, snapshot }, sameAsOffset).end).toEqual({
      kind: 'snapshot',
      snapshot,
      reason: { code: 'retention-passed', text: 'retention has passed it by: T begins after 7-99, the secondary stands at 7-50' },
    });
  });

  test.for<[string, SnapshotRecord | undefined]>([
    ['none is there', undefined],
    ['the one there is older than what it holds', snapshotAt(40, 121)],
    ['what follows that has gone, too', snapshotAt(90, 91)],
    ['that is followed by what is not there', snapshotAt(120, 201)],
    ['that is of another stream', snapshotAt(120, 121, 'f'.repeat(32))],
  ])('asks for one where %s', ([, snapshot]) => {
    expect(locate({ ...behind, snapshot }, sameAsOffset).end).toMatchObject({
      kind: 'want',
      reason: { code: 'retention-passed', text: expect.stringMatching(/^retention has passed it by/) as string },
    });
  });

  test('takes one behind which the topic lost records, if the primary is no further: none of them was its own', () => {
    const [snapshot, bounds] = [snapshotAt(120, 121), { low: 130n, high: 130n }];
    expect(locate({ ...behind, bounds, snapshot, primary: at(120) }, empty).end).toMatchObject({ kind: 'snapshot', snapshot });
    expect(locate({ ...behind, bounds, snapshot, primary: at(121) }, empty).end).toMatchObject({ kind: 'await' });
  });

  test('distinguishes a topic that was made again from one that retention has cut', () => {
    const { end } = locate({ ...behind, known: 900n }, sameAsOffset);
    expect(end).toEqual({
      kind: 'want',
      reason: { code: 'frames-missing', text: 'frames are missing: T was made anew and begins after 7-99, the secondary stands at 7-50' },
    });
  });

  test('takes a snapshot at once if it holds nothing yet', () => {
    const snapshot = snapshotAt(120, 121);
    const fresh = situation({ stream: null, position: ORIGIN, known: undefined, byTime: undefined, snapshot });
    expect(locate(fresh, sameAsOffset)).toMatchObject({
      looked: [],
      end: { kind: 'snapshot', reason: { code: 'new-secondary', text: 'new secondary: it holds nothing yet' } },
    });
  });

  test('asks for one if frames are missing in the middle, and searches no further', () => {
    const gap = situation({ missingBefore: at(170) });
    expect(locate(gap, sameAsOffset)).toMatchObject({
      looked: [],
      end: { kind: 'want', reason: { code: 'frames-missing', text: 'frames are missing: in T between 7-150 and 7-170' } },
    });
  });
});

describe('an empty topic', () => {
  const bounds = { low: 200n, high: 200n };

  test('is waited for if the primary has no more than this site', () => {
    expect(locate(situation({ bounds, primary: at(150) }), empty).end).toEqual({ kind: 'await', offset: 200n, short: undefined });
  });

  test('is waited for a while if the primary has more', () => {
    expect(locate(situation({ bounds }), empty).end).toEqual({
      kind: 'await',
      offset: 200n,
      short: {
        code: 'frames-missing',
        text: 'frames are missing: T holds none of this stream, the secondary stands at 7-150, the primary at 7-199',
      },
    });
  });
});
