import { describe, expect, it } from 'vitest';
import { PLANTED_FAULTS } from './plants.ts';
import { SCENARIOS } from './scenarios.ts';
import { run } from './script.ts';
import { scriptOf } from './swarm.ts';

/** As many as the normal run has, beside its scenarios. */
const HISTORIES = 2_000;
/** What a fault may break: the law that it is about, not just any. */
const LAWS: Readonly<Record<string, readonly string[]>> = {
  'acknowledge before the sync': ['durable'],
  'ignore the epoch': ['one-writer'],
  'reuse a revision': ['one-frame'],
  'compare bare revisions': ['liveness', 'acknowledged', 'acknowledged-kept'],
  'undo before the divergence is kept': ['promise'],
  'leave the tree as it was when a large frame is taken': ['same-state', 'liveness'],
  'forget at a restart what hellos told': ['number', 'one-writer'],
  'answer after being fenced': ['answered'],
};

describe('a fault that is planted is found within the normal run:', () => {
  it.each(Object.entries(PLANTED_FAULTS))('%s', { timeout: 120_000 }, async (name, plant) => {
    let found: string | undefined;
    for (let index = 0; index < HISTORIES && found === undefined; index++) {
      for (const script of [scriptOf(1 + index), SCENARIOS[index]]) {
        const { broken } = script === undefined ? {} : await run(script, plant);
        if (broken !== undefined && LAWS[name]!.includes(broken.law)) found = broken.message;
      }
    }
    expect(found).toBeDefined();
  });
});
