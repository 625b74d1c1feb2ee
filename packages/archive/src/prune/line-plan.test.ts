import { describe, expect, it } from 'vitest';
import { at, image, lineOf, stretch } from '../../../../test/support/archive-entries.ts';
import type { ArchivedObject } from '../format/manifest.ts';
import { bucketOf, checkRules, type KeepRules } from './keep-rules.ts';
import { planLine, prunedLine } from './line-plan.ts';

const DAY = 86_400_000;
const NOON = Date.UTC(2026, 10, 27, 12);

/** So many days ago. */
function day(ago: number): number {
  return NOON - ago * DAY;
}

/** The ends of what is kept, images with an `i`. */
function kept(objects: readonly ArchivedObject[], rules: KeepRules, facts: { time?: number; drilled?: number } = {}): string[] {
  const drilled = facts.drilled === undefined ? undefined : { epoch: 1, revision: facts.drilled };
  return planLine(lineOf(objects), { atLeast: 1, ...rules }, { time: facts.time ?? NOON, drilled })
    .filter(({ keptBy }) => keptBy.length > 0)
    .map(({ entry }) => (entry.kind === 'image' ? `i${entry.position.revision}` : String(entry.last.revision)));
}

/** An image at each noon and a stretch each six hours, for so many days up to now: ten revisions a stretch. */
function historyOf(count: number): ArchivedObject[] {
  const objects: ArchivedObject[] = [];
  for (let quarter = 0; quarter < count * 4; quarter++) {
    const time = NOON - (count * 4 - 1 - quarter) * (DAY / 4);
    const note = { time, archived: time };
    objects.push(stretch(quarter * 10, (quarter + 1) * 10, note));
    if ((time - NOON) % DAY === 0) objects.push(image((quarter + 1) * 10, note));
  }
  return objects;
}

describe('what a line keeps', () => {
  it('is its newest state, whatever the rules are', () => {
    expect(kept([stretch(0, 10), image(10), stretch(10, 20), stretch(20, 30)], { yearly: 1 })).toEqual(['i10', '20', '30']);
    expect(kept([stretch(0, 10), stretch(10, 20)], { last: 1 })).toEqual(['10', '20']);
  });

  it('by the last N are the newest N states, and everything since the oldest of them', () => {
    const objects = [stretch(0, 10), image(10), stretch(10, 20), image(20), stretch(20, 30), stretch(30, 40)];
    expect(kept(objects, { last: 1 })).toEqual(['i20', '30', '40']);
    expect(kept(objects, { last: 3 })).toEqual(['i20', '30', '40']);
    expect(kept(objects, { last: 4 })).toHaveLength(objects.length);
    expect(kept(objects, { last: 99 })).toHaveLength(objects.length);
  });

  it('within a time is every moment of it: also those before the end of the first stretch within', () => {
    const objects = historyOf(5);
    // The newest is of noon; three quarters of a day before lies what ends six hours after yesterday's noon.
    expect(kept(objects, { withinMs: 0.7 * DAY })).toEqual(['i160', '170', '180', '190', '200', 'i200']);
    expect(kept(objects, { withinMs: 100 * DAY })).toHaveLength(objects.length);
  });

  it('of each day, week, month and year is the last image', () => {
    const objects = historyOf(60);
    const images = (rules: KeepRules) => kept(objects, rules).filter(end => end.startsWith('i'));
    expect(images({ daily: 3 })).toEqual(['i2320', 'i2360', 'i2400']);
    // 2026-11-27 is a Friday: the last images of the weeks before are those of Sundays.
    expect(images({ weekly: 3 })).toEqual([`i${2400 - 12 * 40}`, `i${2400 - 5 * 40}`, 'i2400']);
    expect(images({ monthly: 2 })).toEqual([`i${2400 - 27 * 40}`, 'i2400']);
    expect(images({ yearly: 9 })).toEqual(['i2400']);
  });

  it('of a day without an image is its last state, by an older image and the frames after it', () => {
    const [one, two, three] = [3, 2, 0].map(day) as [number, number, number];
    const objects = [
      image(10, { time: one }),
      stretch(10, 20, { time: one }),
      stretch(20, 30, { time: two }),
      stretch(30, 40, { time: two }),
      stretch(40, 50, { time: three }),
      image(50, { time: three }),
      stretch(50, 60, { time: three }),
    ];
    expect(kept(objects, { daily: 2 })).toEqual(['i10', '20', '30', '40', 'i50', '60']);
    expect(kept(objects, { daily: 1 })).toEqual(['i50', '60']);
  });

  it('is what marks name, as the newest image and the frames after it tell', () => {
    const objects = [
      stretch(0, 10, { marks: [9] }),
      image(10, { marks: [4] }),
      stretch(10, 20, { marks: [15] }),
      stretch(20, 30),
      image(30, { marks: [8, 13] }),
      stretch(30, 40, { marks: [35], marked: [22] }),
      stretch(40, 50),
    ];
    expect(kept(objects, { last: 1 })).toEqual(['10', 'i10', '20', '30', 'i30', '40', '50']);
    expect(planLine(lineOf(objects), { last: 1 }, { time: NOON, drilled: undefined })[0]!.keptBy).toEqual(['the mark at revision 8']);
  });

  it('is the state that was drilled last', () => {
    const objects = [stretch(0, 10), image(10), stretch(10, 20), image(20), stretch(20, 30), image(30)];
    expect(kept(objects, { last: 1 }, { drilled: 12 })).toEqual(['i10', '20', 'i30']);
  });

  it('is never less than so many states', () => {
    const objects = [image(10), stretch(10, 20), image(20), image(30), image(40), image(50)];
    expect(kept(objects, { last: 1, atLeast: 3 })).toEqual(['i30', 'i40', 'i50']);
    expect(kept(objects, { daily: 1, atLeast: 99 })).toHaveLength(objects.length);
  });

  it('is everything where no state can be made out', () => {
    expect(kept([stretch(5, 10), stretch(10, 20)], { last: 1 })).toEqual(['10', '20']);
  });

  it('does not need the frames before an image that lies inside a stretch', () => {
    expect(kept([image(5), stretch(0, 10), image(15), stretch(10, 20), stretch(20, 30)], { last: 1 })).toEqual(['i15', '20', '30']);
  });

  it('names each hole in it that is left by what goes, and keeps the names of the others', () => {
    const gap = { from: at(40), to: at(45), reason: 'spool-full' as const, time: 7 };
    const old = { from: at(3), to: at(5), reason: 'history-gone' as const, time: 6 };
    const line = lineOf(
      [
        image(5),
        stretch(5, 10),
        image(10),
        stretch(10, 20),
        image(20),
        stretch(20, 30),
        image(30),
        stretch(30, 40),
        image(45),
        stretch(45, 50),
      ],
      { gaps: [old, gap] },
    );
    const plan = planLine(line, { last: 4, atLeast: 1 }, { time: NOON, drilled: { epoch: 1, revision: 15 } });
    expect(prunedLine(line, plan, 99).gaps).toEqual([{ from: at(20), to: at(30), reason: 'pruned', time: 99 }, gap]);
  });
});

