import { describe, expect, it } from 'vitest';
import { explain } from './report.ts';
import { formatScript, parseScript, run } from './script.ts';
import { scriptOf } from './swarm.ts';

/** Each run takes other histories only by a decision: a seed that failed once fails again. */
const HISTORIES = 2_000;

describe('histories of sites, faults and people', () => {
  it('break no law', { timeout: 300_000 }, async () => {
    const failures: string[] = [];
    let promised = 0;
    for (let seed = 1; seed <= HISTORIES && failures.length < 3; seed++) {
      const outcome = await run(scriptOf(seed));
      promised += outcome.promised;
      if (outcome.broken !== undefined) failures.push(await explain(outcome));
    }
    expect(failures.join('\n\n')).toBe('');
    expect(promised, 'commits that a writer was promised').toBeGreaterThan(10 * HISTORIES);
  });

  it('are the same, event by event, each time that a seed runs', async () => {
    for (const seed of [1, 2, 3, 50, 51]) {
      const once = await run(scriptOf(seed));
      const again = await run(scriptOf(seed));
      expect(again.trace).toEqual(once.trace);
      expect(again.hash).toBe(once.hash);
    }
  });

  it('can be written down and read again', () => {
    const script = scriptOf(7);
    expect(parseScript(`# a remark\n${formatScript(script)}`)).toEqual(script);
  });
});
