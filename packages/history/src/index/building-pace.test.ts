import { describe, expect, it } from 'vitest';
import { BuildingPace } from './building-pace.ts';

/** The processor's time of the site when a rest begins. */
const SITE = 5_000;

/** A site that asks for so many more change sets each time. */
function writing(pace: BuildingPace, changeSets: number, everyMs: number, times: number): { now: number; revision: number } {
  let [now, revision] = [0, 0];
  for (let time = 0; time < times; time++) pace.asked((revision += changeSets), (now += everyMs));
  return { now, revision };
}

describe('the pace at which an index is built', () => {
  it('takes a 25th of what the site takes while it writes fast, however long a piece of work is', () => {
    for (const workedMs of [20, 70]) {
      const pace = new BuildingPace();
      const { now } = writing(pace, 65_536, 500, 3);
      pace.worked(workedMs, now, SITE);
      expect(pace.rests(now, SITE)).toBe(true);
      expect(pace.rests(now, SITE + 24 * workedMs - 1)).toBe(true);
      expect(pace.rests(now, SITE + 24 * workedMs)).toBe(false);
    }
  });

  it('takes a 101st of the time also where the site has hardly worked', () => {
    const pace = new BuildingPace();
    const { now } = writing(pace, 65_536, 500, 3);
    pace.worked(10, now, SITE);
    expect(pace.rests(now + 999, SITE)).toBe(true);
    expect(pace.rests(now + 1_000, SITE)).toBe(false);
  });

  it('does not rest while the site writes slowly, nor for what it wrote before', () => {
    const pace = new BuildingPace();
    pace.asked(10_000_000, 0);
    pace.worked(20, 0, SITE);
    expect(pace.rests(0, SITE)).toBe(false);
    pace.asked(10_031_000, 1_000);
    expect(pace.rests(1_000, SITE)).toBe(false);
  });

  it('knows with the first request that the site writes fast again', () => {
    const pace = new BuildingPace();
    const { now, revision } = writing(pace, 1_000, 1_000, 3);
    pace.asked(revision + 65_536, now + 60_000);
    pace.worked(20, now + 60_000, SITE);
    expect(pace.rests(now + 60_000, SITE)).toBe(true);
  });

  it('ends its rest when the site writes no more, or somebody waits', () => {
    const pace = new BuildingPace();
    const { now, revision } = writing(pace, 65_536, 500, 3);
    pace.worked(1_000, now, SITE);
    expect(pace.rests(now + 1_999, SITE)).toBe(true);
    expect(pace.rests(now + 2_000, SITE)).toBe(false);
    pace.hurry(revision, now + 100);
    expect(pace.rests(now + 100, SITE)).toBe(false);
  });
});
