import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { SCENARIOS } from './scenarios.ts';
import { formatScript, parseScript, run } from './script.ts';
import type { SeedFindings, SeedRange } from './seeds-worker.ts';
import { scriptOf } from './swarm.ts';
import { TOPIC_TRAPS } from './topic.ts';
import { TRAPS } from './traps.ts';

const HISTORIES = 2_000;

/**
 * What the machines of the roles do in a simulated world, as `machine:step:event`. The scripts beside the machines have
 * all of it; here are the branches that histories are known to reach.
 */
const BRANCHES = [
  ...['begin', 'consent', 'lost', 'cancel'].map(event => `handover:consent:${event}`),
  'handover:catching-up:near',
  'handover:handing-over:durable',
  ...['begun', 'settled', 'linked', 'again'].map(event => `handover:handed-over:${event}`),
  ...['idle:prepare', 'idle:examined', 'idle:withdraw', 'idle:recorded', 'examining:examined', 'examining:lost'].map(
    each => `takeover:${each}`,
  ),
  ...['consented:handed', 'consented:lost', 'beginning:stable'].map(each => `takeover:${each}`),
  ...['asking:begin', 'asking:met', 'asking:unreachable', 'asking:failed', 'raising:raised', 'raising:promised'].map(
    each => `promotion:${each}`,
  ),
  ...['raising:gone', 'raising:failed', 'adopting:lent', 'adopting:adopted', 'beginning:stable'].map(each => `promotion:${each}`),
];

describe('histories of sites, faults and people', () => {
  it('break no law, and get into each trap and each branch', { timeout: 300_000 }, async () => {
    const half = HISTORIES / 2;
    const findings = await Promise.all([
      inWorker({ from: 1, count: half, scripts: SCENARIOS }),
      inWorker({ from: 1 + half, count: half, scripts: [] }),
    ]);
    expect(findings.flatMap(({ failures }) => failures).join('\n\n')).toBe('');
    const promised = findings.reduce((sum, found) => sum + found.promised, 0);
    expect(promised, 'commits that a writer was promised').toBeGreaterThan(10 * HISTORIES);
    const marks = new Set(findings.flatMap(found => found.marks));
    expect([...TRAPS, ...TOPIC_TRAPS, ...BRANCHES].filter(mark => !marks.has(mark))).toEqual([]);
  });

  it('are the same, event by event, each time that a seed runs', async () => {
    for (const seed of [1, 2, 3, 50, 51, 55, 60]) {
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

/** A history is one long turn, so that two at once need two threads. */
function inWorker(range: SeedRange): Promise<SeedFindings> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./seeds-worker.ts', import.meta.url), { workerData: range });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}
