import { describe, expect, test } from 'vitest';
import { addRevisions, DivergenceSummary, divergenceName, includesRevision, SUMMARY_LIMIT } from './divergence.ts';
import { FrameWriter } from './frames/frame-writer.ts';
import { frameBody, NO_CHAIN, sealFrame, type BodyCodec, type Frame } from './frames/frame.ts';
import { ORIGIN } from './position.ts';
import { Tree } from './tree/tree.ts';

const STREAM = 'ab'.repeat(16);
const DIGEST = '11'.repeat(8);
const EPOCH = { number: 3, id: '33'.repeat(8), site: 'a', base: ORIGIN, reason: 'start', time: 50 };

interface Change {
  readonly key: string;
  readonly author?: string;
  readonly time: number;
}

/** The frame that begins the epoch, and one with a put for each change. */
function frames(changes: readonly Change[], codec: BodyCodec): Frame[] {
  const writer = new FrameWriter(codec, 0);
  const first = writer.sealEpoch({ stream: STREAM, last: ORIGIN, chain: NO_CHAIN }, DIGEST, EPOCH);
  const trail = [new Tree().root];
  for (const { key, author, time } of changes) {
    writer.changeSet(time, author, undefined, 1);
    writer.body.operation(trail, [key], 1);
  }
  return [first, writer.seal({ stream: STREAM, last: first.header.last, chain: NO_CHAIN }, DIGEST)];
}

function summaryOf(made: readonly Frame[]): DivergenceSummary {
  const summary = new DivergenceSummary();
  for (const frame of made) summary.add(frame);
  return summary;
}

describe('the summary of a divergence', () => {
  test.each(['binary', 'json'] as const)('counts commits, and names times, authors and paths once each (%s)', codec => {
    const made = frames(
      [
        { key: 'a/b', author: 'ada', time: 60 },
        { key: 'c', time: 61 },
        { key: 'a/b', author: 'bob', time: 70 },
        { key: 'd', author: 'ada', time: 80 },
      ],
      codec,
    );
    expect(summaryOf(made)).toMatchObject({
      commits: 4,
      firstTime: 60,
      lastTime: 80,
      authors: ['ada', 'bob'],
      paths: ['/a~1b', '/c', '/d'],
    });
  });

  test('does not count the frames that begin and end an epoch', () => {
    const [first, second] = frames([{ key: 'a', time: 60 }], 'binary');
    const ends = sealFrame({ ...second!.header, endsEpoch: true }, frameBody(second!));
    expect(summaryOf([first!, ends])).toMatchObject({ commits: 0, firstTime: undefined, lastTime: undefined, authors: [], paths: [] });
  });

  test.each(['binary', 'json'] as const)('names the marks that were set, and counts no commit for them (%s)', codec => {
    const [first, second] = frames([{ key: 'a', time: 60 }], codec);
    const note = { now: 70, author: 'ann', message: undefined };
    const base = { stream: STREAM, last: second!.header.last, chain: NO_CHAIN };
    const marks = [
      { name: 'kept', back: 0, removed: false },
      { name: 'moved', back: 1, removed: false },
      { name: 'moved', back: 0, removed: false },
      { name: 'removed', back: 0, removed: true },
    ].map(mark => new FrameWriter(codec, 0).sealMark(base, DIGEST, mark, note));
    expect(summaryOf([first!, second!, ...marks])).toMatchObject({ commits: 1, lastTime: 60, marks: ['kept', 'moved'] });
    expect(summaryOf([first!, second!]).marks).toBeUndefined();
  });

  test('names the first authors and paths, and no more', () => {
    const changes = Array.from({ length: 40 }, (_, index) => ({ key: `k${index}`, author: `a${index}`, time: 60 }));
    const { authors, paths, commits } = summaryOf(frames(changes, 'binary'));
    expect([commits, authors.length, paths.length]).toEqual([40, SUMMARY_LIMIT, SUMMARY_LIMIT]);
    expect([authors[0], paths.at(-1)]).toEqual(['a0', `/k${SUMMARY_LIMIT - 1}`]);
  });

  test('counts the commits of a frame whose body it can not read', () => {
    const [, frame] = frames([{ key: 'a', time: 60 }], 'binary');
    const broken = sealFrame({ ...frame!.header, bodyLength: 3 }, Buffer.from('???'));
    expect(summaryOf([broken])).toMatchObject({ commits: 1, firstTime: 60, authors: [], paths: [] });
  });
});

test('a divergence is named by its content: the epoch of its end, and the range', () => {
  const base = { epoch: 2, epochId: '22'.repeat(8), revision: 450 };
  expect(divergenceName({ base, last: { epoch: 3, epochId: '33'.repeat(8), revision: 500 } })).toBe('3-3333333333333333-450-500');
});

test('ranges of revisions are joined where they overlap or touch', () => {
  const ranges = addRevisions([{ from: 5, to: 7 }], [12, 10, 8, 8, 6, 1]);
  expect(ranges).toEqual([
    { from: 1, to: 1 },
    { from: 5, to: 8 },
    { from: 10, to: 10 },
    { from: 12, to: 12 },
  ]);
  expect([1, 2, 4, 5, 8, 9, 12, 13].filter(revision => includesRevision(ranges, revision))).toEqual([1, 5, 8, 12]);
  expect(addRevisions(ranges, [9, 11])).toEqual([
    { from: 1, to: 1 },
    { from: 5, to: 12 },
  ]);
});
