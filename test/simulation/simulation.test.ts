import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { LARGE_TRAPS } from './frame-steps.ts';
import { SCENARIOS } from './scenarios.ts';
import { formatScript, parseScript, run } from './script.ts';
import type { SeedFindings, SeedRange } from './seeds-worker.ts';
import { scriptOf } from './swarm.ts';
import { TOPIC_TRAPS } from './topic.ts';
import { TRAPS } from './traps.ts';

const HISTORIES = 2_000;

/**
 * What the machines of the roles do in a simulated world: by machine and step, the events that they act on. What is
 * missing here no history can reach; DESIGN.md says why.
 */
const BRANCHES: Readonly<Record<string, string>> = {
  'handover:consent': 'begin consent declined lost cancel due settled',
  'handover:catching-up': 'near lost cancel due settled',
  'handover:handing-over': 'durable refused failed due',
  'handover:handed-over': 'begun declined linked again cancel due settled',
  'handover:withdrawing': 'begun declined linked again cancel due settled',
  'takeover:idle': 'prepare examined withdraw recorded',
  'takeover:examining': 'prepare examined handed withdraw recorded lost',
  'takeover:consented': 'prepare examined handed withdraw lost',
  'takeover:beginning': 'stable refused',
  'promotion:asking': 'begin met unreachable due failed',
  'promotion:raising': 'raised promised not-promised gone due failed',
  'promotion:adopting': 'lent adopted due failed',
  'promotion:beginning': 'stable failed',
};

/** What else has to happen in the normal run, so that its checks check something. */
const CHECKED = [
  'drill:switchover',
  'drill:promotion',
  'drill:replay',
  'held-write:held',
  'held-write:sent-on',
  'held-write:refused',
  'commit:dropped-by-retention',
  'report:claim-void',
  'report:reign-void',
  'quick-writes:begin',
  'quick-writes:rest',
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
    const branches = Object.entries(BRANCHES).flatMap(([step, events]) => events.split(' ').map(event => `${step}:${event}`));
    expect([...TRAPS, ...TOPIC_TRAPS, ...LARGE_TRAPS, ...branches, ...CHECKED].filter(mark => !marks.has(mark))).toEqual([]);
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
    expect(script.largeBytes).toBeDefined();
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