describe('times that are forged or wrong', () => {
  it('from the future count as the time at which they were archived', () => {
    const objects = [
      image(10, { time: day(3), archived: day(3) }),
      image(20, { time: day(-9_000), archived: day(2) }),
      image(30, { time: day(-9_000), archived: day(1) }),
      image(40, { time: day(-9_000), archived: day(0) }),
    ];
    expect(kept(objects, { daily: 3 })).toEqual(['i20', 'i30', 'i40']);
    expect(kept(objects, { withinMs: 1.5 * DAY })).toEqual(['i30', 'i40']);
  });

  it('from the future count as now where nobody wrote down when they were archived', () => {
    expect(kept([image(10, { time: day(3) }), image(20, { time: day(-9_000) }), image(30, { time: day(-9_000) })], { daily: 1 })).toEqual([
      'i30',
    ]);
  });

  it('that go back change nothing in the order, and let nothing go that came within the time', () => {
    const objects = [
      image(10, { time: day(9), archived: day(9) }),
      image(20, { time: 5, archived: day(2) }),
      image(30, { time: 4, archived: day(1) }),
      image(40, { time: 3, archived: day(0) }),
    ];
    expect(kept(objects, { withinMs: 3 * DAY })).toEqual(['i10', 'i20', 'i30', 'i40']);
    expect(kept(objects, { last: 2 })).toEqual(['i30', 'i40']);
  });
});

describe('a bucket', () => {
  it('is a day, a week from Monday, a month or a year of UTC', () => {
    const sunday = Date.UTC(2026, 10, 22, 23, 59);
    const monday = sunday + 60_000;
    expect(bucketOf('daily', sunday).text).toBe('2026-11-22');
    expect([sunday, monday].map(time => bucketOf('weekly', time).text)).toEqual(['the week of 2026-11-16', 'the week of 2026-11-23']);
    expect(bucketOf('weekly', monday).number - bucketOf('weekly', sunday).number).toBe(1);
    expect([bucketOf('monthly', sunday).text, bucketOf('yearly', sunday).text]).toEqual(['2026-11', '2026']);
    expect(bucketOf('monthly', Date.UTC(2027, 0, 1)).number - bucketOf('monthly', Date.UTC(2026, 11, 31)).number).toBe(1);
    expect(bucketOf('yearly', Number.MAX_SAFE_INTEGER).number).toBe(275_760);
  });
});

describe('rules', () => {
  it.each([{}, { atLeast: 5 }, { last: 0 }, { daily: 1.5 }, { last: -1 }, { withinMs: 0 }, { last: 1, atLeast: 0 }] as KeepRules[])(
    'that keep nothing or make no sense are refused: %j',
    rules => {
      expect(() => checkRules(rules)).toThrow(expect.objectContaining({ code: 'VALUE_INVALID' }));
    },
  );

  it('are enough if there is one', () => {
    expect(() => checkRules({ last: 1 })).not.toThrow();
    expect(() => checkRules({ all: true })).not.toThrow();
  });
});
