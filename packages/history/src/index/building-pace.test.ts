import { describe, expect, it } from 'vitest';
import { BuildingPace } from './building-pace.ts';

/** A site that asks for so many more change sets each time. */
function writing(pace: BuildingPace, changeSets: number, everyMs: number, times: number): { now: number; revision: number } {
  let [now, revision] = [0, 0];
  for (let time = 0; time < times; time++) pace.asked((revision += changeSets), (now += everyMs));
  return { now, revision };
}

describe('the pace at which an index is built', () => {
  it('takes a 25th of the time while the site writes fast', () => {
    const pace = new BuildingPace();
    const { now } = writing(pace, 65_536, 500, 3);
    pace.worked(20, now);
    expect(pace.restMs(now)).toBe(480);
    expect(pace.restMs(now + 300)).toBe(180);
    expect(pace.restMs(now + 480)).toBe(0);
  });

  it('rests longer after a longer piece of work', () => {
    const pace = new BuildingPace();
    const { now } = writing(pace, 65_536, 500, 3);
    pace.worked(70, now);
    expect(pace.restMs(now)).toBe(1_680);
  });

  it('does not rest while the site writes slowly, nor for what it wrote before', () => {
    const pace = new BuildingPace();
    pace.asked(10_000_000, 0);
    pace.worked(20, 0);
    expect(pace.restMs(0)).toBe(0);
    pace.asked(10_031_000, 1_000);
    expect(pace.restMs(1_000)).toBe(0);
  });

  it('knows with the first request that the site writes fast again', () => {
    const pace = new BuildingPace();
    const { now, revision } = writing(pace, 1_000, 1_000, 3);
    pace.asked(revision + 65_536, now + 60_000);
    pace.worked(20, now + 60_000);
    expect(pace.restMs(now + 60_000)).toBe(480);
  });

  it('ends its rest when the site writes no more, or somebody waits', () => {
    const pace = new BuildingPace();
    const { now, revision } = writing(pace, 65_536, 500, 3);
    pace.worked(1_000, now);
    expect(pace.restMs(now)).toBe(2_000);
    expect(pace.restMs(now + 2_000)).toBe(0);
    pace.hurry(revision, now + 100);
    expect(pace.restMs(now + 100)).toBe(0);
  });
});
