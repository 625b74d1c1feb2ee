import { beforeEach, describe, expect, it } from 'vitest';
import type { EpochName } from '@evertree/core';
import { TopicClaims, standingInTopic } from './topic-claims.ts';
import type { JudgedFrame } from './topic-claims.ts';

const [A, B, C] = ['aa', 'bb', 'cc'].map(digits => digits.repeat(8)) as [string, string, string];
const ONE = { number: 1, id: 'ee'.repeat(8) };
const RESTART = 'ff'.repeat(8);

function position(epoch: number, epochId: string, revision = 9) {
  return { epoch, epochId, revision };
}

/** A frame that continues an epoch. */
function frame({ number, id }: EpochName): JudgedFrame {
  return { beginsEpoch: false, epoch: number, epochId: id, base: position(number, id) };
}

function beginning({ number, id }: EpochName, base: EpochName = ONE): JudgedFrame {
  return { beginsEpoch: true, epoch: number, epochId: id, base: position(base.number, base.id) };
}

describe('the claims of a topic', () => {
  let claims: TopicClaims;

  beforeEach(() => {
    claims = new TopicClaims();
  });

  const claim = (offset: number, number: number, id: string) => claims.takeClaim(BigInt(offset), { number, id });
  const read = (offset: number, judged: JudgedFrame, under?: EpochName) => claims.takeFrame(BigInt(offset), judged, under);

  it('leave frames of a lower epoch to nobody from where one stands, and let count what stands before it', () => {
    expect(read(10, frame(ONE), ONE)).toBe('counts');
    expect(claim(20, 2, A)).toBe('leads');
    expect(read(21, frame(ONE), ONE)).toBe('superseded');
    expect(read(22, frame(ONE))).toBe('superseded');
    expect(read(19, frame(ONE), ONE)).toBe('counts');
    expect(claims.leading).toMatchObject({ number: 2, id: A });
    expect(claims.leading?.offset).toBe(20n);
  });

  it('let count what the claimant writes of older epochs: it goes on in the topic from where the topic ends', () => {
    claim(20, 2, A);
    expect(read(21, frame(ONE), { number: 2, id: A })).toBe('counts');
    expect(read(22, beginning({ number: 2, id: A }), { number: 2, id: A })).toBe('counts');
  });

  it('count the first of a claim that was written twice', () => {
    expect(claim(20, 2, A)).toBe('leads');
    expect(claim(23, 2, A)).toBe('again');
    expect(claims.leading?.offset).toBe(20n);
    expect(read(22, frame(ONE), ONE)).toBe('superseded');
  });

  it('are void when they are not numbered above everything before them', () => {
    expect(claim(20, 3, A)).toBe('leads');
    expect(claim(21, 2, B)).toBe('void');
    expect(claim(22, 3, B)).toBe('void');
    expect(claims.leading).toMatchObject({ number: 3, id: A });
    expect(claim(23, 4, B)).toBe('leads');
    expect(read(24, frame({ number: 3, id: A }), { number: 3, id: A })).toBe('superseded');
  });

  it('are void behind frames of their number, too, and frames behind a claim of their number', () => {
    expect(read(10, beginning({ number: 2, id: A }), { number: 2, id: A })).toBe('counts');
    expect(claim(11, 2, B)).toBe('void');
    expect(read(12, beginning({ number: 2, id: B }), { number: 2, id: B })).toBe('superseded');
    expect(read(13, frame({ number: 2, id: A }), { number: 2, id: A })).toBe('counts');
  });

  it('take the first record under an epoch that was not claimed for its claim', () => {
    expect(read(10, frame(ONE), ONE)).toBe('counts');
    expect(read(11, frame(ONE), { number: 2, id: A })).toBe('counts');
    expect(claims.leading?.offset).toBe(11n);
    expect(read(12, frame(ONE), ONE)).toBe('superseded');
  });

  it('know a restart of the writer, which draws another id of the same number, from a rival', () => {
    read(10, beginning({ number: 2, id: A }));
    expect(read(11, beginning({ number: 2, id: RESTART }, { number: 2, id: A }))).toBe('counts');
    expect(read(12, frame({ number: 2, id: RESTART }))).toBe('counts');
    expect(read(13, beginning({ number: 2, id: B }))).toBe('superseded');
    expect(read(14, frame({ number: 2, id: B }))).toBe('superseded');
    expect(read(15, beginning({ number: 2, id: C }, { number: 2, id: B }))).toBe('superseded');
    expect(read(16, frame({ number: 2, id: C }))).toBe('superseded');
  });

  it('learn the name of an epoch that was met in its middle from the first record that tells it', () => {
    expect(read(10, frame({ number: 2, id: RESTART }))).toBe('counts');
    expect(read(11, frame({ number: 2, id: RESTART }), { number: 2, id: A })).toBe('counts');
    expect(claims.leading).toMatchObject({ number: 2, id: A });
    expect(read(12, frame({ number: 2, id: B }), { number: 2, id: B })).toBe('superseded');
    expect(claim(13, 2, A)).toBe('again');
  });

  it('say the same of a record that is read twice', () => {
    expect(claim(20, 2, A)).toBe('leads');
    expect(claim(20, 2, A)).toBe('leads');
    expect(read(30, frame(ONE), { number: 3, id: B })).toBe('counts');
    expect(read(30, frame(ONE), { number: 3, id: B })).toBe('counts');
  });

  it('are the same for a reader that goes back, and finds what stands before the one that it knows', () => {
    claim(80, 4, C);
    expect(read(20, frame(ONE), ONE)).toBe('counts');
    expect(claim(50, 2, A)).toBe('leads');
    expect(read(60, frame(ONE), ONE)).toBe('superseded');
    expect(read(70, frame({ number: 2, id: A }), { number: 2, id: A })).toBe('counts');
    expect(claims.leading).toMatchObject({ number: 4, id: C });
  });

  it('drop one that was taken to lead, once a higher one is found before it', () => {
    expect(claim(80, 2, A)).toBe('leads');
    expect(claim(50, 3, B)).toBe('leads');
    expect(claims.leading).toMatchObject({ number: 3, id: B });
    expect(claim(80, 2, A)).toBe('void');
  });

  it('remember a bounded number of epochs', () => {
    for (let number = 1; number <= 100; number++) claim(number, number, A);
    expect(read(2, frame(ONE), ONE)).toBe('counts');
    expect(read(99, frame(ONE), ONE)).toBe('superseded');
  });
});

describe('a writer in a topic', () => {
  it.each([
    ['unclaimed', 2, B, undefined],
    ['unclaimed', 2, B, { number: 1, id: C }],
    ['leads', 2, B, { number: 2, id: B }],
    ['fenced', 2, B, { number: 2, id: C }],
    ['fenced', 2, B, { number: 3, id: A }],
    ['outnumbered', 2, B, { number: 2, id: A }],
  ] as const)('is %s', (standing, number, id, leading) => {
    expect(standingInTopic({ number, id }, leading && { ...leading, isNamed: true })).toBe(standing);
  });

  it('leads where frames of its number stand under an id that may be of its restart', () => {
    expect(standingInTopic({ number: 2, id: B }, { number: 2, id: C, isNamed: false })).toBe('leads');
    expect(standingInTopic({ number: 2, id: B }, { number: 3, id: C, isNamed: false })).toBe('fenced');
  });
});
